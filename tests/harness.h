/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What integration tests share: a world of their own (pid, network, mount and cgroup namespaces,
 * fresh bpffs, /run and /proc), commands with deadlines, servers, clients, and the books: every
 * counter of the steering program and the kernel's. A failure ends the test through cmocka.
 */
#ifndef HARNESS_H
#define HARNESS_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#include "host/probe.h"
#include "lb_abi.h"

#define HARNESS_DIR "/run/test" /* private to the test, gone with it */
#define HARNESS_PINS "/sys/fs/bpf/lbctl"
#define COMMAND_MS 20000
#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/* --- the world (harness.c) --- */

/*
 * Runs the tests in a world of their own, as its pid 1, so that nothing outlives them, and checks
 * at the end that nothing was left: pins, BPF programs and maps, processes. Use it as
 * `return harness_run(argv[0], tests);`. Exits with 77 where that takes privileges we lack.
 * LB_TEST_ONLY (environment) is a pattern: tests whose name does not match it are left out.
 */
#define harness_run(argv0, tests)                                                                  \
	(harness_enter(argv0), cmocka_run_group_tests(tests, harness_begin, harness_check_clean))

void harness_enter(const char *argv0);
int harness_begin(void **state);
int harness_check_clean(void **state);

/* For each test: removes every service, ends every child, closes what a failed test held open. */
int harness_reset(void **state);
#define harness_test(function) cmocka_unit_test_teardown(function, harness_reset)

/* Path of a program or file below the build directory; static until the next call. */
const char *harness_build_path(const char *name);

/*
 * Where a test can't go on without a feature (a field of struct features): needs(migrate). Where a
 * kernel forces such a skip, vmtests/skips/ names it.
 */
#define needs(feature)                                                                             \
	do {                                                                                       \
		if (!probe_features()->feature) {                                                  \
			print_message("needs %s, which this kernel lacks\n", #feature);            \
			skip();                                                                    \
		}                                                                                  \
	} while (0)

uint64_t now_ns(void);

/*
 * LB_TEST_SCALE (environment, percent, default 100): on a slow machine a test makes only so much of
 * its usual load and waits longer by as much. A load is at least 1.
 */
unsigned int scaled_load(unsigned int usual);
/* As much as this environment variable asks for, where it is set; `make soak` asks for much. */
unsigned int load_asked(const char *variable, unsigned int usual);
uint64_t scaled_ms(uint64_t usual_ms);

/* Fails the test unless the condition holds within ms. */
#define wait_until(condition, ms)                                                                  \
	do {                                                                                       \
		uint64_t wait_end_ns = now_ns() + scaled_ms(ms) * 1000000;                         \
		while (!(condition)) {                                                             \
			if (now_ns() > wait_end_ns)                                                \
				fail_msg("not within %d ms: %s", (int)(ms), #condition);           \
			harness_nap();                                                             \
		}                                                                                  \
	} while (0)

void harness_nap(void);

void file_write(const char *path, const char *text);
char *file_read(const char *path); /* to be freed */

/* Another network namespace, named as `ip netns` does, with its loopback up. */
void netns_add(const char *name);
void netns_delete(const char *name);
/* Moves this process into it; returns a descriptor for netns_leave(), which closes it. */
int netns_join(const char *name);
void netns_leave(int back);

/* --- commands (harness.c) --- */

struct output {
	int status; /* exit status; 128 + signal */
	char *out;
	char *err;
};

struct job {
	pid_t pid;
	int out_fd, err_fd;
	uint64_t deadline_ns;
	const char *name;
};

#define _cleanup_output_ __attribute__((cleanup(output_free)))
void output_free(struct output *output);

/* A process with its output in pipes; SIGKILL and a failed test when it has not ended by then. */
void job_start(struct job *job, const char *const argv[], int deadline_ms);
void job_wait(struct job *job, struct output *output);
bool job_is_running(const struct job *job);
void command_run(struct output *output, const char *const argv[], int deadline_ms);

/* Runs the command and fails the test with what it printed unless it exits with 0. */
void command_ok(const char *program, ...) __attribute__((sentinel));

#define LBCTL_MAX_ARGS 16
/* `lbctl ARG... NULL`. lbctl_ok() fails the test unless it exits with 0. */
void lbctl_run(struct output *output, ...) __attribute__((sentinel));
void lbctl_ok(const char *first, ...) __attribute__((sentinel));
void lbctl_start(struct job *job, ...) __attribute__((sentinel));
json_t *lbctl_json(const char *first, ...) __attribute__((sentinel)); /* to be json_decref()ed */

/* Names of all pins, one a line, sorted by the walk; to be freed. */
char *pins_list(void);
bool pins_are_gone(void);
/* Have all BPF objects that were ever pinned here been freed? The kernel takes a grace period. */
bool pinned_objects_are_freed(void);

/* --- servers (harness/servers.c) --- */

struct nginx {
	pid_t pid;
	size_t log_start; /* where nginx_log_counts() begins to read */
};

#define NGINX_WORKERS 4

/*
 * Starts nginx with four workers and these `listen` lines; every answer carries the worker's pid
 * as X-Worker. `probe` is an address (as in a client_plan) to wait for.
 */
void nginx_start(struct nginx *nginx, const char *listens, const char *probe, uint16_t port);
void nginx_stop(struct nginx *nginx);
void nginx_reload(const struct nginx *nginx);
/* Fills pids and returns how many workers there are now (at most max are filled). */
size_t nginx_workers(const struct nginx *nginx, pid_t *pids, size_t max);
/* From now on the log counts; then requests per pid, in the order of pids. Returns the sum. */
void nginx_log_mark(struct nginx *nginx);
size_t nginx_log_counts(const struct nginx *nginx, const pid_t *pids, unsigned int *counts,
			size_t n);

#define DEMO_MAX_ARGS 24
struct demo {
	pid_t pid;
	int worker;
};

/* Starts a demo worker with this number and waits until it serves. */
void demo_start(struct demo *demo, int worker, ...) __attribute__((sentinel));
/* Workers 0 .. n - 1, one process each, all with the same arguments; listening on listen. */
void demo_start_many(struct demo *demos, int n, const char *listen);
/* Sends the signal and waits until the process is gone. */
void demo_kill(struct demo *demo, int signal);

/* Descendants of this process that live. */
size_t processes_children(pid_t parent, pid_t *pids, size_t max);

/* --- clients (harness/clients.c) --- */

struct client_plan {
	const char *to;	  /* numeric; NULL = 127.0.0.1 */
	const char *from; /* NULL = any */
	uint16_t port;	  /* 0 = 8080 */
	unsigned int connections;
	unsigned int at_once; /* 0 = 1: one after another */
	int deadline_ms;      /* 0 = 10 s */
};

#define CLIENTS_MAX 4096

struct clients {
	unsigned int answered, failed, waiting;
	int worker[CLIENTS_MAX]; /* X-Worker by connection in order of their start; -1 = none */
	struct client *open;	 /* while they run */
	int epoll;
	uint64_t longest_ns; /* from connect to the end of the answer */
	struct client_plan plan;
	unsigned int started;
};

/* Opens all connections and sends requests, then returns: answers wait for clients_finish(). */
void clients_begin(struct clients *clients, struct client_plan plan);
/* Takes answers until only `waiting` connections have none; fails the test at the deadline. */
void clients_collect(struct clients *clients, unsigned int waiting);
/* Takes all answers; what has none at the deadline has failed. */
void clients_finish(struct clients *clients);
/* Closes what is open, unanswered. */
void clients_abandon(struct clients *clients);
/* All of it; fails the test unless every connection was answered. */
void clients_run(struct clients *clients, struct client_plan plan);
unsigned int clients_of(const struct clients *clients, int worker);
/* Fails the test unless workers 0 .. n - 1 answered this many connections each. */
void clients_expect(const struct clients *clients, size_t n, const unsigned int *want);

struct siege {
	unsigned int transactions;
	double availability;
};
void siege_run(struct siege *siege, const char *url, const char *concurrency, const char *repeat);

/* Whoever makes load takes all that is left of a slow machine, and no more. */
void load_steps_back(const struct job *job);

struct wrk {
	unsigned long requests, socket_errors, bad_answers, longest_us;
	char errors[96]; /* by kind */
};
/* wrk with one connection per request; wrk_stop() ends it early, wrk_wait() waits for its end. */
#define WRK_UNTIL_STOPPED 2000 /* seconds */
void wrk_start(struct job *job, const char *url, const char *connections, int seconds);
void wrk_stop(const struct job *job);
void wrk_wait(struct job *job, struct wrk *wrk);
/* No error, no answer but 2xx, and at least one request. */
void wrk_expect_no_failure(const struct wrk *wrk);

/* --- books (harness/books.c) --- */

#define BOOKS_SLOTS 16

/* Every counter of a service; as a difference, what a test expects. */
struct books {
	uint64_t sent_again; /* TCP segments here, by the kernel's count */
	uint64_t cursor;
#define X(field, help) uint64_t field;
	LB_COUNTERS(X)
#undef X
#define X(field, help) uint64_t field[BOOKS_SLOTS];
	LB_SLOT_COUNTERS(X)
#undef X
};

void books_read(const char *service, struct books *books);
/*
 * Fails the test with every field that differs unless the books have grown by exactly `want`
 * since `before`. Look-ups by segments that were sent again may come on top, and on a slow machine
 * some by races of the kernel's: ack_recent and ack_stray.
 */
#define books_expect(service, before, ...)                                                         \
	books_compare(service, before, &(const struct books){ __VA_ARGS__ }, __FILE__, __LINE__)
void books_compare(const char *service, const struct books *before, const struct books *want,
		   const char *file, int line);
uint64_t books_selected(const struct books *books);

/* A kernel counter of this network namespace, by nstat's name: "TcpExtListenOverflows". */
uint64_t kernel_counter(const char *name);
void kernel_set(const char *sysctl, const char *value); /* "net/ipv4/tcp_syncookies" */

/* mmaps the array pinned as HARNESS_PINS/SERVICE/NAME; munmap with the same size. */
void *map_mmap(const char *service, const char *name, size_t bytes);
int map_open(const char *service, const char *name);

/* `show SERVICE --json`, read into numbers. */
struct show_worker {
	pid_t pid;
	char state[16];
	unsigned int weight, limit, live, half_open, queued;
	uint64_t selected, skipped, migrated_in, migrated_out;
};

struct show {
	size_t nr_workers, nr_listeners;
	struct show_worker worker[LB_MAX_WORKERS];
	char policy[32];
	uint64_t decisions, fallback, migrated;
	unsigned int unregistered;
};

void show_read(const char *service, struct show *show);

/*
 * A machine that has other things to do stalls workers, and then the program passes them by. Tests
 * that count to the connection do without: what is attached or asked for by clients has its
 * stall_ms set to 0, unless the test's main() says that stalls count.
 */
extern bool stalls_count;
void stalls_forgive(void);

/*
 * What was rescued of the service's first listener gets its share again from now on, without a
 * probe first.
 */
void holds_end(const char *service);

#endif
