/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who can change where a path leads? */
#ifndef TRUSTED_PATH_H
#define TRUSTED_PATH_H

#include <pwd.h>

/*
 * Can nobody but root and ourselves put another file or a link in the place of anything on the way
 * to the last part of the path? Links are followed as the kernel does. A directory that its group
 * may write to counts unless `user`, NULL = none, is in that group: /var/log is one. Returns 0,
 * -EXDEV = others can, or -errno: something on the way is not there, or can't be looked at.
 */
int trusted_path(const char *path, const struct passwd *user);

#endif
