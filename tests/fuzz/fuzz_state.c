// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A service whose pinned maps hold what the input says: nothing outside of them is read or written,
 * whatever is done with it, and the table that is published has slots that there are.
 */
#include "fuzz/fuzz_maps.h"
#include "lb_pick.h"
#include "service/service.h"
#include "service/settings.h"
#include "service/stall.h"
#include "service/steer.h"

static struct state state;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	maps_open(&state);
	return 0;
}

static int slot_of(void *arg, const struct state *of, const struct member *member)
{
	(void)arg;
	return service_slot_of_cookie(of, member->socket.cookie);
}

static int worker_of(void *arg, const struct member *member)
{
	(void)arg;
	return (int)(member->socket.cookie % (LB_MAX_WORKERS + 3)) - 2;
}

static void join(uint8_t what)
{
	const struct service_owner owner = { .worker = worker_of,
					     .pair = what & 1 ? slot_of : NULL };
	struct member member = { .pid = what };
	int slot;

	maps_take(&member.socket.cookie, 2);
	slot = service_join(&state, what % FUZZ_LISTENERS, what & 2 ? &owner : NULL, &member, 0);
	FUZZ_CHECK(slot < (int)state_used_slots(&state));
}

static void remember(void)
{
	static struct settings settings;

	settings_read(&state, &settings);
	settings_apply(&state, &settings);
	settings_apply_workers(&state, &settings);
	settings_read(&state, &settings);
}

static void look(uint8_t slot)
{
	struct lb_place place;

	FUZZ_CHECK(service_workers(&state) <= LB_MAX_WORKERS);
	if (!state_place(&state, slot, &place))
		stall_age_at(&state, place.listener, place.slot, 1, 2);
	stall_age_ns(&state, slot, 3);
	steer_is_published(&state, slot);
}

static void publish(void)
{
	uint64_t word;

	if (steer_publish(&state, LB_POLICY_RR))
		return;
	word = state.config->word;
	for (uint32_t i = 0; i < lb_word_length(word); i++)
		FUZZ_CHECK(state.schedule[lb_schedule_key(word, i)] < state_used_slots(&state));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	struct reuseport_group *const groups[LB_MAX_LISTENERS] = { 0 };
	struct service_change change;
	uint8_t ops[8];
	uint16_t word;

	maps_at = bytes;
	maps_end = bytes + n;
	maps_take(ops, sizeof(ops));
	maps_take(&word, sizeof(word));
	maps_fill(&state, maps_byte(), word);
	for (size_t i = 0; i < sizeof(ops); i++) {
		uint8_t with = ops[i] >> 3;

		if (ops[i] % 8 < 2)
			service_refresh(&state, groups, LB_POLICY_RR, NULL, &change);
		else if (ops[i] % 8 < 4)
			join(with);
		else if (ops[i] % 8 == 4)
			service_retire(&state, with);
		else if (ops[i] % 8 == 5)
			remember();
		else if (ops[i] % 8 == 6)
			publish();
		else
			look(with);
	}
	service_set_limit(&state, n);
	return 0;
}
