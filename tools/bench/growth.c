// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * See growth.h. The listeners are this process's own. What a decision takes is the kernel's own
 * figure, run time by number of runs of the services' programs.
 */
#include "growth.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "client.h"
#include "cmd.h"
#include "service/state.h"

#define FIRST_PORT 7000
#define WORKERS 4 /* of a service */
#define BATCHES 20
#define CONNECTIONS 128 /* of a batch; a multiple of the services */
#define MAX_LISTENERS 1024

struct listeners {
	int fds[MAX_LISTENERS];
	size_t count;
};

static struct sockaddr_in address(uint16_t port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
}

static int open_listeners(struct listeners *listeners, uint16_t port, unsigned int n)
{
	const struct sockaddr_in addr = address(port);
	const int on = 1;
	int fd;

	for (unsigned int i = 0; i < n; i++) {
		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (fd < 0)
			return -errno;
		listeners->fds[listeners->count++] = fd;
		if (setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) ||
		    bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) ||
		    listen(fd, CONNECTIONS))
			return -errno;
	}
	return 0;
}

static void close_listeners(struct listeners *listeners)
{
	while (listeners->count)
		close(listeners->fds[--listeners->count]);
}

double growth_lbctl_ms(const struct world *world, const char *const args[])
{
	const uint64_t begin_ns = client_now_ns();
	const char *argv[8] = { "lbctl" };
	char path[PATH_MAX + 8];
	pid_t pid;
	int status;

	snprintf(path, sizeof(path), "%s/lbctl", world->build);
	for (size_t i = 0; args[i]; i++)
		argv[i + 1] = args[i];
	fflush(NULL);
	pid = fork();
	if (!pid) {
		if (!freopen("/dev/null", "w", stdout))
			_exit(126);
		execv(path, (char *const *)argv);
		_exit(127);
	}
	if (pid < 0)
		return -1;
	while (waitpid(pid, &status, 0) != pid) {
		if (errno != EINTR)
			return -1;
	}
	return status ? -1 : (client_now_ns() - begin_ns) / 1e6;
}

static double attach(const struct world *world, const char *name, uint16_t port)
{
	char text[16];

	snprintf(text, sizeof(text), ":%u", port);
	return growth_lbctl_ms(world,
			       (const char *const[]){ "attach", "--name", name, text, NULL });
}

static double detach(const struct world *world, const char *name)
{
	return growth_lbctl_ms(world, (const char *const[]){ "detach", name, NULL });
}

/* median() sorts: the ends are the bounds. */
static struct interval bounds(double *values, size_t n, size_t cut)
{
	double middle = median(values, n);

	return (struct interval){ values[cut], middle, values[n - 1 - cut] };
}

int growth_attach(const struct world *world, unsigned int workers, unsigned int rounds,
		  struct growth_workers *out, struct trouble *trouble)
{
	double attach_ms[GROWTH_MAX_ROUNDS], detach_ms[GROWTH_MAX_ROUNDS];
	struct listeners listeners = { 0 };
	int err = open_listeners(&listeners, FIRST_PORT, workers);

	for (unsigned int i = 0; i < rounds && !err; i++) {
		attach_ms[i] = attach(world, "growth", FIRST_PORT);
		detach_ms[i] = attach_ms[i] < 0 ? -1 : detach(world, "growth");
		if (attach_ms[i] < 0 || detach_ms[i] < 0 || cmd_stop)
			err = -ECANCELED;
	}
	close_listeners(&listeners);
	if (err)
		return trouble_set(trouble, EXIT_FAILED, "can't attach %u workers: %s", workers,
				   err == -ECANCELED ? "lbctl failed" : strerror(-err));
	*out = (struct growth_workers){ workers, bounds(attach_ms, rounds, 0),
					bounds(detach_ms, rounds, 0) };
	return EXIT_DONE;
}

/* --- services --- */

struct services {
	struct listeners listeners;
	int programs[GROWTH_MAX_SERVICES]; /* descriptors */
	unsigned int attached;
};

/* Returns the milliseconds of attach, or a negative number. */
static double add_service(const struct world *world, struct services *services)
{
	const uint16_t port = FIRST_PORT + services->attached;
	uint32_t ids[STATE_MOST_PROGRAMS];
	char name[16];
	double ms;

	snprintf(name, sizeof(name), "s%u", services->attached);
	if (open_listeners(&services->listeners, port, WORKERS))
		return -1;
	ms = attach(world, name, port);
	if (ms < 0 || state_program_ids(name, ids, STATE_MOST_PROGRAMS) < 1)
		return -1;
	services->programs[services->attached] = bpf_prog_get_fd_by_id(ids[0]);
	return services->programs[services->attached++] < 0 ? -1 : ms;
}

static void remove_services(const struct world *world, struct services *services)
{
	growth_lbctl_ms(world, (const char *const[]){ "detach", "--all", NULL });
	for (unsigned int i = 0; i < services->attached; i++)
		close(services->programs[i]);
	close_listeners(&services->listeners);
}

struct runs {
	uint64_t ns, count;
};

static int read_runs(const struct services *services, struct runs *runs)
{
	*runs = (struct runs){ 0 };
	for (unsigned int i = 0; i < services->attached; i++) {
		struct bpf_prog_info info = { 0 };
		uint32_t len = sizeof(info);

		if (bpf_obj_get_info_by_fd(services->programs[i], &info, &len))
			return -errno;
		runs->ns += info.run_time_ns;
		runs->count += info.run_cnt;
	}
	return 0;
}

/* Ended by a reset, so that no TIME_WAIT piles up. */
static int connect_once(uint16_t port)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const struct linger reset = { .l_onoff = 1, .l_linger = 0 };
	const struct sockaddr_in addr = address(port);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) ||
	    connect(fd, (const struct sockaddr *)&addr, sizeof(addr)))
		return -errno;
	return 0;
}

static void empty_queues(const struct listeners *listeners)
{
	int fd;

	for (size_t i = 0; i < listeners->count; i++) {
		while ((fd = accept4(listeners->fds[i], NULL, NULL, SOCK_CLOEXEC)) >= 0)
			close(fd);
	}
}

struct batch {
	double decision_ns, connect_us; /* means */
};

/* Connections to the first `n` services in turn. */
static int measure_batch(const struct services *services, unsigned int n, struct batch *batch)
{
	struct runs before, after;
	int err = read_runs(services, &before);
	const uint64_t begin_ns = client_now_ns();

	for (unsigned int i = 0; i < CONNECTIONS && !err; i++)
		err = connect_once(FIRST_PORT + i % n);
	batch->connect_us = (client_now_ns() - begin_ns) / 1e3 / CONNECTIONS;
	if (!err)
		err = read_runs(services, &after);
	empty_queues(&services->listeners);
	if (err)
		return err;
	if (after.count - before.count < CONNECTIONS)
		return -ENODATA;
	batch->decision_ns = (double)(after.ns - before.ns) / (after.count - before.count);
	return 0;
}

static int measure(const struct services *services, struct growth_services *out)
{
	double one[BATCHES], in_turn[BATCHES], connect_us[BATCHES];
	struct batch for_one, for_all;
	int err = 0;

	for (int i = -1; i < BATCHES && !err; i++) { /* the first one warms up */
		err = measure_batch(services, 1, &for_one);
		if (!err)
			err = measure_batch(services, services->attached, &for_all);
		if (i < 0 || err)
			continue;
		one[i] = for_one.decision_ns;
		connect_us[i] = for_one.connect_us;
		in_turn[i] = for_all.decision_ns;
	}
	if (err)
		return err;
	out->connect_us = bounds(connect_us, BATCHES, BATCHES / 10);
	out->one_ns = bounds(one, BATCHES, BATCHES / 10);
	out->in_turn_ns = bounds(in_turn, BATCHES, BATCHES / 10);
	return 0;
}

static int grow_to(const struct world *world, unsigned int number, struct services *services,
		   struct growth_services *out)
{
	double ms[GROWTH_MAX_SERVICES];
	size_t n = 0;

	while (services->attached < number) {
		ms[n] = add_service(world, services);
		if (ms[n++] < 0 || cmd_stop)
			return -ECANCELED;
	}
	out->services = number;
	out->attach_ms = median(ms, n);
	return measure(services, out);
}

int growth_services(const struct world *world, const unsigned int *numbers, size_t n,
		    struct growth_services *out, struct trouble *trouble)
{
	_cleanup_close_ int stats = bpf_enable_stats(BPF_STATS_RUN_TIME);
	_cleanup_free_ struct services *services = calloc(1, sizeof(*services));
	int err = services ? 0 : -ENOMEM;

	if (stats < 0)
		return trouble_set(trouble, EXIT_NOT_ABLE,
				   "the kernel won't count BPF run times (5.8 on): %s",
				   strerror(errno));
	for (size_t i = 0; i < n && !err; i++)
		err = grow_to(world, numbers[i], services, &out[i]);
	if (services)
		remove_services(world, services);
	return err ? trouble_set(trouble, EXIT_FAILED, "can't measure many services: %s",
				 err == -ECANCELED ? "lbctl failed" : strerror(-err)) :
		     EXIT_DONE;
}
