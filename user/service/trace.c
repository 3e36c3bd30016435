// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See trace.h; the other side is bpf/trace.bpf.h. */
#include "service/trace.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"

#define RING_BYTES (2 << 20)
/* So long the programs go on should reader and child be killed at once. */
#define LEASE_NS 2000000000ULL
#define RENEW_MS 500

struct trace {
	const struct state *state;
	struct ring_buffer *ring;
	int ring_fd;
	int alive_fd; /* closed when we end: the child's other end says so */
	pid_t child;
	uint64_t dropped_before;
	int (*take)(void *arg, const struct lb_trace *decision);
	void *arg;
	int result; /* of take() */
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void set_lease(const struct state *state, uint64_t until_ns)
{
	__atomic_store_n(&state->config->trace_until_ns, until_ns, __ATOMIC_RELEASE);
}

static uint64_t lease_of(const struct state *state)
{
	return __atomic_load_n(&state->config->trace_until_ns, __ATOMIC_ACQUIRE);
}

/* Also while there is always one more to take. */
static void renew_lease(const struct state *state)
{
	uint64_t until_ns = now_ns() + LEASE_NS;

	if (lease_of(state) + RENEW_MS * 1000000ULL < until_ns)
		set_lease(state, until_ns);
}

static uint64_t count_dropped(const struct state *state)
{
	struct lb_counters counters = { 0 };
	uint32_t zero = 0;

	state_lookup(state, MAP_COUNTERS, &zero, &counters, sizeof(counters));
	return counters.untraced;
}

static int take_entry(void *arg, void *entry, size_t bytes)
{
	struct trace *trace = arg;

	renew_lease(trace->state);
	if (bytes >= sizeof(struct lb_trace) && !trace->result)
		trace->result = trace->take(trace->arg, entry);
	/* what follows is not asked for any more */
	return trace->result ? -ECANCELED : 0;
}

/* The child: until nobody has the other end any more. A terminal's signals are the reader's. */
static void await_end(const struct state *state, int fd)
{
	static const int heard[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE };
	const uint32_t zero = 0;
	char byte;

	for (size_t i = 0; i < sizeof(heard) / sizeof(heard[0]); i++)
		signal(heard[i], SIG_IGN);
	while (read(fd, &byte, 1) < 0 && errno == EINTR)
		continue;
	set_lease(state, 0);
	bpf_map_delete_elem(state->maps[MAP_TRACE], &zero);
}

static int start_child(struct trace *trace)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	trace->child = fork();
	if (!trace->child) {
		close(ends[1]);
		await_end(trace->state, ends[0]);
		_exit(0);
	}
	close(ends[0]);
	trace->alive_fd = ends[1];
	return trace->child < 0 ? -errno : 0;
}

static int begin(struct trace *trace)
{
	const struct state *state = trace->state;
	const uint32_t zero = 0;
	int err;

	trace->ring_fd =
		bpf_map_create(BPF_MAP_TYPE_RINGBUF, "lb_trace_ring", 0, 0, RING_BYTES, NULL);
	if (trace->ring_fd < 0)
		return -errno;
	trace->ring = ring_buffer__new(trace->ring_fd, take_entry, trace, NULL);
	if (!trace->ring)
		return -errno;
	err = start_child(trace);
	if (!err && bpf_map_update_elem(state->maps[MAP_TRACE], &zero, &trace->ring_fd, BPF_ANY))
		err = -errno;
	if (!err)
		renew_lease(state);
	return err;
}

int trace_open(const struct state *state, struct trace **trace)
{
	struct trace *opened;
	int err;

	if (state->maps[MAP_TRACE] < 0 ||
	    !LB_HAS(state->arrays[MAP_CONFIG].value_bytes, struct lb_config, trace_until_ns))
		return -EOPNOTSUPP;
	if (lease_of(state) >= now_ns())
		return -EBUSY;
	opened = calloc(1, sizeof(*opened));
	if (!opened)
		return -ENOMEM;
	*opened = (struct trace){ .state = state, .ring_fd = -1, .alive_fd = -1 };
	opened->dropped_before = count_dropped(state);
	err = begin(opened);
	if (err)
		trace_close(opened);
	else
		*trace = opened;
	return err;
}

void trace_close(struct trace *trace)
{
	if (!trace)
		return;
	close_fd(&trace->alive_fd);
	if (trace->child > 0)
		waitpid(trace->child, NULL, 0);
	ring_buffer__free(trace->ring);
	close_fd(&trace->ring_fd);
	free(trace);
}

int trace_poll(struct trace *trace, int wait_ms,
	       int (*take)(void *arg, const struct lb_trace *decision), void *arg)
{
	int err;

	renew_lease(trace->state);
	trace->take = take;
	trace->arg = arg;
	trace->result = 0;
	err = ring_buffer__poll(trace->ring, wait_ms < RENEW_MS ? wait_ms : RENEW_MS);
	if (trace->result)
		return trace->result;
	return err < 0 ? err : 0;
}

uint64_t trace_dropped(const struct trace *trace)
{
	return count_dropped(trace->state) - trace->dropped_before;
}
