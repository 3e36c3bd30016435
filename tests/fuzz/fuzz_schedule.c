// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A table of slots: each is in it exactly as often as its weight says, and as near to that as can
 * be where policy hash walks it. Two bytes are a weight.
 */
#include "fuzz/fuzz.h"
#include "lb_pick.h"
#include "service/schedule.h"

#define SLOTS 64

static struct schedule_item items[SLOTS];
static uint32_t workers[SLOTS];

static void check_table(size_t n, size_t most, bool hash)
{
	uint64_t *table = malloc(most * sizeof(*table)), count[SLOTS] = { 0 };
	size_t length = 0, sum = 0;
	int err = hash ? schedule_build_hash(items, workers, n, table, most, &length) :
			 schedule_build(items, n, table, most, &length);

	for (size_t i = 0; i < n; i++)
		sum += items[i].weight;
	FUZZ_CHECK(length <= most && (!err || !length));
	for (size_t i = 0; i < length; i++) {
		uint64_t word = lb_word_pack(1, most & 1, length);
		uint32_t key = lb_schedule_key(word, i + 3 * length) - (most & 1) * LB_MAX_SCHEDULE;

		FUZZ_CHECK(key == i && table[i] < n);
		count[table[i]]++;
	}
	for (size_t i = 0; i < n && length; i++) {
		if (!hash)
			FUZZ_CHECK(count[i] && count[i] * sum == length * items[i].weight);
		else
			FUZZ_CHECK(count[i] <= length * items[i].weight / sum + n + 1);
	}
	free(table);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	size_t slots = n > 2 ? (n - 2) / 2 : 0;

	if (n < 2)
		return 0;
	if (slots > SLOTS)
		slots = SLOTS;
	for (size_t i = 0; i < slots; i++) {
		items[i].slot = i;
		items[i].weight = bytes[2 + 2 * i] | (bytes[3 + 2 * i] & 1) << 8;
		workers[i] = i;
	}
	check_table(slots, 1 + (bytes[0] | (bytes[1] & 3) << 8), bytes[1] >> 4 & 1);
	return 0;
}
