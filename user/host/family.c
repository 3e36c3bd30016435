// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See family.h. */
#include "host/family.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"

struct family {
	pid_t *pids;
	size_t count;
};

static void add_children(struct family *family, pid_t pid, pid_t tid)
{
	_cleanup_fclose_ FILE *file = NULL;
	char path[64];
	int child;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, tid);
	file = fopen(path, "re");
	while (file && family->count < FAMILY_MOST && fscanf(file, "%d", &child) == 1)
		family->pids[family->count++] = child;
}

/* meet() comes first; NULL = look for children instead. */
static int each_thread(struct family *family, pid_t pid, int (*meet)(void *arg, pid_t tid),
		       void *arg)
{
	_cleanup_closedir_ DIR *dir = NULL;
	struct dirent *entry;
	char path[32];
	int err = 0;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	while (!err && dir && (entry = readdir(dir))) {
		pid_t tid = strtol(entry->d_name, NULL, 10);

		if (tid <= 0)
			continue;
		if (meet)
			err = meet(arg, tid);
		else
			add_children(family, pid, tid);
	}
	return err;
}

int family_meet(pid_t pid, int (*meet)(void *arg, pid_t tid), void *arg)
{
	_cleanup_free_ pid_t *pids = calloc(FAMILY_MOST, sizeof(*pids));
	struct family family = { .pids = pids };
	int err = 0;

	if (!pids)
		return -ENOMEM;
	pids[family.count++] = pid;
	for (size_t i = 0; !err && i < family.count; i++) {
		err = each_thread(&family, pids[i], meet, arg);
		if (!err)
			err = each_thread(&family, pids[i], NULL, NULL);
	}
	return err;
}
