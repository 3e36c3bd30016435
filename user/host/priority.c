// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See priority.h. */
#include "host/priority.h"

#include <sched.h>
#include <signal.h>
#include <sys/resource.h>

#define MOST_US 50000
#define BEFORE_OTHERS (-10) /* a nice value */

void priority_lower(void)
{
	const struct sched_param none = { 0 };

	sched_setscheduler(0, SCHED_OTHER, &none);
	setpriority(PRIO_PROCESS, 0, 0);
}

static void on_overrun(int signal)
{
	(void)signal;
	priority_lower();
}

void priority_raise(void)
{
	const struct sched_param first = { .sched_priority = 1 };
	const struct rlimit most = { .rlim_cur = MOST_US, .rlim_max = RLIM_INFINITY };

	signal(SIGXCPU, on_overrun);
	setrlimit(RLIMIT_RTTIME, &most);
	if (sched_setscheduler(0, SCHED_FIFO, &first))
		setpriority(PRIO_PROCESS, 0, BEFORE_OTHERS);
}
