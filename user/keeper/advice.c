// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See advice.h. Each setting stands in the program's own manual under that name. */
#include "keeper/advice.h"

#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "host/cgroup.h"

static const struct {
	const char *executable;
	const char *settings[ADVICES];
} known[] = {
	{ "nginx",
	  { "nginx leaves it to run with `listen` without `reuseport`",
	    "nginx has none with `quic_bpf off`" } },
	{ "haproxy", { "haproxy has one with `shards 1` in its `bind` lines", NULL } },
	{ "node", { "a program of Node.js has one without `reusePort: true`", NULL } },
	{ "envoy",
	  { "envoy has one with `--concurrency 1`", "envoy has none with `--concurrency 1`" } },
	{ "unbound", { "unbound has one with `so-reuseport: no`", NULL } },
	{ "knotd",
	  { "knotd has one with `tcp-reuseport: off`",
	    "knotd has none with `socket-affinity: off`" } },
};

const char *advice_of(const char *executable, enum advice advice)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (!strcmp(known[i].executable, executable))
			return known[i].settings[advice];
	}
	return NULL;
}

const char *advice_in_cgroup(int cgroup_fd, enum advice advice)
{
	_cleanup_free_ pid_t *pids = NULL;
	int n = cgroup_fd < 0 ? 0 : cgroup_pids(cgroup_fd, &pids);
	const char *found = NULL;

	for (int i = 0; i < n && !found; i++) {
		char link[32], path[PATH_MAX];
		ssize_t len;
		const char *slash;

		snprintf(link, sizeof(link), "/proc/%d/exe", pids[i]);
		len = readlink(link, path, sizeof(path) - 1);
		if (len <= 0)
			continue;
		path[len] = '\0';
		slash = strrchr(path, '/');
		found = advice_of(slash ? slash + 1 : path, advice);
	}
	return found;
}
