// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See proc_file.h. */
#include "host/proc_file.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/cleanup.h"

ssize_t proc_file_read(pid_t pid, const char *name, char *out, size_t len)
{
	_cleanup_close_ int fd = -1;
	ssize_t have = 0, got;
	char path[64];

	*out = '\0';
	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	do {
		got = read(fd, out + have, len - 1 - have);
		have += got > 0 ? got : 0;
	} while (got > 0);
	out[got < 0 ? 0 : have] = '\0';
	return got < 0 ? -errno : have;
}
