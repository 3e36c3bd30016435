/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which service of lbctl is behind a URL. */
#ifndef BENCH_SERVED_H
#define BENCH_SERVED_H

#include "base/parse.h"
#include "target.h"
#include "world.h"

struct served {
	char service[LB_NAME_MAX + 1];
	unsigned int workers; /* 0: no service is known */
};

/*
 * Asks the lbctl beside lb-bench, else that of the PATH. Nothing is found where the address is not
 * this host's (or network namespace's), no service listens there, or lbctl may not look.
 */
void served_find(const struct world *world, const struct target *target, struct served *served);

/* The same from what `lbctl list --json` printed. */
void served_read(const char *list, const struct target *target, struct served *served);

#endif
