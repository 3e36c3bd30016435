/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Smooth weighted round-robin as nginx does it ("Upstream: smooth weighted round-robin
 * balancing", nginx commit 52327e0627f4). In each step every item earns its weight, the richest
 * is taken and pays the sum of all weights. After as many steps as that sum all balances are 0
 * again, so the table can be walked round and round. No slot is ever a whole turn ahead of its
 * share, at any point of the table.
 */
#include "schedule.h"

#include <errno.h>
#include <stdlib.h>

struct account {
	int64_t balance;
	int64_t weight;
};

static uint32_t gcd(uint32_t a, uint32_t b)
{
	while (b) {
		uint32_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

static int check_weights(const struct schedule_item *items, size_t n, size_t max, uint32_t *divisor,
			 uint64_t *sum)
{
	*divisor = 0;
	for (size_t i = 0; i < n; i++) {
		if (!items[i].weight)
			return -EINVAL;
		*divisor = gcd(*divisor, items[i].weight);
	}
	*sum = 0;
	for (size_t i = 0; i < n; i++) {
		*sum += items[i].weight / *divisor;
		if (*sum > max)
			return -E2BIG;
	}
	return 0;
}

/* On a tie the earlier item wins: that keeps equal weights in plain order. */
static size_t take_turn(struct account *accounts, size_t n, int64_t sum)
{
	size_t richest = 0;

	for (size_t i = 0; i < n; i++) {
		accounts[i].balance += accounts[i].weight;
		if (accounts[i].balance > accounts[richest].balance)
			richest = i;
	}
	accounts[richest].balance -= sum;
	return richest;
}

int schedule_build(const struct schedule_item *items, size_t n, uint64_t *table, size_t max,
		   size_t *length)
{
	struct account *accounts;
	uint32_t divisor;
	uint64_t sum;
	int err;

	if (!n) {
		*length = 0;
		return 0;
	}
	err = check_weights(items, n, max, &divisor, &sum);
	if (err)
		return err;
	accounts = calloc(n, sizeof(*accounts));
	if (!accounts)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		accounts[i].weight = items[i].weight / divisor;
	for (uint64_t turn = 0; turn < sum; turn++)
		table[turn] = items[take_turn(accounts, n, sum)].slot;
	free(accounts);
	*length = sum;
	return 0;
}
