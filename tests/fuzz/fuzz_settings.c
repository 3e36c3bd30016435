// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The settings of a service whose pinned maps hold what the input says: they are remembered, and
 * set anew; where its sockets are, and who stalls, is looked at as well. Nothing outside of the
 * maps is read or written.
 */
#include "fuzz/fuzz_maps.h"
#include "service/service.h"
#include "service/settings.h"
#include "service/stall.h"

static struct settings settings;

static void remember(uint8_t what)
{
	(void)what;
	settings_read(&state, &settings);
}

static void apply(uint8_t what)
{
	if (what & 1)
		settings_apply(&state, &settings);
	settings_apply_workers(&state, &settings);
}

static void limit(uint8_t most)
{
	service_set_limit(&state, most);
}

static void look(uint8_t slot)
{
	struct lb_place place;

	if (!state_place(&state, slot, &place))
		stall_age_at(&state, place.listener, place.slot, 1, 2);
	stall_age_ns(&state, slot, 3);
	steer_is_published(&state, slot);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	static void (*const ops[])(uint8_t) = { look,  look,	 look,	       look,
						limit, remember, maps_publish, apply };

	memset(&settings, 0, sizeof(settings));
	maps_play(bytes, n, ops);
	return 0;
}
