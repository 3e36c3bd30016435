// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * See bench.h. A socket fits into one socket array only, so the floor `fixed` uses the service's
 * own, and a group has one program at a time, so the variants take turns on the same listeners.
 */
#include "bench.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "host/inspect.h"
#include "lb_pick.h"
#include "service/service.h"
#include "service/steer.h"
#include "floor.skel.h"

#define WARM_UP 8	     /* connections of a batch before its measured ones */
#define BACKLOG 2048	     /* `fixed` sends a whole batch to one listener */
#define SPARE_DESCRIPTORS 64 /* maps and programs, and a connection */

const struct variant bench_variants[VARIANTS] = {
	[VARIANT_EMPTY] = { "empty", 0 },
	[VARIANT_FIXED] = { "fixed", 0 },
#define X(number, id, name, summary) [VARIANT_##id] = { name, number },
	LB_POLICIES(X)
#undef X
		[VARIANT_ALL_STALE] = { "least-load, all stale", LB_POLICY_LEAST_LOAD },
};

static int raise_loopback(void)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };

	return fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) ? -errno : 0;
}

int bench_isolate(struct trouble *trouble)
{
	int err;

	if (unshare(CLONE_NEWNET | CLONE_NEWNS))
		return trouble_set(trouble, EXIT_NOT_ABLE, "can't make namespaces: %s; run as root",
				   strerror(errno));
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return trouble_set(trouble, EXIT_NOT_ABLE, "can't make mounts private: %s",
				   strerror(errno));
	if (mount("bpf", STATE_BPFFS, "bpf", 0, "mode=0700"))
		return trouble_set(trouble, EXIT_NOT_ABLE,
				   "can't mount a BPF file system on " STATE_BPFFS
				   ": %s; it takes sysfs on /sys and CONFIG_BPF_SYSCALL",
				   strerror(errno));
	err = raise_loopback();
	if (err)
		return trouble_set(trouble, EXIT_FAILED, "can't bring the loopback device up: %s",
				   strerror(-err));
	return EXIT_DONE;
}

uint32_t bench_descriptors(uint32_t workers)
{
	return workers + SPARE_DESCRIPTORS;
}

static int listen_on(const struct sockaddr_in *addr)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	const int on = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) ||
	    bind(fd, (const struct sockaddr *)addr, sizeof(*addr)) || listen(fd, BACKLOG))
		return -errno;
	return fd_steal(&fd);
}

static int open_listeners(struct bench *bench)
{
	bench->listeners = malloc(bench->workers * sizeof(*bench->listeners));
	if (!bench->listeners)
		return -ENOMEM;
	for (uint32_t i = 0; i < bench->workers; i++)
		bench->listeners[i] = -1;
	for (uint32_t i = 0; i < bench->workers; i++) {
		bench->listeners[i] = listen_on(&bench->addr);
		if (bench->listeners[i] < 0)
			return bench->listeners[i];
	}
	return 0;
}

/* Where the listeners' queues are; without an iterator in the kernel they stay unknown. */
static void find_queues(struct bench *bench)
{
	const struct state *state = &bench->state;
	const struct lb_listening *found;
	struct inspect_list list;
	int err;

	/* asking for a cookie makes it */
	for (uint32_t i = 0; i < bench->workers; i++)
		state_queue(state, 0, i)->cookie = sockdiag_cookie(bench->listeners[i]);
	err = inspect_listeners(0, false, &list);
	for (uint32_t i = 0; i < bench->workers && !err; i++) {
		found = inspect_find(&list, state_queue(state, 0, i)->cookie);
		state_queue(state, 0, i)->sock = found ? found->sock : 0;
	}
	inspect_free(&list);
}

/* Slot i is worker i with listener i. */
static int fill_slots(struct bench *bench)
{
	int err = 0;

	for (uint32_t i = 0; i < bench->workers && !err; i++) {
		const struct lb_worker row = {
			.worker = i,
			.state = LB_SLOT_UP,
			.weight = 1,
			.inverse_weight = lb_inverse_weight(1),
		};

		state_worker_set(&bench->state, i, &row);
		err = steer_register(&bench->state, 0, i, bench->listeners[i]);
	}
	bench->state.config->used_slots = bench->workers;
	/* the test is made, but nobody accepts before a batch ends */
	bench->state.config->stall_ns = 3600 * 1000000000ULL;
	return err;
}

static int make_service(struct bench *bench)
{
	struct lb_listener listener = {
		.port = ntohs(bench->addr.sin_port),
		.proto = LB_PROTO_TCP,
		.family = AF_INET,
	};
	char name[LB_NAME_MAX + 1];
	int err;

	memcpy(listener.addr, &bench->addr.sin_addr, sizeof(bench->addr.sin_addr));
	snprintf(name, sizeof(name), "cost-%u", bench->workers);
	err = state_create(&bench->state, name);
	if (err)
		return err;
	bench->has_state = true;
	err = steer_add_listener(&bench->state, &listener);
	if (err)
		return err;
	find_queues(bench);
	err = fill_slots(bench);
	return err ? err : state_commit(&bench->state);
}

static int load_floor(struct bench *bench)
{
	int sockets_fd = bench->state.listeners[0].sockets_fd;
	int err;

	bench->floor = floor__open();
	if (!bench->floor)
		return -errno;
	err = bpf_map__reuse_fd(bench->floor->maps.lb_sockets, sockets_fd);
	return err ? err : floor__load(bench->floor);
}

int bench_open(struct bench *bench, uint32_t workers, uint16_t port, uint32_t batches,
	       struct trouble *trouble)
{
	int err;

	*bench = (struct bench){ .workers = workers };
	bench->addr.sin_family = AF_INET;
	bench->addr.sin_port = htons(port);
	bench->addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (size_t i = 0; i < VARIANTS; i++) {
		bench->ns[i] = calloc(batches, sizeof(*bench->ns[i]));
		if (!bench->ns[i])
			return trouble_set(trouble, EXIT_FAILED, "%s", strerror(ENOMEM));
	}
	err = open_listeners(bench);
	if (err)
		return trouble_set(trouble, EXIT_FAILED, "can't open %u listeners: %s", workers,
				   strerror(-err));
	err = make_service(bench);
	if (!err)
		err = load_floor(bench);
	if (err)
		return trouble_set(
			trouble, err == -EPERM || err == -EOPNOTSUPP ? EXIT_NOT_ABLE : EXIT_FAILED,
			"can't bring up a service of %u workers: %s; lbctl doctor says "
			"what this kernel lacks",
			workers, strerror(-err));
	return EXIT_DONE;
}

/* What a committed service has pinned goes with our mount namespace. */
void bench_close(struct bench *bench)
{
	floor__destroy(bench->floor);
	if (bench->has_state)
		state_close(&bench->state);
	for (uint32_t i = 0; bench->listeners && i < bench->workers; i++)
		close_fd(&bench->listeners[i]);
	free(bench->listeners);
	for (size_t i = 0; i < VARIANTS; i++)
		free(bench->ns[i]);
}

static int program_of(const struct bench *bench, enum variant_id id)
{
	switch (id) {
	case VARIANT_EMPTY:
		return bpf_program__fd(bench->floor->progs.empty);
	case VARIANT_FIXED:
		return bpf_program__fd(bench->floor->progs.fixed);
	default:
		return bench->state.listeners[0].prog_fd;
	}
}

/* One report of every worker: now, or so long ago that nobody believes it. */
static void report_loads(struct bench *bench, bool stale)
{
	struct timespec now;
	uint64_t now_ns;

	clock_gettime(CLOCK_MONOTONIC, &now);
	now_ns = (uint64_t)now.tv_sec * 1000000000 + now.tv_nsec;
	for (uint32_t i = 0; i < bench->workers; i++) {
		state_load(&bench->state, i)->load = 1;
		state_load(&bench->state, i)->reported_ns = stale ? 1 : now_ns;
	}
}

static int switch_to(struct bench *bench, enum variant_id id)
{
	int program = program_of(bench, id);
	int err = 0;

	if (bench_variants[id].policy)
		err = steer_publish(&bench->state, bench_variants[id].policy);
	if (!err && setsockopt(bench->listeners[0], SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, &program,
			       sizeof(program)))
		err = -errno;
	report_loads(bench, id == VARIANT_ALL_STALE);
	return err;
}

/* Connections that end with a reset: quick, and no TIME_WAIT piles up. */
static int connect_often(const struct bench *bench, uint32_t times)
{
	const struct linger reset = { .l_onoff = 1, .l_linger = 0 };

	for (uint32_t i = 0; i < times; i++) {
		_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) ||
		    connect(fd, (const struct sockaddr *)&bench->addr, sizeof(bench->addr)))
			return -errno;
	}
	return 0;
}

/* Empties all accept queues. Returns how many connections waited there. */
static uint32_t drain(const struct bench *bench)
{
	uint32_t accepted = 0;
	int fd;

	for (uint32_t i = 0; i < bench->workers; i++) {
		while ((fd = accept4(bench->listeners[i], NULL, NULL, SOCK_CLOEXEC)) >= 0) {
			close(fd);
			accepted++;
		}
	}
	return accepted;
}

static int read_program(int fd, struct bpf_prog_info *info)
{
	uint32_t len = sizeof(*info);

	*info = (struct bpf_prog_info){ 0 };
	return bpf_obj_get_info_by_fd(fd, info, &len) ? -errno : 0;
}

int bench_measure(struct bench *bench, enum variant_id id, uint32_t batch, uint32_t connections,
		  struct trouble *trouble)
{
	int err, program = program_of(bench, id);
	const char *cause = NULL;
	struct bpf_prog_info before, after;
	uint64_t runs;

	err = switch_to(bench, id);
	if (!err)
		err = connect_often(bench, WARM_UP);
	if (!err)
		err = read_program(program, &before);
	if (!err)
		err = connect_often(bench, connections);
	if (!err)
		err = read_program(program, &after);
	if (err)
		cause = strerror(-err);
	else if (drain(bench) != connections + WARM_UP)
		cause = "connections were lost";
	else if (after.run_cnt - before.run_cnt < connections)
		cause = "the program did not run for every connection";
	if (cause)
		return trouble_set(trouble, EXIT_FAILED, "%u workers, %s: %s", bench->workers,
				   bench_variants[id].name, cause);
	runs = after.run_cnt - before.run_cnt;
	bench->ns[id][batch] = (double)(after.run_time_ns - before.run_time_ns) / runs;
	return EXIT_DONE;
}

int bench_check(const struct bench *bench, struct trouble *trouble)
{
	struct lb_counters counters;
	uint32_t zero = 0;
	uint64_t odd;
	int err;

	err = state_lookup(&bench->state, MAP_COUNTERS, &zero, &counters, sizeof(counters));
	if (err)
		return trouble_set(trouble, EXIT_FAILED, "can't read the counters: %s",
				   strerror(-err));
	odd = counters.fallback_config + counters.fallback_empty + counters.fallback_none +
	      counters.not_header + counters.redraws + counters.overloaded + counters.all_stalled;
	if (odd)
		return trouble_set(trouble, EXIT_FAILED,
				   "%u workers: %llu decisions fell back or were drawn again, so "
				   "the figures say nothing",
				   bench->workers, (unsigned long long)odd);
	return EXIT_DONE;
}
