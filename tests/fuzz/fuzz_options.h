/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The options of lbctl run, parsed and no further: what is taken is within its limits, what is
 * refused is told in one line. Whether files and directories are there is looked at.
 */
#ifndef FUZZ_OPTIONS_H
#define FUZZ_OPTIONS_H

#include <grp.h>
#include <pwd.h>
#include <signal.h>

#include "cmd/run_options.h"
#include "fuzz/fuzz.h"

static struct keeper_options got;
static char said[16384];
static struct command ours;
const struct command *const cmd_table[] = { &ours, NULL };

/* Of users and groups there are those that have a letter n. */
struct passwd *getpwnam(const char *name)
{
	static struct passwd entry;

	return strchr(name, 'n') ? &entry : NULL;
}

struct group *getgrnam(const char *name)
{
	static struct group entry = { .gr_gid = 7 };

	return strchr(name, 'n') ? &entry : NULL;
}

static inline void check_options(const struct keeper_options *options)
{
	FUZZ_CHECK(!parse_name(options->name) && *options->argv);
	FUZZ_CHECK(options->workers >= 1 && options->workers <= LB_MAX_WORKERS);
	FUZZ_CHECK(options->nr_listens <= LB_MAX_LISTENERS && options->max_restarts <= 1000000);
	FUZZ_CHECK(options->stop_signal >= 1 && options->stop_signal <= SIGRTMAX &&
		   options->reload_signal >= 0 && options->reload_signal <= SIGRTMAX);
	FUZZ_CHECK(options->kill_mode < KILL_MODES_COUNT && kill_mode_name(options->kill_mode));
	FUZZ_CHECK(options->kill_timeout_ms <= PARSE_MAX_MS && options->max_memory <= INT64_MAX);
	for (int proto = 0; proto < LB_BIND_PROTOS; proto++)
		FUZZ_CHECK(options->rules.shared[proto].count <= LB_MAX_PORTS &&
			   options->rules.offsets[proto].count <= LB_MAX_PORTS);
}

static int run(struct cmd *cmd)
{
	int status;

	got = (struct keeper_options){ .argv = cmd->args, .rescue = true };
	if (!cmd->nr_args)
		return cmd_fail(cmd, EXIT_USAGE, "too few arguments");
	status = run_options_parse(cmd, &got);
	if (!status)
		check_options(&got);
	return status;
}

static void check_said(int status)
{
	char *end;

	fflush(stderr);
	end = strchr(said, '\n');
	FUZZ_CHECK(status ? !strncmp(said, "lbctl: ", 7) && end && !end[1] : !*said);
	rewind(stderr);
	memset(said, 0, end ? end + 2 - said : 1);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	ours = cmd_run;
	ours.run = run;
	stderr = fmemopen(said, sizeof(said), "w");
	return 0;
}

#endif
