// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See idle.h. */
#include "service/idle.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "host/family.h"
#include "host/probe.h"
#include "hold.skel.h"

/*
 * For one worker and listener. Each takes two descriptors, of which other workers need some, and
 * some 20 us to make, in which nobody is let go.
 */
#define MOST_EVENTS 256

/*
 * The threads of a slot's worker, and of its descendants, that there were when it was first seen;
 * they tell of the rest.
 */
struct followed {
	pid_t pid;
	struct bpf_link **links;
	size_t count;
};

struct idle {
	const struct state *state;
	struct hold *objects[LB_MAX_LISTENERS]; /* NULL: not of TCP */
	struct followed slots[LB_MAX_SLOTS];
};

static int open_object(struct idle *idle, uint32_t index)
{
	const struct state_listener *listener = &idle->state->listeners[index];
	struct hold *skel = hold__open();
	int err;

	if (!skel)
		return -errno;
	idle->objects[index] = skel;
	skel->rodata->lb_can_cast = probe_features()->cast;
	skel->rodata->lb_tick_ns = probe_tick_ns();
	state_sizes(idle->state, listener, &skel->rodata->lb_sizes);
	err = state_reuse_maps(idle->state, skel->obj);
	if (!err)
		err = bpf_map__reuse_fd(skel->maps.lb_sockets, listener->sockets_fd);
	if (!err)
		err = bpf_map__reuse_fd(skel->maps.lb_queues, listener->queues_fd);
	if (!err)
		err = bpf_map__reuse_fd(skel->maps.lb_stalls, listener->stalls_fd);
	if (!err)
		err = hold__load(skel);
	return !err || err == -EPERM || err == -ENOMEM ? err : -EOPNOTSUPP;
}

int idle_open(const struct state *state, struct idle **out)
{
	struct idle *idle = calloc(1, sizeof(*idle));
	int err = idle ? 0 : -ENOMEM;

	if (idle)
		idle->state = state;
	for (uint32_t i = 0; !err && i < state->nr_listeners; i++) {
		if (state->config->listeners[i].proto == LB_PROTO_TCP)
			err = open_object(idle, i);
	}
	if (err) {
		idle_close(idle);
		return err;
	}
	*out = idle;
	return 0;
}

static void forget(struct followed *followed)
{
	for (size_t i = 0; i < followed->count; i++)
		bpf_link__destroy(followed->links[i]);
	free(followed->links);
	*followed = (struct followed){ 0 };
}

void idle_close(struct idle *idle)
{
	if (!idle)
		return;
	for (uint32_t slot = 0; slot < LB_MAX_SLOTS; slot++)
		forget(&idle->slots[slot]);
	for (uint32_t i = 0; i < LB_MAX_LISTENERS; i++)
		hold__destroy(idle->objects[i]);
	free(idle);
}

/* An event on context switches, of a thread and of all that it and its children will make. */
static int open_event(pid_t tid)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_CONTEXT_SWITCHES,
		.sample_period = 1,
		.inherit = 1,
	};
	int fd = syscall(__NR_perf_event_open, &attr, tid, -1, -1, PERF_FLAG_FD_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int idle_try(void)
{
	_cleanup_close_ int fd = open_event(0);

	return fd < 0 ? fd : 0;
}

/* Whose events are opened. */
struct follow {
	struct followed *followed;
	const struct bpf_program *program;
	uint32_t slot;
	size_t most; /* events of all listeners so far and of this one */
};

/* One that has ended meanwhile needs no event. */
static int follow_thread(void *arg, pid_t tid)
{
	const struct follow *follow = arg;
	struct followed *followed = follow->followed;
	const struct bpf_perf_event_opts options = {
		.sz = sizeof(options),
		.bpf_cookie = follow->slot,
	};
	struct bpf_link **grown, *link;
	int fd;

	if (followed->count == follow->most)
		return -E2BIG;
	grown = reallocarray(followed->links, followed->count + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	followed->links = grown;
	fd = open_event(tid);
	if (fd < 0)
		return fd == -ESRCH ? 0 : fd;
	link = bpf_program__attach_perf_event_opts(follow->program, fd, &options);
	if (!link) {
		int err = -errno;

		close(fd);
		return err;
	}
	grown[followed->count++] = link;
	return 0;
}

int idle_follow(struct idle *idle, uint32_t slot, pid_t pid)
{
	struct followed *followed = &idle->slots[slot];
	int err = 0;

	if (followed->pid == pid)
		return 0;
	forget(followed);
	followed->pid = pid;
	for (uint32_t i = 0; pid && !err && i < idle->state->nr_listeners; i++) {
		struct follow follow = { .followed = followed, .slot = slot };

		follow.most = followed->count + MOST_EVENTS;
		if (!idle->objects[i])
			continue;
		follow.program = idle->objects[i]->progs.lb_left_cpu;
		err = family_meet(pid, follow_thread, &follow);
	}
	if (err)
		forget(followed);
	/* the next time it would be too many, too */
	if (err == -E2BIG)
		followed->pid = pid;
	return err;
}

int idle_look(struct idle *idle, uint32_t listener, struct lb_idle_look *look)
{
	struct bpf_test_run_opts run = {
		.sz = sizeof(run),
		.ctx_in = look,
		.ctx_size_in = sizeof(*look),
	};

	*look = (struct lb_idle_look){ .slots = state_used_slots(idle->state) };
	if (!idle->objects[listener])
		return -ENOENT;
	return bpf_prog_test_run_opts(
		bpf_program__fd(idle->objects[listener]->progs.lb_look_for_idle), &run);
}

uint32_t idle_tgid(struct idle *idle)
{
	struct lb_idle_look look = { 0 };

	for (uint32_t i = 0; !look.tgid && i < idle->state->nr_listeners; i++) {
		if (idle_look(idle, i, &look))
			look.tgid = 0;
	}
	return look.tgid;
}
