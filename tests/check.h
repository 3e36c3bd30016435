/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What unit tests share: cmocka and what it needs, and a comparison that names its row. */
#ifndef CHECK_H
#define CHECK_H

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define TWO_32 (1ULL << 32)

static inline void check(const char *function, const char *name, uint64_t got, uint64_t want)
{
	if (got != want)
		fail_msg("%s, %s: got %" PRIu64 ", want %" PRIu64, function, name, got, want);
}

#endif
