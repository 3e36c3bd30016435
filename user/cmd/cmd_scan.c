// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* lbctl scan: every reuseport group on the host, who steers it, how even it is. Changes nothing. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cmd/cmd.h"
#include "service/hold.h"
#include "host/group.h"
#include "host/netns.h"
#include "host/proc_name.h"

/* One line shows so many sockets' figures. */
#define MOST_FIGURES 8
/* Uneven: the fullest has this many times the mean, and there is enough to judge by. */
#define UNEVEN_FACTOR 1.3
#define UNEVEN_LEAST 16

struct scan {
	struct cmd *cmd;
	uint64_t own_netns;
	json_t *rows;
	size_t lines;
	bool blind;    /* some groups are guessed: no CAP_BPF */
	size_t closed; /* namespaces that could not be entered */
};

static void steered_by(const struct reuseport_group *group, char *out, size_t len)
{
	_cleanup_free_ char(*names)[LB_NAME_MAX + 1] = NULL;
	uint32_t ids[STATE_MOST_PROGRAMS];
	char steerer[GROUP_STEERER_BYTES];
	size_t n = 0;

	snprintf(out, len, "kernel hash");
	if (!group->prog_id)
		return;
	group_steerer(group, steerer);
	snprintf(out, len, "%s", steerer);
	state_names(&names, &n);
	for (size_t i = 0; i < n; i++) {
		int found = state_program_ids(names[i], ids, STATE_MOST_PROGRAMS);

		for (int j = 0; j < found; j++) {
			if (ids[j] == group->prog_id)
				snprintf(out, len, "lbctl: %s", names[i]);
		}
	}
}

static bool is_uneven(const struct reuseport_group *group)
{
	uint32_t most = 0, total = 0;

	for (size_t i = 0; i < group->nr_members; i++) {
		total += group->members[i].live;
		if (group->members[i].live > most)
			most = group->members[i].live;
	}
	return total >= UNEVEN_LEAST && most > UNEVEN_FACTOR * total / group->nr_members;
}

static void figures(const struct reuseport_group *group, bool live, char *out, size_t len)
{
	size_t used = 0;

	*out = '\0';
	for (size_t i = 0; i < group->nr_members && i < MOST_FIGURES && used < len; i++)
		used += snprintf(out + used, len - used, "%s%u", i ? " " : "",
				 live ? group->members[i].live : group->members[i].socket.queued);
	if (group->nr_members > MOST_FIGURES && used < len)
		snprintf(out + used, len - used, " ..");
}

static void print_group(struct scan *scan, const struct reuseport_group *group, const char *server,
			const char *steerer)
{
	char address[ADDR_STRLEN], live[128], queued[128];

	if (!scan->lines++)
		printf("%-22s %-15s %7s  %-20s %-16s %s\n", "ADDRESS", "SERVER", "SOCKETS", "LIVE",
		       "QUEUED", "STEERED BY");
	group_address(group, address);
	figures(group, true, live, sizeof(live));
	figures(group, false, queued, sizeof(queued));
	printf("%-22s %-15s %7zu  %-20s %-16s %s", address, server, group->nr_members, live, queued,
	       steerer);
	if (group->netns != scan->own_netns)
		printf("  (netns %lu%s%d)", (unsigned long)group->netns, ", --netns ",
		       group->members[0].pid);
	if (!group->prog_id && is_uneven(group))
		printf("   <- uneven; try: lbctl attach %s", address);
	putchar('\n');
}

static void add_row(struct scan *scan, const struct reuseport_group *group, const char *server,
		    const char *steerer)
{
	json_t *live = json_array(), *queued = json_array(), *pids = json_array();
	char address[ADDR_STRLEN];

	for (size_t i = 0; i < group->nr_members; i++) {
		json_array_append_new(live, json_integer(group->members[i].live));
		json_array_append_new(queued, json_integer(group->members[i].socket.queued));
		json_array_append_new(pids, json_integer(group->members[i].pid));
	}
	addr_format(group->family, group->addr, group->port, address, sizeof(address));
	json_array_append_new(scan->rows,
			      text_pack("{s:s, s:s, s:s, s:i, s:o, s:o, s:o, s:s, s:i, s:I}",
					"proto", group->proto == LB_PROTO_UDP ? "udp" : "tcp",
					"addr", address, "server", server, "sockets",
					(int)group->nr_members, "pids", pids, "live", live,
					"queued", queued, "steered_by", steerer, "program",
					(int)group->prog_id, "netns", (json_int_t)group->netns));
}

static void report_group(struct scan *scan, const struct reuseport_group *group)
{
	char server[PROC_NAME_BYTES] = "?", steerer[LB_NAME_MAX + 16];
	pid_t pid = group->members[0].pid;

	if (pid && proc_name(pid, server, sizeof(server)))
		strcpy(server, "?");
	steered_by(group, steerer, sizeof(steerer));
	if (scan->cmd->json)
		add_row(scan, group, server, steerer);
	else
		print_group(scan, group, server, steerer);
}

static int scan_netns(struct scan *scan, int netns_fd)
{
	struct groups groups;
	int err = groups_find(netns_fd, 0, 0, GROUP_LIVE | GROUP_UDP, &groups);

	if (err)
		return err;
	hold_strip(&groups);
	scan->blind |= groups.inspect_error != 0;
	for (size_t i = 0; i < groups.count; i++) {
		const struct reuseport_group *group = &groups.items[i];

		if (groups.inspect_error ? group->nr_members > 1 : group->id != 0)
			report_group(scan, group);
	}
	groups_free(&groups);
	return 0;
}

static int scan_all(struct scan *scan)
{
	_cleanup_free_ uint64_t *inodes = NULL;
	size_t n;
	int err = netns_all(&inodes, &n);

	for (size_t i = 0; i < n && !err; i++) {
		_cleanup_close_ int fd = -1;

		err = netns_find(inodes[i], &fd);
		if (!err)
			err = scan_netns(scan, fd);
		/* only its own namespace must be readable; it is the first */
		if (err && i) {
			scan->closed += err != -ENOENT;
			err = 0;
		}
	}
	return err;
}

static int run(struct cmd *cmd)
{
	struct scan scan = { .cmd = cmd, .rows = cmd->json ? json_array() : NULL };
	const char *where = cmd_value(cmd, "netns"), *why;
	_cleanup_close_ int netns = -1;
	int err;

	netns_of_self(&scan.own_netns);
	if (where && netns_open(where, &netns, NULL, &why))
		return cmd_fail(cmd, EXIT_FAILED, "--netns %.80s: %s", where, why);
	err = where ? scan_netns(&scan, netns) : scan_all(&scan);
	if (err) {
		json_decref(scan.rows);
		return cmd_fail(cmd, err == -EPERM ? EXIT_NOT_ABLE : EXIT_FAILED,
				"can't list listening sockets: %s", strerror(-err));
	}
	if (cmd->json)
		return cmd_print_json(scan.rows);
	if (!scan.lines)
		printf("no SO_REUSEPORT group; a server makes one when each worker listens with "
		       "SO_REUSEPORT\n");
	if (scan.blind)
		printf("without CAP_BPF and CAP_PERFMON groups and programs are guessed; run as "
		       "root\n");
	if (scan.closed)
		printf("%zu network namespace%s could not be entered; run as root\n", scan.closed,
		       plural(scan.closed));
	return EXIT_DONE;
}

static const struct cmd_option options[] = {
	{ "netns", "PID|NAME", "only this network namespace" },
	{ NULL, NULL, NULL },
};

const struct command cmd_scan = {
	.name = "scan",
	.args = "",
	.summary = "every reuseport group on the host, its spread, who steers it; changes nothing",
	.kind = NOUN,
	.options = options,
	.run = run,
};
