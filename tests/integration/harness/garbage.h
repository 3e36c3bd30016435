/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Numbers that are wrong in the ways that numbers are. */
#ifndef HARNESS_GARBAGE_H
#define HARNESS_GARBAGE_H

#include <stdint.h>

/* By rand(): none, all bits, a small one or two, a power of two or beside it, any. */
uint64_t garbage(void);

#endif
