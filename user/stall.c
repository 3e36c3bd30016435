// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See stall.h. One object of bpf/sample.bpf.c per listener, as each has its own maps. */
#include "stall.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "lb_inspect.h"
#include "lb_stall.h"
#include "probe.h"
#include "sample.skel.h"

struct sampler {
	struct sample *objects[LB_MAX_LISTENERS];
	uint32_t count;
};

uint64_t stall_tick_ns(void)
{
	struct timespec tick = { 0 };

	clock_getres(CLOCK_MONOTONIC_COARSE, &tick);
	return tick.tv_nsec ? tick.tv_nsec : 4000000;
}

static int open_object(const struct state_listener *listener, struct sample **out)
{
	struct sample *object = sample__open();
	int err;

	if (!object)
		return -errno;
	object->rodata->lb_can_cast = probe_features()->cast;
	object->rodata->lb_tick_ns = stall_tick_ns();
	err = bpf_map__reuse_fd(object->maps.lb_queues, listener->queues_fd);
	if (!err)
		err = bpf_map__reuse_fd(object->maps.lb_stalls, listener->stalls_fd);
	if (!err)
		err = sample__load(object);
	if (err) {
		sample__destroy(object);
		return err == -EPERM || err == -ENOMEM ? err : -EOPNOTSUPP;
	}
	*out = object;
	return 0;
}

int sampler_open(const struct state *state, struct sampler **sampler)
{
	struct sampler *opened = calloc(1, sizeof(*opened));
	int err = opened ? 0 : -ENOMEM;

	while (!err && opened->count < state->nr_listeners) {
		err = open_object(&state->listeners[opened->count],
				  &opened->objects[opened->count]);
		opened->count += !err;
	}
	if (err) {
		sampler_close(opened);
		return err;
	}
	*sampler = opened;
	return 0;
}

void sampler_close(struct sampler *sampler)
{
	for (uint32_t i = 0; sampler && i < sampler->count; i++)
		sample__destroy(sampler->objects[i]);
	free(sampler);
}

int sampler_run(struct sampler *sampler, uint64_t *now_ns)
{
	struct lb_sample sample = { 0 };
	struct bpf_test_run_opts run = {
		.sz = sizeof(run),
		.ctx_in = &sample,
		.ctx_size_in = sizeof(sample),
	};
	int err = 0;

	for (uint32_t i = 0; i < sampler->count && !err; i++)
		err = bpf_prog_test_run_opts(bpf_program__fd(sampler->objects[i]->progs.lb_sample),
					     &run);
	*now_ns = sample.now_ns;
	return err;
}

uint64_t stall_age_at(const struct state *state, uint32_t listener, uint32_t slot, uint64_t oldest,
		      uint64_t now_ns)
{
	const struct lb_stall *stall = &state->listeners[listener].stalls[slot];
	uint64_t age_ns = 0;

	if (lb_is_held(stall) && (oldest || !lb_probe_is_accepted(stall, now_ns)))
		return now_ns > stall->since_ns ? now_ns - stall->since_ns : 1;
	if (oldest && oldest == stall->oldest && state->config->stall_ns)
		age_ns = lb_stall_age_ns(stall, now_ns);
	return age_ns >= state->config->stall_ns ? age_ns : 0;
}

uint64_t stall_age_ns(const struct state *state, uint32_t slot, uint64_t now_ns)
{
	uint64_t most_ns = 0, age_ns;

	for (uint32_t i = 0; i < state->nr_listeners; i++) {
		if (!state->listeners[i].queues[slot].cookie)
			continue;
		age_ns = stall_age_at(state, i, slot, state->listeners[i].stalls[slot].oldest,
				      now_ns);
		if (age_ns > most_ns)
			most_ns = age_ns;
	}
	return most_ns;
}
