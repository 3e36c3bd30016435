/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a process about to become the worker's user reads and enters by a path that is his. */
#ifndef USER_RIGHTS_H
#define USER_RIGHTS_H

/*
 * Where others than root could change where the path leads (trusted_path.h; with a slash at its end
 * its last part counts, too), takes the rights to files of `user`, who could do as much by himself;
 * NULL = there is none. The groups of the process are his from then on. Returns 0 = with rights
 * that it may have, until user_rights_give_back(); -EXDEV, with our own: others could, and `user`
 * is NULL; or -errno.
 */
int user_rights_take(const char *path, const char *user);
void user_rights_give_back(void);

#endif
