// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See holding.h. */
#include "harness/holding.h"

#include <sys/mman.h>

#include "harness/maps.h"

struct lb_hold holding_now(void)
{
	struct lb_hold *mapped = map_mmap("web", "lb_hold", sizeof(*mapped)), copy = *mapped;

	munmap(mapped, sizeof(*mapped));
	return copy;
}

bool is_holding(void)
{
	return holding_now().open[0] != 0;
}

bool nothing_is_held(void)
{
	const struct lb_hold hold = holding_now();

	return !hold.occupied && !hold.taken && !hold.closing;
}
