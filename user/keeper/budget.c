// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See budget.h. */
#include "keeper/budget.h"

#define SECOND_US 1000000

void budget_begin(struct budget *budget, uint64_t now_us)
{
	if (now_us < budget->since_us + SECOND_US)
		return;
	*budget = (struct budget){ .since_us = now_us };
}

bool budget_is_over(const struct budget *budget)
{
	return budget->messages > BUDGET_MOST_MESSAGES || budget->bytes > BUDGET_MOST_BYTES;
}

bool budget_is_spent(const struct budget *budget)
{
	return budget->messages >= BUDGET_MOST_MESSAGES || budget->bytes >= BUDGET_MOST_BYTES;
}
