// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See garbage.h. */
#include "harness/garbage.h"

#include <stdlib.h>

static uint64_t random64(void)
{
	return (uint64_t)rand() << 42 ^ (uint64_t)rand() << 21 ^ rand();
}

uint64_t garbage(void)
{
	switch (rand() % 6) {
	case 0:
		return 0;
	case 1:
		return ~0ULL;
	case 2:
		return rand() % 16;
	case 3:
		return (uint64_t)(rand() % 16) << 32 | rand() % 16;
	case 4:
		return (1ULL << rand() % 64) + rand() % 3 - 1;
	default:
		return random64();
	}
}
