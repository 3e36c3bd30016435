/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The priority of a process that others wait for, each time for some microseconds. */
#ifndef PRIORITY_H
#define PRIORITY_H

/*
 * From now on this process is scheduled before all ordinary ones (SCHED_FIFO, or a nice value of
 * -10 where that is not allowed). Should it ever run for 50 ms without a sleep, it comes down to
 * the others. Takes SIGXCPU and RLIMIT_RTTIME.
 */
void priority_raise(void);

/* As every other process again. */
void priority_lower(void);

#endif
