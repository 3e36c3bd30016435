/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a keeper has below /run/lbctl, one file a purpose: NAME.lock, NAME.sock, NAME.stream,
 * NAME.notify, NAME.cgroup, NAME.command, NAME.logs, NAME.applied. They stay when it is killed.
 */
#ifndef RUN_FILES_H
#define RUN_FILES_H

#include <limits.h>
#include <sys/types.h>

#define RUN_FILES_DIR "/run/lbctl"
#define RUN_FILES_PATH_BYTES 128

/* The path of a service's file; `ending` is one of those above, "lock" ... */
void run_files_path(const char *name, const char *ending, char out[RUN_FILES_PATH_BYTES]);

/*
 * Writes one line into such a file in place of what was there: who reads it sees the old one or the
 * new one. Where there is no room the old one stays.
 */
void run_files_write(const char *name, const char *ending, const char *line);

/* That line, without its end. Returns 0 or -ENOENT. */
int run_files_read(const char *name, const char *ending, char line[PATH_MAX]);

/* Removes them all, cgroup and lock last. Only for who holds the lock. */
void run_files_remove(const char *name);

/*
 * Takes the lock, which goes with its holder: one keeper a service. Returns a descriptor for the
 * caller to close, -EWOULDBLOCK (a keeper has it: *holder is its pid, or 0) or -errno.
 */
int run_files_lock(const char *name, pid_t *holder);

/*
 * Who has the lock: a keeper's pid, 0 for nobody, or -errno where that can't be seen. Not for the
 * holder itself, who would lose it by this.
 */
pid_t run_files_holder(const char *name);

/*
 * In which cgroup directory the one of the service is, lbctl-NAME: a later lbctl may be started
 * elsewhere. Reading returns 0 or -ENOENT, also when that directory is gone.
 */
int run_files_read_cgroup(const char *name, char parent[PATH_MAX]);
void run_files_write_cgroup(const char *name, const char *parent);

#endif
