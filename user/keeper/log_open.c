// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See log_open.h. */
#include "keeper/log_open.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "host/trusted_path.h"

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

/* The capabilities that pass by file modes go with the file system's user id, and come back. */
static int open_as(const char *path, const struct passwd *user)
{
	int fd;

	if (initgroups(user->pw_name, user->pw_gid))
		return -errno;
	setfsgid(user->pw_gid);
	setfsuid(user->pw_uid);
	/* neither tells whether it did */
	fd = (uid_t)setfsuid(-1) == user->pw_uid ? open_plain(path) : -EPERM;
	setfsuid(geteuid());
	setfsgid(getegid());
	return fd;
}

int log_open(const char *path, const char *user)
{
	const struct passwd *who = user ? getpwnam(user) : NULL;
	int err = trusted_path(path, who);

	if (!err)
		return open_plain(path);
	return who ? open_as(path, who) : err;
}
