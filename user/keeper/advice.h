/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Programs that spread connections themselves, and the setting by which each leaves that to run. */
#ifndef ADVICE_H
#define ADVICE_H

enum advice {
	ADVICE_ONE_SOCKET, /* it opens several listening sockets on one address */
	ADVICE_NO_PROGRAM, /* it puts a BPF program of its own on them */
	ADVICES,
};

/* By the name of its executable; NULL = none is known. */
const char *advice_of(const char *executable, enum advice advice);

/* Of the programs that run in a cgroup, the first that there is advice for; NULL = none. */
const char *advice_in_cgroup(int cgroup_fd, enum advice advice);

#endif
