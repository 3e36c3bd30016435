/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What tests of `lbctl run` share: a cgroup of their own in addition to the harness's world, runs
 * with their output in a file, and the check that nothing of a run is left.
 */
#ifndef HARNESS_RUNS_H
#define HARNESS_RUNS_H

#include "harness/load.h"
#include "harness/world.h"
/* As harness_run() and harness_test(), in a cgroup v2 tree of the test's own. */
#define runs_run(argv0, tests)                                                                     \
	(runs_enter(argv0), cmocka_run_group_tests(tests, runs_begin, runs_check_clean))
#define runs_test(function) cmocka_unit_test_teardown(function, runs_reset)

void runs_enter(const char *argv0);
int runs_begin(void **state);
int runs_reset(void **state);
int runs_check_clean(void **state);

#define FILES_DIR "/run/lbctl"	      /* of a run: lock, socket, what else it has to find again */
#define CGROUPS HARNESS_DIR "/cgroup" /* where cgroup v2 is mounted; the root is the test's own */

#define RUN_MAX_ARGS 28
#define RUN_MS 60000 /* until something is to have happened; others may keep the CPUs busy */

struct run {
	pid_t pid;
	const char *name;
	char log[96]; /* what lbctl and its workers printed */
	const char *args[RUN_MAX_ARGS];
	char workers[12], ready_ms[24], kill_ms[24]; /* some of them, where numbers were given */
};

/* The demo worker's path. */
const char *run_demo(void);

/* `lbctl run --name NAME ARG... NULL` and any `lbctl VERB ARG... NULL`, in the background. */
void run_start(struct run *run, const char *name, ...) __attribute__((sentinel));
void run_start_verb(struct run *run, const char *name, const char *verb, ...)
	__attribute__((sentinel));
/*
 * "web", `workers` demo workers on port 8080: they share what they bind themselves, or lbctl gives
 * each a socket, by --listen and this address. Returns when all are up.
 */
void run_start_shared(struct run *run, unsigned int workers);
void run_start_with_listen(struct run *run, unsigned int workers, const char *address);
/* The next lbctl that is started has all capabilities but this one. */
void run_next_without(int capability);
/* Called in the next process that is to become lbctl; once. */
extern void (*run_prepare)(void);
/* The same arguments once more, say after run_kill(); the log goes on. */
void run_start_again(struct run *run);
/*
 * How many lines of the log hold the words: for what workers print themselves. What the keeper
 * tells is an event (events.h).
 */
unsigned int run_lines(const struct run *run, const char *words);
/* To stderr: cmocka cuts what is longer than a kilobyte. */
void run_show_log(const struct run *run);
/* Fails the test with the log unless so many lines hold the words soon. */
void run_expect_lines(const struct run *run, const char *words, unsigned int count);
/* wrk_expect_no_failure(), and else shows what happened to the service. */
void run_expect_no_failure(const struct run *run, const struct wrk *wrk);
/* Until the n workers of the service are up. */
void run_expect_up(const struct run *run, size_t n);
/* Waits for the end; returns the status, 128 + signal. */
int run_wait(struct run *run);
void run_kill(struct run *run);
/* `lbctl stop`: it ends with 0 and nothing is left. */
void run_stop(struct run *run);
void run_expect_nothing_left(void);

/* The pids of workers 0 .. n - 1, which are up. */
void run_pids(const struct run *run, pid_t *pids, size_t n);
/* Fails the test unless those are the same as before. */
void run_expect_same(const struct run *run, const pid_t *pids, size_t n);
/* One command that must end with this status and say these words on either output. */
void lbctl_expect(int status, const char *words, ...) __attribute__((sentinel));

#endif
