/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The working directory by the name that its user knows: with the links that lead there. */
#ifndef WORKDIR_H
#define WORKDIR_H

#include <limits.h>

/*
 * What PWD says, if that is an absolute path of the directory that we are in, else its real path.
 * A link in it may lead elsewhere later. Returns 0 or -errno.
 */
int workdir_name(char out[PATH_MAX]);

/* `path` below `directory`, unless it is absolute. Returns 0 or -ENAMETOOLONG. */
int workdir_join(char out[PATH_MAX], const char *directory, const char *path);

#endif
