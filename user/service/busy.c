// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See busy.h. */
#include "service/busy.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "host/probe.h"
#include "busy.skel.h"

static void pin_path(const struct state *state, uint32_t listener, char out[STATE_PATH_BYTES])
{
	snprintf(out, STATE_PATH_BYTES, "%s/latency/lb_busy%u", state->dir, listener);
}

static int load(const struct state *state, uint32_t listener, struct busy *skel)
{
	const struct state_listener *own = &state->listeners[listener];
	int err;

	skel->rodata->lb_can_cast = probe_features()->cast;
	state_sizes(state, own, &skel->rodata->lb_sizes);
	err = state_reuse_maps(state, skel->obj);
	if (!err)
		err = bpf_map__reuse_fd(skel->maps.lb_queues, own->queues_fd);
	if (!err)
		err = busy__load(skel);
	return !err || err == -EPERM || err == -ENOMEM ? err : -EOPNOTSUPP;
}

static int run(const struct busy *skel)
{
	struct bpf_test_run_opts run = { .sz = sizeof(run) };

	if (bpf_prog_test_run_opts(bpf_program__fd(skel->progs.lb_start_watch), &run))
		return -errno;
	return run.retval ? -EOPNOTSUPP : 0;
}

/* Unless it is pinned the timer ends with the map, here. */
static int start(const struct state *state, uint32_t listener, const char *path)
{
	struct busy *skel = busy__open();
	int err = skel ? load(state, listener, skel) : -errno;

	if (!err)
		err = run(skel);
	if (!err && bpf_obj_pin(bpf_map__fd(skel->maps.lb_busy), path))
		err = -errno;
	busy__destroy(skel);
	return err;
}

int busy_start(const struct state *state)
{
	char path[STATE_PATH_BYTES];
	int err = 0;

	for (uint32_t i = 0; !err && i < state->nr_listeners; i++) {
		pin_path(state, i, path);
		if (state->config->listeners[i].proto == LB_PROTO_TCP && access(path, F_OK))
			err = start(state, i, path);
	}
	return err;
}

void busy_stop(const struct state *state)
{
	char path[STATE_PATH_BYTES];

	for (uint32_t i = 0; i < LB_MAX_LISTENERS; i++) {
		pin_path(state, i, path);
		unlink(path);
	}
}

double busy_percent(const struct lb_latency *latency)
{
	return latency->watched_ns ? 100.0 * latency->busy_ns / latency->watched_ns : -1;
}

double busy_percent_since(const struct lb_latency *now, const struct lb_latency *before)
{
	struct lb_latency since = { .watched_ns = now->watched_ns - before->watched_ns,
				    .busy_ns = now->busy_ns - before->busy_ns };

	if (now->watched_ns < before->watched_ns || now->busy_ns < before->busy_ns)
		return busy_percent(now);
	return busy_percent(&since);
}
