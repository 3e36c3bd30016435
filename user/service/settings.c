// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See settings.h. */
#include "service/settings.h"

#include "lb_pick.h"
#include "service/latency.h"

static void read_worker(const struct lb_worker *row, struct settings *settings)
{
	bool first = !settings->workers[row->worker].weight;

	/* of two slots the one that takes connections tells; a closed one says nothing of drains */
	settings->workers[row->worker].drained = row->state == LB_SLOT_DRAINING &&
						 (first || settings->workers[row->worker].drained);
	settings->workers[row->worker].weight = row->weight;
	settings->workers[row->worker].limit = row->limit;
}

void settings_read(const struct state *state, struct settings *settings)
{
	const struct lb_config *config = state->config;

	*settings = (struct settings){
		.policy = lb_word_policy(config->word),
		.group = config->group,
		.stale_ns = config->stale_ns,
		.stall_ns = config->stall_ns,
		.rescue_ns = config->rescue_ns,
		.flow_ns = config->flow_ns,
		.hold_ns = config->hold_ns,
		.hash_prefix4 = config->hash_prefix4,
		.hash_prefix6 = config->hash_prefix6,
		.limit = config->limit,
		.latency = state_field(&state->arrays[MAP_CONFIG], config, latency),
	};
	for (uint32_t slot = 0; slot < state_used_slots(state); slot++) {
		const struct lb_worker row = state_worker_copy(state, slot);

		if (lb_slot_is_open(row.state) && row.worker < LB_MAX_WORKERS)
			read_worker(&row, settings);
	}
	/* who has no socket at the moment keeps weight and limit */
	for (uint32_t slot = 0; slot < state_used_slots(state); slot++) {
		const struct lb_worker row = state_worker_copy(state, slot);

		if (row.state == LB_SLOT_DOWN && row.worker < LB_MAX_WORKERS &&
		    !settings->workers[row.worker].weight)
			read_worker(&row, settings);
	}
}

void settings_apply(struct state *state, const struct settings *settings)
{
	struct lb_config *config = state->config;

	config->stale_ns = settings->stale_ns;
	config->stall_ns = settings->stall_ns;
	config->rescue_ns = settings->rescue_ns;
	config->flow_ns = settings->flow_ns;
	config->hold_ns = settings->hold_ns;
	config->hash_prefix4 = settings->hash_prefix4;
	config->hash_prefix6 = settings->hash_prefix6;
	config->limit = settings->limit;
	if (config->group == LB_NO_GROUP)
		config->group = settings->group;
	/* what it takes may be gone, too; the service is more */
	if (settings->latency && !latency_obstacle(state))
		latency_start(state, settings->latency);
}

bool settings_apply_workers(struct state *state, const struct settings *settings)
{
	bool changed = false;

	for (uint32_t slot = 0; slot < state_used_slots(state); slot++) {
		struct lb_worker *row = state_worker(state, slot);

		if (row->worker >= LB_MAX_WORKERS || !settings->workers[row->worker].weight)
			continue;
		row->weight = settings->workers[row->worker].weight;
		row->inverse_weight = lb_inverse_weight(row->weight);
		row->limit = settings->workers[row->worker].limit;
		if (settings->workers[row->worker].drained && row->state == LB_SLOT_UP)
			row->state = LB_SLOT_DRAINING;
		changed = true;
	}
	return changed;
}
