/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How much a process that is not trusted may say in a second. No clock: the time is an argument. */
#ifndef BUDGET_H
#define BUDGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BUDGET_MOST_MESSAGES 100 /* in a second ... */
#define BUDGET_MOST_BYTES 131072 /* ... that are taken */

/* All zero at first. */
struct budget {
	uint64_t since_us; /* when this second began */
	uint32_t messages;
	size_t bytes;
};

/* Begins the next second once this one is over. `now_us` is CLOCK_MONOTONIC. */
void budget_begin(struct budget *budget, uint64_t now_us);

/* Is there more in this second than is taken? */
bool budget_is_over(const struct budget *budget);
/* Is all of it spent, so that the next message would be more? */
bool budget_is_spent(const struct budget *budget);

#endif
