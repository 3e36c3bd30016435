// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * lbctl export: metrics, JSON, events and a page over HTTP. Two processes: this one has the rights
 * to read services, and the other, which reads what clients send, has none (web/server.h).
 */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cmd/cmd_export.h"
#include "cmd/export_reader.h"
#include "web/mhd.h"

#define PLACE "127.0.0.1:9190"
#define USER "nobody"
#define FILE_BYTES 256

static int read_token(const struct cmd *cmd, const char *path, char token[CHANGE_TOKEN_BYTES])
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[FILE_BYTES] = "";
	struct stat file;

	if (fd < 0 || fstat(fd, &file))
		return cmd_fail(cmd, EXIT_FAILED, "--token-file %.120s: %s", path, strerror(errno));
	if (file.st_mode & 0007)
		return cmd_fail(cmd, EXIT_FAILED,
				"--token-file %.120s: everybody may read or write it; chmod 600",
				path);
	if (read(fd, text, sizeof(text) - 1) < 0 || change_read_token(text, token))
		return cmd_fail(cmd, EXIT_FAILED,
				"--token-file %.120s: is to be one word of %d to %d letters, as "
				"head -c 24 /dev/urandom | base64 makes it",
				path, CHANGE_TOKEN_LEAST, CHANGE_TOKEN_BYTES - 1);
	return EXIT_DONE;
}

static int check_changes(const struct cmd *cmd, struct export_plan *plan)
{
	const char *path = cmd_value(cmd, "token-file");

	plan->web.changes = cmd_value(cmd, "allow-changes");
	if (plan->web.changes && !path)
		return cmd_fail(cmd, EXIT_USAGE,
				"--allow-changes goes with --token-file FILE: who knows the word "
				"in it may change something");
	if (!plan->web.changes && path)
		return cmd_fail(cmd, EXIT_USAGE,
				"--token-file is for --allow-changes; reading takes no word");
	return path ? read_token(cmd, path, plan->token) : EXIT_DONE;
}

/* What the process that answers becomes where this one is root. */
static int find_user(const struct cmd *cmd, struct export_plan *plan)
{
	const char *name = cmd_value(cmd, "user") ? cmd_value(cmd, "user") : USER;
	const struct passwd *entry = getpwnam(name);

	if (!entry)
		return cmd_fail(cmd, EXIT_USAGE, "--user %.40s: no such user", name);
	if (!entry->pw_uid)
		return cmd_fail(cmd, EXIT_USAGE,
				"--user %.40s: is root, which is not to read what clients send",
				name);
	plan->user = name;
	plan->web.uid = entry->pw_uid;
	plan->web.gid = entry->pw_gid;
	return EXIT_DONE;
}

static int check_readable(const struct cmd *cmd)
{
	_cleanup_free_ char(*names)[LB_NAME_MAX + 1] = NULL;
	struct trouble trouble;
	size_t n;
	int err = state_names(&names, &n);

	if (!err || err == -ENODEV)
		return EXIT_DONE;
	state_trouble(&trouble, "", err);
	return cmd_trouble(cmd, &trouble);
}

int cmd_export_parse(const struct cmd *cmd, struct export_plan *plan)
{
	const char *list = cmd_value(cmd, "listen");
	struct trouble trouble;
	int status = check_changes(cmd, plan);

	if (!status)
		status = find_user(cmd, plan);
	if (!status)
		status = cmd_parse_group(cmd, &plan->group);
	if (!status && listen_parse(list ? list : PLACE, &plan->places, &trouble))
		status = cmd_trouble(cmd, &trouble);
	return status;
}

static int prepare(const struct cmd *cmd, struct export_plan *plan)
{
	struct trouble trouble;
	const char *why;
	int status = cmd_export_parse(cmd, plan);

	if (!status && mhd_load(&why))
		status = cmd_fail(cmd, EXIT_NOT_ABLE,
				  "needs libmicrohttpd (Debian: libmicrohttpd12): %.200s", why);
	if (!status)
		status = check_readable(cmd);
	if (status)
		return status;
	if (listen_open(&plan->places, plan->group, &trouble))
		return cmd_trouble(cmd, &trouble);
	plan->web.hosts = cmd_value(cmd, "host");
	plan->web.nr_listeners = plan->places.count;
	for (size_t i = 0; i < plan->places.count; i++)
		plan->web.listeners[i] = plan->places.at[i].fd;
	return EXIT_DONE;
}

static void tell(const struct cmd *cmd, const struct export_plan *plan)
{
	json_t *places = json_array();

	for (size_t i = 0; i < plan->places.count; i++) {
		json_array_append_new(places, text_json(plan->places.at[i].text));
		if (!cmd->json)
			printf("%s  %s\n", plan->places.at[i].text,
			       plan->web.changes ? "changes are let in with the token" :
						   "read-only");
	}
	if (cmd->json)
		cmd_print_json(text_pack("{s:i, s:o, s:b}", "schema", 1, "listening",
					 json_incref(places), "changes", plan->web.changes));
	json_decref(places);
	fflush(stdout);
}

static void run_web(const struct cmd *cmd, const struct export_plan *plan)
{
	int err = server_run(&plan->web);

	_exit(err ? cmd_fail(cmd, EXIT_FAILED, "the process that answers: %s%s", strerror(-err),
			     err == -EPERM ? "; to become another user takes CAP_SETUID and "
					     "CAP_SETGID" :
					     "") :
		    EXIT_DONE);
}

static int serve(const struct cmd *cmd, struct export_plan *plan)
{
	int ends[2], err = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) ? -errno : 0;
	struct reader_config reads = { .token = plan->web.changes ? plan->token : NULL };
	pid_t web = err ? -1 : fork();

	if (web < 0)
		return cmd_fail(cmd, EXIT_FAILED, "%s", strerror(errno));
	if (!web) {
		memset(plan->token, 0, sizeof(plan->token));
		close(ends[0]);
		plan->web.reader_fd = ends[1];
		run_web(cmd, plan);
	}
	close(ends[1]);
	listen_close(&plan->places);
	reads.web_fd = ends[0];
	err = reader_run(&reads);
	close(ends[0]);
	waitpid(web, NULL, 0);
	if (err == -EPIPE)
		return cmd_fail(cmd, EXIT_FAILED, "the process that answers has ended");
	return err < 0 ? cmd_fail(cmd, EXIT_FAILED, "%s", strerror(-err)) : EXIT_DONE;
}

static int run(struct cmd *cmd)
{
	struct export_plan plan = { 0 };
	int status = prepare(cmd, &plan);

	if (!status)
		tell(cmd, &plan);
	if (!status)
		status = serve(cmd, &plan);
	listen_close(&plan.places);
	listen_remove(&plan.places);
	return status;
}

static const struct cmd_option options[] = {
	{ "listen", "ADDR[,ADDR]",
	  "a loopback address, or unix:PATH (default " PLACE "; a port alone is of 127.0.0.1)" },
	{ "group", "GROUP", "who may connect to unix:PATH, besides root" },
	{ "host", "NAME[,NAME]", "also answer to this name, as of a proxy in front" },
	{ "user", "USER", "what answers runs as, where lbctl is root (default " USER ")" },
	{ "allow-changes", NULL, "policy, weight, drain, resume and reload, with the token" },
	{ "token-file", "FILE", "the token: a word of 16 letters or more" },
	{ NULL, NULL, NULL },
};

const struct command cmd_export = {
	.name = "export",
	.args = "",
	.summary = "metrics for Prometheus, JSON and a page over HTTP, until interrupted",
	.details =
		"/ is the page, /metrics for Prometheus, /api/services and "
		"/api/services/NAME are what list and show print as JSON, /api/events tells what "
		"happens. It reads and changes nothing; see EXPORT in lbctl(8).",
	.kind = NOUN,
	.options = options,
	.run = run,
};
