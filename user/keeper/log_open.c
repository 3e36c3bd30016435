// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See log_open.h. */
#include "keeper/log_open.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "keeper/user_rights.h"

/*
 * Who owns the directory may have put something else there, a way to another file or a pipe that
 * nobody reads. -EMLINK: that is so.
 */
static int open_plain(const char *path)
{
	_cleanup_close_ int fd = open(
		path, O_WRONLY | O_APPEND | O_CREAT | O_NOCTTY | O_NOFOLLOW | O_NONBLOCK, 0640);
	struct stat st;

	if (fd < 0)
		return errno == ELOOP || errno == ENXIO ? -EMLINK : -errno;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_nlink != 1)
		return -EMLINK;
	fcntl(fd, F_SETFL, O_APPEND);
	return fd_steal(&fd);
}

int log_open(const char *path, const char *user)
{
	int fd = user_rights_take(path, user);

	if (fd)
		return fd;
	fd = open_plain(path);
	user_rights_give_back();
	return fd;
}
