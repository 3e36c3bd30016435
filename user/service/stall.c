// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See stall.h. One object of bpf/sample.bpf.c per listener: each has its own maps. */
#include "service/stall.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "host/probe.h"
#include "lb_inspect.h"
#include "lb_stall.h"
#include "sample.skel.h"
#include "sample_udp.skel.h"

/* Either object, seen alike. */
struct object {
	void *skel;
	struct bpf_object_skeleton *skeleton;
	struct bpf_map *queues, *stalls;
	struct bpf_program *program;
};

struct sampler {
	struct object objects[LB_MAX_LISTENERS];
	uint32_t count;
	const struct lb_config *config;
};

#define DEFINE_OPEN(name)                                                                          \
	static int open_##name(struct object *object, const struct lb_sizes *sizes)                \
	{                                                                                          \
		struct name *skel = name##__open();                                                \
                                                                                                   \
		if (!skel)                                                                         \
			return -errno;                                                             \
		skel->rodata->lb_can_cast = probe_features()->cast;                                \
		skel->rodata->lb_tick_ns = probe_tick_ns();                                        \
		skel->rodata->lb_sizes = *sizes;                                                   \
		*object = (struct object){ skel, skel->skeleton, skel->maps.lb_queues,             \
					   skel->maps.lb_stalls, skel->progs.lb_sample };          \
		return 0;                                                                          \
	}
DEFINE_OPEN(sample)
DEFINE_OPEN(sample_udp)

static void close_object(struct object *object)
{
	bpf_object__destroy_skeleton(object->skeleton);
	free(object->skel);
}

static int open_object(const struct state *state, uint32_t index, struct object *out)
{
	const struct state_listener *listener = &state->listeners[index];
	bool udp = state->config->listeners[index].proto == LB_PROTO_UDP;
	struct lb_sizes sizes;
	struct object object;
	int err;

	state_sizes(state, listener, &sizes);
	err = udp ? open_sample_udp(&object, &sizes) : open_sample(&object, &sizes);
	if (err)
		return err;
	err = bpf_map__reuse_fd(object.queues, listener->queues_fd);
	if (!err)
		err = bpf_map__reuse_fd(object.stalls, listener->stalls_fd);
	if (!err)
		err = bpf_object__load_skeleton(object.skeleton);
	if (err) {
		close_object(&object);
		return err == -EPERM || err == -ENOMEM ? err : -EOPNOTSUPP;
	}
	*out = object;
	return 0;
}

int sampler_open(const struct state *state, struct sampler **sampler)
{
	struct sampler *opened = calloc(1, sizeof(*opened));
	int err = opened ? 0 : -ENOMEM;

	if (!err)
		opened->config = state->config;
	while (!err && opened->count < state->nr_listeners) {
		err = open_object(state, opened->count, &opened->objects[opened->count]);
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
		close_object(&sampler->objects[i]);
	free(sampler);
}

int sampler_run(struct sampler *sampler, uint64_t *now_ns)
{
	struct lb_sample sample = { .slots = sampler->config->used_slots };
	struct bpf_test_run_opts run = {
		.sz = sizeof(run),
		.ctx_in = &sample,
		.ctx_size_in = sizeof(sample),
	};
	int err = 0;

	for (uint32_t i = 0; i < sampler->count && !err; i++)
		err = bpf_prog_test_run_opts(bpf_program__fd(sampler->objects[i].program), &run);
	*now_ns = sample.now_ns;
	return err;
}

uint64_t stall_after_ns(const struct lb_config *config)
{
	return lb_word_policy(config->word) == LB_POLICY_KERNEL ? 0 : config->stall_ns;
}

uint64_t stall_age_at(const struct state *state, uint32_t listener, uint32_t slot, uint64_t oldest,
		      uint64_t now_ns)
{
	const struct lb_stall *stall = state_stall(state, listener, slot);
	uint64_t after_ns = stall_after_ns(state->config), age_ns = 0;

	if (lb_is_held(stall) && !lb_is_at_work(stall, state_stats(state, slot)) &&
	    (oldest || !lb_probe_is_accepted(stall, now_ns)))
		return now_ns > stall->since_ns ? now_ns - stall->since_ns : 1;
	if (oldest && oldest == stall->oldest && after_ns)
		age_ns = lb_stall_age_ns(stall, now_ns);
	return age_ns >= after_ns ? age_ns : 0;
}

uint64_t stall_age_ns(const struct state *state, uint32_t slot, uint64_t now_ns)
{
	uint64_t most_ns = 0, age_ns;

	for (uint32_t i = 0; i < state->nr_listeners; i++) {
		if (!state_queue(state, i, slot)->cookie)
			continue;
		age_ns = stall_age_at(state, i, slot, state_stall(state, i, slot)->oldest, now_ns);
		if (age_ns > most_ns)
			most_ns = age_ns;
	}
	return most_ns;
}
