/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What tests of the kernel's counts share: workers that do with a connection what its first byte
 * says, clients that hold many open, and the counters beside what sock_diag says. All runs in a
 * cgroup of its own, so that the tracking program sees nobody else's connections.
 */
#ifndef HARNESS_OBEY_H
#define HARNESS_OBEY_H

#include <limits.h>
#include <sys/types.h>

#include "harness/world.h"

/* As harness_run() and harness_test(). */
#define obey_run(argv0, tests)                                                                     \
	(harness_enter(argv0), cmocka_run_group_tests(tests, obey_begin, obey_check_clean))
#define obey_test(function) cmocka_unit_test_teardown(function, obey_reset)

int obey_begin(void **state);
int obey_reset(void **state);
int obey_check_clean(void **state);

#define WORKERS 4
#define PORT 8080
#define MANY 2048 /* clients that can be open at the same time */
#define QUIET_MS 5000

/* --- cgroups --- */

extern char cgroup_root[PATH_MAX], own_cgroup[NAME_MAX];

/* A child of the test's own cgroup, as a path from the root; the text is overwritten. */
const char *child_cgroup(const char *name);
void child_make(const char *name);
bool child_remove(const char *name);
uint64_t id_of_cgroup(const char *path);
/* The cgroup that the tracking program of service web is attached to. */
uint64_t tracked_cgroup(void);
/* Programs for sockets' events that are attached to this cgroup. */
unsigned int links_on(uint64_t cgroup);

/* --- workers --- */

#define OBEY_BUSY_MS 4

enum order {
	HOLD = 'h',
	CLOSE = 'c',
	RESET = 'r',
	HALF_CLOSE = 's',
	BUSY = 'b', /* for OBEY_BUSY_MS the worker does nothing else */
};

/*
 * What such a worker does; and one of port PORT in `cgroup` (NULL: where the test is), which
 * listens when this returns. SIGUSR1: it closes its listeners and keeps the connections, as a
 * graceful stop does. SIGUSR2: its queue has room for two.
 */
__attribute__((noreturn)) void obey_serve(bool both_families);
pid_t worker_start_as(const char *cgroup, bool both_families);
pid_t worker_start(void);
void workers_start(pid_t pids[WORKERS]);
void worker_kill(pid_t pid);
size_t listeners(void);
/* The least room of all accept queues. */
uint32_t shortest_queue(void);

/* --- clients --- */

extern int open_fds[MANY];
extern size_t nr_open;

/* A connection that is being opened; and until it is open. */
int client_socket(const char *to);
void client_wait(int fd);
/* These go to open_fds[]. */
void open_one(const char *to);
void open_many(size_t n);
/* Closes one, or all; `reset_one` by a reset. */
void forget(size_t i);
void reset_one(size_t i);
void close_all(void);
/* What the worker is to do with its end. */
void tell(int fd, enum order order);

/* --- counters --- */

extern struct lb_stats *stats; /* of service web */

/* Attaches PORT as service web and maps its counters. */
void attach(const char *policy);
/* Of a service web that is there. */
void map_stats(void);
void unmap_stats(void);
/* Sums over all slots; a count below 0 is a failure. */
int64_t live_sum(void);
uint64_t opened_sum(void);
/* Whether `live` is what sock_diag and /proc say: of every slot, of one. */
bool counters_are_right(void);
bool slot_is_right(int slot);
/* Fails the test with what differs unless the counters are right within ms. */
void expect_right_counters(int ms);
int slot_of_process(pid_t pid);
/* `live` of the first four slots. */
void expect_live(int64_t a, int64_t b, int64_t c, int64_t d);

#endif
