/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A file that describes services, one entry each: the options of lbctl run by their own names, the
 * command, and what set, set-weight and set-limit set. All of it is checked before anything is done
 * with it.
 */
#ifndef SERVICES_H
#define SERVICES_H

#include "base/yamlfile.h"
#include "cmd/cmd.h"
#include "keeper/options.h"

/* What is set while a service runs: the arguments of a command of lbctl. */
struct service_setting {
	const char *command; /* "set", "set-weight" or "set-limit" */
	const char *key;     /* a setting, or a worker */
	const char *value;
	char word[160]; /* "stall_ms=50" */
};

struct service_entry {
	char name[LB_NAME_MAX + 1];
	struct cmd cmd; /* as if run had been called with it; messages name the line */
	struct keeper_options options;
	struct service_setting *settings;
	size_t nr_settings;
	char workers[16]; /* for cmd, where the file does not say how many */
	char dashed[CMD_MAX_OPTIONS][32];
};

/* run_options_parse() */
typedef int (*run_parse_fn)(const struct cmd *cmd, struct keeper_options *options);

struct services {
	char file[PATH_MAX]; /* whole path */
	const char *shown;   /* as it was given */
	struct command command;
	run_parse_fn parse;
	struct yamlfile_node *root;
	char *bytes;
	struct service_entry *entries;
	size_t nr_entries;
};

/*
 * Reads the file, and makes its directory the working directory, which its paths are relative to.
 * Returns EXIT_DONE, or a status after a message was printed that names file and line.
 * services_free() is to follow in any case.
 */
int services_read(const struct cmd *cmd, const char *file, run_parse_fn parse,
		  struct services *services);
/*
 * The same of `n` bytes, of which there is one at least: they are let go of with `services`.
 * Nothing is read, and messages call them "file".
 */
int services_parse(const struct cmd *cmd, char *bytes, size_t n, run_parse_fn parse,
		   struct services *services);
void services_free(struct services *services);

/* NULL if there is none of this name. */
struct service_entry *services_find(struct services *services, const char *name);

/*
 * Reads the file of -f, of a command that takes RUN_OPTIONS; its only argument is the service that
 * is meant, or there is one only. Returns EXIT_DONE or a status after a message was printed.
 * services_free() is to follow in any case.
 */
int services_take(const struct cmd *cmd, run_parse_fn parse, struct services *services,
		  struct service_entry **entry);

/* Of one that does not say how many workers there are to be. */
void services_set_workers(struct service_entry *entry, uint32_t workers);

/*
 * The command line of lbctl COMMAND, which takes RUN_OPTIONS, with what the entry says, and one
 * more option, or NULL. Returns NULL without memory; to be freed before the entry is.
 */
char **services_argv(struct service_entry *entry, const char *command, const char *option);

#endif
