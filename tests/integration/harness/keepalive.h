/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Clients of port 8080 that send many requests over one connection, in a process of their own. */
#ifndef HARNESS_KEEPALIVE_H
#define HARNESS_KEEPALIVE_H

struct keepalive {
	unsigned long connections, answered;
	unsigned long lost;  /* no answer to the first request, or half of one */
	unsigned long again; /* closed before a later request came: to be sent again, as ever */
};

void keepalive_start(void);
void keepalive_stop(struct keepalive *sums);

#endif
