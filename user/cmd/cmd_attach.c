// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* lbctl attach: take a running server's reuseport groups over. */
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/cleanup.h"
#include "cmd/cmd.h"
#include "host/netns.h"
#include "host/probe.h"
#include "service/attach.h"

int cmd_parse_group(const struct cmd *cmd, uint32_t *gid)
{
	const char *text = cmd_value(cmd, "group");
	const struct group *entry;
	uint64_t number;

	*gid = LB_NO_GROUP;
	if (!text)
		return EXIT_DONE;
	if (!parse_u64(text, 0, LB_NO_GROUP - 1, &number)) {
		*gid = number;
		return EXIT_DONE;
	}
	entry = getgrnam(text);
	if (!entry)
		return cmd_fail(cmd, EXIT_USAGE, "--group %.40s: no such group", text);
	*gid = entry->gr_gid;
	return EXIT_DONE;
}

static int parse_values(struct cmd *cmd, struct attach_request *request)
{
	const char *policy = cmd_value(cmd, "policy"), *pid = cmd_value(cmd, "pid");
	const char *flows = cmd_value(cmd, "flows");
	uint64_t number;

	request->name = cmd_value(cmd, "name");
	request->rescue = cmd_value(cmd, "rescue");
	request->replace = cmd_value(cmd, "replace");
	request->dry_run = cmd->dry_run;
	if (request->name && parse_name(request->name))
		return cmd_fail(cmd, EXIT_USAGE, "--name \"%.80s\": %s", request->name,
				parse_name_rule());
	if (policy && cmd_parse_policy(cmd, policy, &request->policy))
		return EXIT_USAGE;
	if (pid && parse_u64(pid, 1, INT_MAX, &number))
		return cmd_fail(cmd, EXIT_USAGE, "--pid %.20s: not a process id", pid);
	request->pid = pid ? number : 0;
	if (flows && parse_u64(flows, 1, LB_MAX_FLOWS, &number))
		return cmd_fail(cmd, EXIT_USAGE, "--flows %.20s: not a number from 1 to %d", flows,
				LB_MAX_FLOWS);
	request->flows = flows ? number : 0;
	return cmd_parse_group(cmd, &request->group);
}

static void print_attached(const struct cmd *cmd, const struct attach_result *result)
{
	const struct features *found = probe_features();
	struct utsname kernel = { 0 };

	uname(&kernel);
	if (cmd->dry_run) {
		printf("would %s %s: %u worker%s of %s, policy %s\n",
		       result->made ? "attach" : "refresh", result->name, result->workers,
		       plural(result->workers), result->server, policy_name(result->policy));
		return;
	}
	if (!result->made) {
		printf("refreshed %s: %u worker%s of %s, policy %s, %u new socket%s, %u worker%s "
		       "gone\n",
		       result->name, result->workers, plural(result->workers), result->server,
		       policy_name(result->policy), result->added, plural(result->added),
		       result->gone, plural(result->gone));
		return;
	}
	printf("attached %s: %u worker%s of %s, policy %s, kernel %.20s (%s). Undo: lbctl detach "
	       "%s\n",
	       result->name, result->workers, plural(result->workers), result->server,
	       policy_name(result->policy), kernel.release,
	       found->migrate && found->cast ? "all features" : "lbctl doctor shows what it lacks",
	       result->name);
	if (result->untracked)
		printf("connections are not counted, so no least-conn, least-latency, limit: %s\n",
		       result->untracked);
	printf("workers that start later join when lbctl attach is run again\n");
}

static int run(struct cmd *cmd)
{
	struct addr addrs[LB_MAX_LISTENERS];
	struct attach_request request = { .netns_fd = -1, .addrs = addrs };
	_cleanup_close_ int netns = -1;
	struct attach_result result;
	struct trouble trouble;
	const char *why;
	int status;

	for (int i = 0; i < cmd->nr_args; i++) {
		if (addr_parse(cmd->args[i], &addrs[i], &why))
			return cmd_fail(cmd, EXIT_USAGE, "%s", why);
	}
	request.nr_addrs = cmd->nr_args;
	status = parse_values(cmd, &request);
	if (status)
		return status;
	if (cmd_value(cmd, "netns") && netns_open(cmd_value(cmd, "netns"), &netns, NULL, &why))
		return cmd_fail(cmd, EXIT_FAILED, "--netns %.80s: %s", cmd_value(cmd, "netns"),
				why);
	request.netns_fd = netns;
	status = attach_run(&request, &result, &trouble);
	if (status)
		return cmd_trouble(cmd, &trouble);
	if (cmd->json)
		return cmd_print_json(text_pack(
			"{s:s, s:s, s:i, s:b, s:i, s:i, s:b}", "service", result.name, "policy",
			policy_name(result.policy), "workers", result.workers, "made", result.made,
			"added", result.added, "gone", result.gone, "dry_run", cmd->dry_run));
	print_attached(cmd, &result);
	return EXIT_DONE;
}

static const struct cmd_option options[] = {
	{ "name", "NAME", "name of the service (default: tcp-PORT or udp-PORT)" },
	{ "policy", "POLICY", "how to pick a worker (default: least-conn; UDP: rr)" },
	{ "rescue", NULL, "let lbctl watch move what waits at a worker that hangs" },
	{ "replace", NULL, "take over a group that another BPF program steers" },
	{ "pid", "PID", "only sockets that this process polls" },
	{ "netns", "PID|NAME", "look in this network namespace" },
	{ "group", "GROUP", "let workers of this group report load" },
	{ "flows", "N", "UDP: room for N flows, see `set flow_ms` (default: 65536)" },
	{ NULL, NULL, NULL },
};

const struct command cmd_attach = {
	.name = "attach",
	.args = "ADDR...",
	.summary = "take over a running server's SO_REUSEPORT group(s)",
	.details = "ADDR is 8080, :8080, 10.0.0.1:80, localhost:3000, [::]:443 or udp/:53. Run "
		   "again, it brings the service up to date: new sockets join, closed ones leave, "
		   "process ids are looked up.",
	.min_args = 1,
	.max_args = LB_MAX_LISTENERS,
	.kind = VERB,
	.options = options,
	.run = run,
};
