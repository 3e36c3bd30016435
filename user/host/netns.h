/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Network namespaces: open one by process or name, find one by inode, run a function inside. */
#ifndef NETNS_H
#define NETNS_H

#include <stddef.h>
#include <stdint.h>

/*
 * Opens the namespace that a user named: digits are a process id, anything else is a name below
 * /run/netns or /var/run/netns as `ip netns` makes them. A namespace whose name is all digits is
 * reached through a process in it.
 *
 * Returns 0 with a descriptor that the caller closes and its inode (may be NULL), or -EINVAL (not
 * a name, or what it names is no network namespace), -ENAMETOOLONG, -ESRCH (no such process),
 * -ENOENT (no such name), -EACCES (another user's process without CAP_SYS_PTRACE) or -errno.
 * After an error *fd is as it was and *why (may be NULL) is a constant phrase such as "no such
 * process".
 */
int netns_open(const char *text, int *fd, uint64_t *inode, const char **why);

/* The inode of the calling thread's namespace. Returns 0 or -errno. */
int netns_of_self(uint64_t *inode);

/*
 * Opens the namespace with this inode: the calling thread's own, one with a name, or that of any
 * process. Returns 0 with a descriptor that the caller closes, -ENOENT, or -EACCES when it was not
 * found but some processes could not be looked at.
 */
int netns_find(uint64_t inode, int *fd);

/*
 * Inodes of all namespaces that have a process in it or a name, each once, the caller's first.
 * Returns 0 or -ENOMEM; the caller frees *inodes.
 */
int netns_all(uint64_t **inodes, size_t *count);

/*
 * Runs fn(arg) in namespace `fd`: on a thread of its own, so that the caller never leaves its
 * namespace, with all signals blocked, so that handlers run elsewhere. With fd < 0 or the caller's
 * own namespace fn runs directly and no privilege is needed. Waits for the end.
 *
 * Returns what fn returned, or -EPERM (no CAP_SYS_ADMIN), -EINVAL (no network namespace), -EAGAIN
 * (no thread to be had); then fn has not run.
 */
int netns_run(int fd, int (*fn)(void *), void *arg);

#endif
