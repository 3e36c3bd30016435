// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See locks.h. */
#include "host/locks.h"

#include <stdio.h>
#include <sys/sysmacros.h>

#include "base/cleanup.h"

pid_t locks_parse(const char *line, const struct stat *file)
{
	unsigned int dev_major, dev_minor;
	unsigned long inode;
	int pid;

	/* one that waits has "->" behind its number */
	if (sscanf(line, "%*u: FLOCK %*s %*s %d %x:%x:%lu", &pid, &dev_major, &dev_minor, &inode) !=
	    4)
		return 0;
	if (pid <= 0 || inode != file->st_ino || dev_major != major(file->st_dev) ||
	    dev_minor != minor(file->st_dev))
		return 0;
	return pid;
}

pid_t locks_holder_of(const struct stat *file)
{
	_cleanup_fclose_ FILE *locks = fopen("/proc/locks", "re");
	char line[256];
	pid_t pid = 0;

	while (locks && !pid && fgets(line, sizeof(line), locks))
		pid = locks_parse(line, file);
	return pid;
}

pid_t locks_holder(const char *path)
{
	struct stat file;

	return stat(path, &file) ? 0 : locks_holder_of(&file);
}
