/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The world that an integration test runs in: pid, network, mount and cgroup namespaces of its own,
 * fresh bpffs, /run and /proc. A failure ends the test through cmocka.
 */
#ifndef HARNESS_WORLD_H
#define HARNESS_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/probe.h"

#define HARNESS_DIR "/run/test" /* private to the test, gone with it */
#define HARNESS_PINS "/sys/fs/bpf/lbctl"
#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

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

/* Path of what is below the build directory, ../ = the source tree; static until the next call. */
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
/* `full` in `make test-full` (LB_TEST_FULL is set), where a test may take long; else `quick`. */
unsigned int full_load(unsigned int quick, unsigned int full);
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
/* If set, called again and again while the harness waits for something. */
extern void (*harness_idle)(void);
/* If set, called before a test fails as a command did not end in time. */
extern void (*harness_late)(void);

void file_write(const char *path, const char *text);
char *file_read(const char *path); /* to be freed */
/* Entries of a folder; 0 where there is none. */
size_t count_entries(const char *path, bool only_directories);

#endif
