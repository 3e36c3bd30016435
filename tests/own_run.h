/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* For unit tests of what lbctl has in /run. */
#ifndef OWN_RUN_H
#define OWN_RUN_H

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "keeper/run_files.h"

static inline void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && write(fd, text, strlen(text)) < 0)
		print_message("%s: %s\n", path, strerror(errno));
	close(fd);
}

/* A /run that nobody else sees; where that can't be had, false. */
static inline bool enter_own_run(void)
{
	const bool root = !getuid();
	char map[64];

	snprintf(map, sizeof(map), "%u %u 1", getuid(), getuid());
	if (unshare(CLONE_NEWNS | (root ? 0 : CLONE_NEWUSER)))
		return false;
	if (!root)
		write_text("/proc/self/uid_map", map);
	return !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) &&
	       !mount("tmpfs", "/run", "tmpfs", 0, NULL) && !mkdir(RUN_FILES_DIR, 0755);
}

#endif
