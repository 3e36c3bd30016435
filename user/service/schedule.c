/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * See schedule.h. Smooth weighted round-robin as nginx does it ("Upstream: smooth weighted
 * round-robin balancing", nginx commit 52327e0627f4). In each step the credit of every item grows
 * by its weight; the item with the most is taken, and its credit falls by the sum of all weights.
 * After as many steps as that sum all credits are 0 again, so the table can be walked round and
 * round. No slot is ever a whole turn ahead of its share, at any point of the table.
 */
#include "service/schedule.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "lb_hash.h"

struct credit {
	int64_t now;
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
static size_t take_turn(struct credit *credits, size_t n, int64_t sum)
{
	size_t most = 0;

	for (size_t i = 0; i < n; i++) {
		credits[i].now += credits[i].weight;
		if (credits[i].now > credits[most].now)
			most = i;
	}
	credits[most].now -= sum;
	return most;
}

static int take_turns(const struct schedule_item *items, size_t n, uint32_t divisor, uint64_t sum,
		      uint64_t *table)
{
	struct credit *credits = calloc(n, sizeof(*credits));

	if (!credits)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		credits[i].weight = items[i].weight / divisor;
	for (uint64_t turn = 0; turn < sum; turn++)
		table[turn] = items[take_turn(credits, n, sum)].slot;
	free(credits);
	return 0;
}

int schedule_build(const struct schedule_item *items, size_t n, uint64_t *table, size_t max,
		   size_t *length)
{
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
	/* equal weights: the turns of a thousand workers would take milliseconds to find */
	for (size_t i = 0; sum == n && i < n; i++)
		table[i] = items[i].slot;
	if (sum != n)
		err = take_turns(items, n, divisor, sum, table);
	if (!err)
		*length = sum;
	return err;
}

static bool is_prime(size_t number)
{
	if (number < 2)
		return false;
	for (size_t factor = 2; factor * factor <= number; factor++) {
		if (number % factor == 0)
			return false;
	}
	return true;
}

/* A worker's order of the entries, an arithmetic progression: from `next` in steps of `skip`. */
struct preference {
	size_t next;
	size_t skip; /* 1 .. length - 1: with a prime length it visits every entry */
	uint32_t credit;
	size_t items; /* of the worker */
	size_t turns; /* that it had */
};

static struct preference preference_of(uint32_t worker, size_t length)
{
	uint64_t first = lb_mix(worker + 1), second = lb_mix(~first);

	return (struct preference){
		.next = first % length,
		.skip = length > 1 ? second % (length - 1) + 1 : 0,
	};
}

static void take_preferred(struct preference *preference, uint64_t slot, uint64_t *table,
			   size_t length)
{
	while (table[preference->next] != LB_NO_SLOT)
		preference->next = (preference->next + preference->skip) % length;
	table[preference->next] = slot;
}

/*
 * In each round every worker earns its weight, and who has the greatest weight together has a turn.
 * own[i] of a worker's first item is the worker's.
 */
static void fill_by_turns(const struct schedule_item *items, size_t n, struct preference *own,
			  uint32_t heaviest, uint64_t *table, size_t length)
{
	size_t left = length;

	while (left) {
		for (size_t i = 0; i < n && left; i += own[i].items) {
			own[i].credit += items[i].weight;
			if (own[i].credit < heaviest)
				continue;
			own[i].credit -= heaviest;
			take_preferred(&own[i], items[i + own[i].turns++ % own[i].items].slot,
				       table, length);
			left--;
		}
	}
}

static void prefer(const uint32_t *workers, size_t n, struct preference *own, size_t length)
{
	size_t first = 0;

	for (size_t i = 0; i < n; i++) {
		if (!i || workers[i] != workers[i - 1]) {
			first = i;
			own[i] = preference_of(workers[i], length);
		}
		own[first].items++;
	}
}

int schedule_build_hash(const struct schedule_item *items, const uint32_t *workers, size_t n,
			uint64_t *table, size_t max, size_t *length)
{
	struct preference *own;
	uint32_t heaviest = 0;
	size_t entries = max;

	for (size_t i = 0; i < n; i++) {
		if (!items[i].weight)
			return -EINVAL;
		if (items[i].weight > heaviest)
			heaviest = items[i].weight;
	}
	while (entries && !is_prime(entries))
		entries--;
	if (n > entries)
		return -E2BIG;
	own = calloc(n + 1, sizeof(*own));
	if (!own)
		return -ENOMEM;
	prefer(workers, n, own, entries);
	for (size_t i = 0; n && i < entries; i++)
		table[i] = LB_NO_SLOT;
	if (n)
		fill_by_turns(items, n, own, heaviest, table, entries);
	free(own);
	*length = n ? entries : 0;
	return 0;
}
