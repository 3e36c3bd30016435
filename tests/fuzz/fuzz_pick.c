// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The arithmetic of a pick: a scan takes the least of those slots that are eligible and no other,
 * and what is packed comes out again. Two bytes are a slot.
 */
#include <stdbool.h>

#include "fuzz/fuzz.h"
#include "lb_pick.h"

#define SLOTS 200

static uint32_t weights[SLOTS];

/* As scan.bpf.h does it: the low bits of a weight say what the slot is. */
static void check_scan(uint32_t n, uint32_t first)
{
	uint64_t least = LB_KEY_NONE, seen = 0, best = UINT64_MAX;
	uint32_t winner = n;
	bool silent = false;

	for (uint32_t at = 0; at < n; at++) {
		uint32_t weight = weights[lb_scan_slot(first, n, at)];
		bool eligible = weight & 1, is_silent = eligible && (weight & 6) == 6;
		uint64_t cost = lb_load_cost((uint64_t)weight << (weight & 63), weight,
					     lb_inverse_weight(weight & 255));
		uint64_t key = !eligible ? LB_KEY_NONE : is_silent ? at : lb_key(cost, at);

		FUZZ_CHECK(cost && cost < 1ULL << 50);
		least = lb_key_min(key, least);
		seen |= key;
		if (silent || !eligible || (!is_silent && cost >= best))
			continue;
		silent = is_silent;
		best = cost;
		winner = at;
	}
	least = lb_key_result(least, seen);
	FUZZ_CHECK(winner < n || !lb_result_is_fresh(least));
	least = lb_result_least(least);
	FUZZ_CHECK(lb_key_is_none(least) == (winner == n));
	FUZZ_CHECK(winner == n ||
		   (lb_key_position(least) == winner && lb_key_is_silent(least) == silent));
}

static void check_packing(uint32_t hash, uint32_t slot, uint64_t live)
{
	uint64_t refusal = lb_refusal(hash & 0xffff, slot & 0xffff, slot);

	FUZZ_CHECK(lb_recent_slot(lb_recent_pack(hash, slot), hash) == slot);
	FUZZ_CHECK(lb_recent_slot(lb_recent_pack(hash, slot), ~hash) == LB_NO_SLOT);
	FUZZ_CHECK(lb_refusal_verdict(refusal) == (hash & 0xffff) &&
		   lb_refusal_slot(refusal) == slot);
	FUZZ_CHECK(lb_conn_cost((int64_t)live, hash, lb_inverse_weight(slot)) < 1ULL << 50);
	FUZZ_CHECK(lb_report_is_stale(lb_report_time(live, hash), hash, UINT64_MAX) ==
		   !lb_report_time(live, hash));
	FUZZ_CHECK(lb_is_at_limit((int64_t)live, 0, 1) == ((int64_t)live > 0));
	FUZZ_CHECK(!lb_queue_is_full(hash, 0, hash) && lb_queue_is_full(hash, slot + 1, hash));
	FUZZ_CHECK(lb_slot_is_open(slot) == (slot == LB_SLOT_UP || slot == LB_SLOT_DRAINING));
	FUZZ_CHECK(!lb_state_is_open(slot) || slot < 9);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	size_t slots = n > 8 ? (n - 8) / 2 : 0;
	uint64_t head;

	if (n < 8)
		return 0;
	memcpy(&head, bytes, 8);
	check_packing(head, head >> 32 & (LB_MAX_SLOTS - 1), head);
	if (slots > SLOTS)
		slots = SLOTS;
	for (size_t i = 0; i < slots; i++)
		weights[i] = bytes[8 + 2 * i] | bytes[9 + 2 * i] << 8;
	if (slots)
		check_scan(slots, head % slots);
	return 0;
}
