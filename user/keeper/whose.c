// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See runner.h: whose a process is, by the path of its cgroup. */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "host/cgroup.h"
#include "keeper/runner.h"

bool runner_parse_name(const char *text, uint32_t *worker, uint32_t *generation)
{
	const char *dash = text + strcspn(text, "-"), *end = text + strcspn(text, "/\n");
	uint64_t number, of_process;
	char digits[2][16];

	if (*text != 'w' || dash >= end || dash - text > 15 || end - dash > 15)
		return false;
	snprintf(digits[0], sizeof(digits[0]), "%.*s", (int)(dash - text - 1), text + 1);
	snprintf(digits[1], sizeof(digits[1]), "%.*s", (int)(end - dash - 1), dash + 1);
	if (parse_u64(digits[0], 0, LB_MAX_WORKERS - 1, &number) ||
	    parse_u64(digits[1], 1, INT32_MAX, &of_process))
		return false;
	*worker = number;
	*generation = of_process;
	return true;
}

static bool is_member(const struct runner *runner, pid_t pid)
{
	_cleanup_free_ pid_t *pids = NULL;
	int n = cgroup_pids(runner->cgroup_fd, &pids);

	for (int i = 0; i < n; i++) {
		if (pids[i] == pid)
			return true;
	}
	return false;
}

/*
 * "0::/.../lbctl-web/w3-7" is the seventh process of all, and worker 3. Whoever may have called a
 * cgroup so elsewhere in the path: the one that counts has the process in it.
 */
static struct runner *runner_in_path(const struct runners *all, const char *path,
				     const char *service, pid_t pid)
{
	char part[LB_NAME_MAX + 16];
	uint32_t worker, generation;
	struct runner *runner;
	size_t len;

	len = snprintf(part, sizeof(part), "/lbctl-%s/", service);
	for (const char *at = strstr(path, part); at; at = strstr(at + 1, part)) {
		if (!runner_parse_name(at + len, &worker, &generation))
			continue;
		runner = runner_find(all, worker, generation);
		if (runner && is_member(runner, pid))
			return runner;
	}
	return NULL;
}

struct runner *runner_of_pid(const struct runners *all, const char *service, pid_t pid)
{
	_cleanup_fclose_ FILE *file = NULL;
	_cleanup_free_ char *line = NULL;
	struct runner *found = NULL;
	size_t room = 0;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
	file = fopen(path, "re");
	while (file && !found && getline(&line, &room, file) > 0) {
		if (!strncmp(line, "0::", 3))
			found = runner_in_path(all, line, service, pid);
	}
	return found;
}
