// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See throttle.h. */
#include "host/throttle.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "host/cgroup.h"

#define ALL_THREE 7

int throttle_parse(FILE *file, struct throttle *out)
{
	struct throttle found = { 0 };
	const struct {
		const char *name;
		uint64_t *to;
	} wanted[] = {
		{ "nr_periods", &found.periods },
		{ "nr_throttled", &found.throttled },
		{ "throttled_usec", &found.throttled_us },
	};
	unsigned int seen = 0;
	uint64_t value;
	char name[40];

	while (fscanf(file, "%39s %" SCNu64, name, &value) == 2) {
		for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
			if (strcmp(name, wanted[i].name))
				continue;
			*wanted[i].to = value;
			seen |= 1U << i;
		}
	}
	if (seen != ALL_THREE)
		return -EBADMSG;
	out->periods = found.periods;
	out->throttled = found.throttled;
	out->throttled_us = found.throttled_us;
	return 0;
}

static FILE *open_in(const char *dir, const char *name)
{
	char path[PATH_MAX];

	return snprintf(path, sizeof(path), "%s/%s", dir, name) < PATH_MAX ? fopen(path, "re") :
									     NULL;
}

/* Of one folder: false where it has no limit. */
static bool read_one(const char *dir, struct throttle *out)
{
	_cleanup_fclose_ FILE *max = open_in(dir, "cpu.max");
	_cleanup_fclose_ FILE *stat = NULL;

	if (!max || !cgroup_read_cpus(max) || strlen(dir) >= THROTTLE_PATH_BYTES)
		return false;
	stat = open_in(dir, "cpu.stat");
	if (!stat || throttle_parse(stat, out))
		return false;
	text_clean(out->cgroup, sizeof(out->cgroup), dir, strlen(dir));
	return true;
}

void throttle_read_tree(const char *root, const char *dir, struct throttle *out)
{
	struct throttle one;
	char at[PATH_MAX];

	*out = (struct throttle){ 0 };
	snprintf(at, sizeof(at), "%s", dir);
	while (strlen(at) >= strlen(root) && !out->throttled) {
		if (read_one(at, &one) && (one.throttled || !*out->cgroup))
			*out = one;
		if (!strchr(at + 1, '/'))
			break;
		*strrchr(at, '/') = '\0';
	}
}

void throttle_read(pid_t pid, struct throttle *out)
{
	char root[PATH_MAX], dir[PATH_MAX], path[32];
	_cleanup_fclose_ FILE *file = NULL;

	*out = (struct throttle){ 0 };
	snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
	file = fopen(path, "re");
	if (!file || cgroup_mount(root))
		return;
	strcpy(dir, root);
	if (!cgroup_read_own(file, dir))
		throttle_read_tree(root, dir, out);
}
