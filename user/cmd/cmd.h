/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What all commands do alike: options, the service's name, errors. */
#ifndef CMD_H
#define CMD_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/text_json.h"
#include "base/trouble.h"
#include "cmd/command.h"
#include "service/state.h"

/* One call of a command. */
struct cmd {
	const struct command *command;
	char **args;
	int nr_args;
	const char *values[CMD_MAX_OPTIONS]; /* by option; "" for a flag that was given */
	char *joined[CMD_MAX_OPTIONS]; /* lists that were given in parts; cmd_main() frees them */
	bool json;
	bool dry_run;
	char object[256]; /* for messages: what the command was about */
};

/* The order of lbctl help. */
/* clang-format off */
#define COMMANDS(X) \
	X(scan) X(attach) X(detach) \
	X(set_policy) X(set_weight) X(set_limit) X(drain) X(resume) X(rescue) X(set) \
	X(list) X(show) X(top) X(stats) X(explain) X(export) X(policies) X(doctor) X(trace) \
	X(run) X(watch) X(scale) X(reload) X(restart) X(cancel) X(stop) X(send) X(signal) \
	X(events) X(logs) X(apply) X(unit) \
	X(version) X(help)
/* clang-format on */

#define X(name) extern const struct command cmd_##name;
COMMANDS(X)
#undef X

extern const struct command *const cmd_table[]; /* ends with NULL */

/* Runs `lbctl ARGS...`, argv[0] being the program. Returns the exit status. */
int cmd_main(int argc, char **argv);
const struct command *cmd_find(const char *name);

/*
 * Says that there is no such command, and which one is meant; `script` is the word that follows, or
 * NULL. Returns EXIT_USAGE.
 */
int cmd_unknown(const struct cmd *cmd, const char *name, const char *script);

/*
 * Are these words of a command line that the command takes, and does `check` take its options?
 * Nothing is run. Returns EXIT_DONE, or a status after a message was printed.
 */
int cmd_check_words(const struct command *command, int argc, char **argv,
		    int (*check)(struct cmd *cmd, void *arg), void *arg);

/* The value of an option, "" if it is a flag that was given, NULL if not given. */
const char *cmd_value(const struct cmd *cmd, const char *option);

/* Prints "lbctl: VERB OBJECT: TEXT" to stderr and returns the status. */
int cmd_fail(const struct cmd *cmd, enum exit_status status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
int cmd_trouble(const struct cmd *cmd, const struct trouble *trouble);

/*
 * Takes [NAME] off the arguments when there is one more than the command needs; else finds the
 * only service. Returns EXIT_DONE, or a status after a message was printed.
 */
int cmd_take_name(struct cmd *cmd, int needed, char name[LB_NAME_MAX + 1]);

/* cmd_take_name(), then state_open(). The caller closes the state. */
int cmd_open_service(struct cmd *cmd, int needed, enum state_mode mode, struct state *state);

/*
 * A worker's number, or LB_ALL_WORKERS for "all", of a command whose arguments begin with [NAME].
 * As cmd_parse_policy().
 */
int cmd_parse_worker(const struct cmd *cmd, const char *text, uint32_t *worker);

/* Parses the name of a policy. Returns EXIT_DONE, or EXIT_USAGE after a message was printed. */
int cmd_parse_policy(const struct cmd *cmd, const char *text, uint32_t *policy);

/* Can a limit of connections work there? EXIT_DONE, or a status after a message was printed. */
int cmd_check_limit(const struct cmd *cmd, const struct state *state);

/* The value of --group, a name or a number; LB_NO_GROUP if not given. As cmd_parse_policy(). */
int cmd_parse_group(const struct cmd *cmd, uint32_t *gid);

/* steer_publish(), with a message when it fails. Returns an exit status. */
int cmd_publish(const struct cmd *cmd, struct state *state, uint32_t policy);

/* Prints one JSON value with a newline and lets go of it. Returns EXIT_DONE or EXIT_FAILED. */
int cmd_print_json(json_t *value);

#endif
