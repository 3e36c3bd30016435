// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A service whose pinned maps hold what the input says: nothing outside of them is read or written,
 * whatever sockets come and go, and the table that is published has slots that there are.
 */
#include "fuzz/fuzz_maps.h"
#include "service/service.h"

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

static void refresh(uint8_t what)
{
	struct reuseport_group *const groups[LB_MAX_LISTENERS] = { 0 };
	struct service_change change;

	(void)what;
	service_refresh(&state, groups, LB_POLICY_RR, NULL, &change);
}

static void retire(uint8_t worker)
{
	service_retire(&state, worker);
}

static void count(uint8_t slot)
{
	(void)slot;
	FUZZ_CHECK(service_workers(&state) <= LB_MAX_WORKERS);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	static void (*const ops[])(uint8_t) = { refresh, refresh, join,		join,
						retire,	 count,	  maps_publish, count };

	maps_play(bytes, n, ops);
	return 0;
}
