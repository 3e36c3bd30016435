/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the service manager is about to do with a unit. */
#ifndef SYSD_H
#define SYSD_H

#define SYSD_JOB_MAX 32

/*
 * The type of the unit's job: "stop", "restart", "start" ..., "" if it has none. During the
 * commands of ExecStop= and ExecStopPost= that tells one reason from the other. Returns 0 or
 * -errno (-ENOENT, -ECONNREFUSED: no systemd here; -EACCES: not root).
 */
int sysd_job(const char *unit, char type[SYSD_JOB_MAX]);

#endif
