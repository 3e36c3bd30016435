/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a function holds, given back on every way out. A pointer starts at NULL and a descriptor
 * at -1. errno is kept, so a value can be returned as -errno after the scope has ended.
 */
#ifndef CLEANUP_H
#define CLEANUP_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define _cleanup_close_ __attribute__((cleanup(cleanup_close)))
#define _cleanup_free_ __attribute__((cleanup(cleanup_free)))
#define _cleanup_fclose_ __attribute__((cleanup(cleanup_fclose)))
#define _cleanup_closedir_ __attribute__((cleanup(cleanup_closedir)))

static inline void cleanup_close(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	errno = saved;
}

/* `variable` is the address of any kind of pointer, hence memcpy() instead of a cast. */
static inline void cleanup_free(void *variable)
{
	int saved = errno;
	void *memory;

	memcpy(&memory, variable, sizeof(memory));
	free(memory);
	errno = saved;
}

static inline void cleanup_fclose(FILE **file)
{
	int saved = errno;

	if (*file)
		fclose(*file);
	errno = saved;
}

static inline void cleanup_closedir(DIR **dir)
{
	int saved = errno;

	if (*dir)
		closedir(*dir);
	errno = saved;
}

/* Hands a descriptor to the caller: returns *fd, which becomes -1 and is not closed any more. */
static inline int fd_steal(int *fd)
{
	int stolen = *fd;

	*fd = -1;
	return stolen;
}

/* Closes a descriptor that is open and sets it to -1; -1 itself is fine. */
static inline void close_fd(int *fd)
{
	cleanup_close(fd);
	*fd = -1;
}

/*
 * Opens the directory `name`, no symbolic link, below the directory `fd`; "." is that itself, read
 * from its beginning. dirfd() is its descriptor. Returns NULL with errno; the caller closes it.
 */
static inline DIR *opendir_at(int fd, const char *name)
{
	int own = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = own < 0 ? NULL : fdopendir(own);

	if (!dir)
		close_fd(&own);
	return dir;
}

#endif
