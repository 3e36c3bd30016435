// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* lbctl detach: give a service's groups back to the kernel. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "cmd/cmd.h"
#include "keeper/control_client.h"
#include "keeper/leftovers.h"
#include "keeper/run_files.h"
#include "service/detach.h"

/* Who looks after the service and would take it over again; 0 = nobody. */
static pid_t keeper_of(const char *name)
{
	pid_t pid = control_keeper(name);

	/* one that has just begun has no socket yet */
	if (!pid)
		pid = run_files_holder(name);
	return pid > 0 ? pid : 0;
}

/* Has its lbctl watch end, and waits until it has. */
static int end_watch(const struct cmd *cmd, const char *name)
{
	_cleanup_close_ int fd = control_connect(name);
	json_t *request = text_pack("{s:s}", "verb", "stop"), *reply = NULL;
	int err = fd < 0 ? fd : control_request(fd, request);

	json_decref(request);
	if (!err)
		err = control_receive(fd, &reply);
	json_decref(reply);
	/* gone meanwhile is what was asked for */
	if (!err || err == -EPIPE || err == -ECONNRESET || err == -ENOENT || err == -ECONNREFUSED)
		return EXIT_DONE;
	return cmd_fail(cmd, EXIT_FAILED, "can't end its lbctl watch: %s; do that first",
			strerror(-err));
}

/*
 * A keeper takes back what is taken from it, within seconds. --force ends a watch for good, as the
 * server goes on without; what lbctl run started has only lbctl for its port, and is stopped.
 */
static int release_from_keeper(const struct cmd *cmd, const char *name)
{
	bool runs = leftovers_are_of_run(name);
	pid_t keeper = keeper_of(name);

	if (!keeper)
		return EXIT_DONE;
	if (runs)
		return cmd_fail(cmd, EXIT_FAILED,
				"lbctl run (pid %d) keeps it and would take it over again; lbctl "
				"stop %s ends the service and its workers",
				keeper, name);
	if (!cmd_value(cmd, "force"))
		return cmd_fail(cmd, EXIT_FAILED,
				"lbctl watch (pid %d) keeps it and would attach it again; give "
				"--force to end that as well, the server goes on",
				keeper);
	return cmd->dry_run ? EXIT_DONE : end_watch(cmd, name);
}

static int detach_one(struct cmd *cmd, const char *name, json_t *done)
{
	struct trouble trouble;
	struct state state;
	int status = EXIT_DONE;

	snprintf(cmd->object, sizeof(cmd->object), "%s", name);
	status = release_from_keeper(cmd, name);
	if (status)
		return status;
	if (!cmd->dry_run) {
		status = detach_run(name, &trouble);
		if (!status)
			leftovers_sweep(name);
	} else {
		int err = state_open(&state, name, STATE_READ);

		if (!err)
			state_close(&state);
		else if (err != -ESTALE && err != -EUCLEAN)
			status = state_trouble(&trouble, name, err);
	}
	if (status)
		return cmd_trouble(cmd, &trouble);
	if (done)
		json_array_append_new(done, text_json(name));
	else
		printf("%s %s: the kernel's hash spreads its connections%s\n",
		       cmd->dry_run ? "would detach" : "detached", name,
		       cmd->dry_run ? " then" : " again");
	return EXIT_DONE;
}

static int detach_all(struct cmd *cmd, json_t *done)
{
	_cleanup_free_ char(*names)[LB_NAME_MAX + 1] = NULL;
	struct trouble trouble;
	int status = EXIT_DONE, one, err;
	size_t n = 0;

	err = state_names(&names, &n);
	if (err && err != -ENODEV) {
		state_trouble(&trouble, "", err);
		return cmd_trouble(cmd, &trouble);
	}
	/* it has no name yet, so that is no service: what an attach that was killed has left */
	err = cmd->dry_run ? 0 : state_sweep();
	if (err) {
		state_trouble(&trouble, "", err);
		status = cmd_trouble(cmd, &trouble);
	}
	for (size_t i = 0; i < n; i++) {
		one = detach_one(cmd, names[i], done);
		/* gone meanwhile is what was asked for */
		if (one && one != EXIT_NOT_FOUND)
			status = one;
	}
	return status;
}

static int run(struct cmd *cmd)
{
	json_t *done = cmd->json ? json_array() : NULL;
	char name[LB_NAME_MAX + 1];
	int status;

	if (cmd_value(cmd, "all") && cmd->nr_args)
		return cmd_fail(cmd, EXIT_USAGE, "give a name or --all, not both");
	if (cmd_value(cmd, "all")) {
		status = detach_all(cmd, done);
	} else {
		status = cmd_take_name(cmd, 0, name);
		if (!status)
			status = detach_one(cmd, name, done);
	}
	if (!cmd->json)
		return status;
	if (status) {
		json_decref(done);
		return status;
	}
	return cmd_print_json(text_pack("{s:o, s:b}", "detached", done, "dry_run", cmd->dry_run));
}

static const struct cmd_option options[] = {
	{ "all", NULL, "every service" },
	{ "force", NULL, "also one that lbctl watch keeps: that ends first" },
	{ NULL, NULL, NULL },
};

const struct command cmd_detach = {
	.name = "detach",
	.args = "[NAME|--all]",
	.summary = "give a service's groups back to the kernel and remove all it has",
	.details = "Works on services that are broken or of another version, too. A service that a "
		   "living lbctl run keeps is ended by lbctl stop.",
	.max_args = 1,
	.kind = VERB,
	.options = options,
	.run = run,
};
