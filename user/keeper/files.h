/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a keeper has below /run/lbctl, one file a purpose: NAME.lock, NAME.sock, NAME.notify,
 * NAME.cgroup. They stay when it is killed.
 */
#ifndef KEEPER_FILES_H
#define KEEPER_FILES_H

#include <limits.h>
#include <sys/types.h>

#define KEEPER_DIR "/run/lbctl"
#define KEEPER_PATH_BYTES 128

/* The path of a service's file; `ending` is one of those above, "lock" ... */
void keeper_path(const char *name, const char *ending, char out[KEEPER_PATH_BYTES]);

/* Removes them all, cgroup and lock last. Only for who holds the lock. */
void keeper_remove_files(const char *name);

/*
 * Takes the lock, which goes with its holder: one keeper a service. Returns a descriptor for the
 * caller to close, -EWOULDBLOCK (a keeper has it: *holder is its pid, or 0) or -errno.
 */
int keeper_lock(const char *name, pid_t *holder);

/*
 * In which cgroup directory the one of the service is, lbctl-NAME: a later lbctl may be started
 * elsewhere. Reading returns 0 or -ENOENT, also when that directory is gone.
 */
int keeper_read_cgroup(const char *name, char parent[PATH_MAX]);
void keeper_write_cgroup(const char *name, const char *parent);

#endif
