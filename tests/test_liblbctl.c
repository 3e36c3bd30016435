/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * liblbctl without lbctl: what is stored into an entry, names, and that every call is harmless
 * where there is nothing to report to. No root, no BPF; real maps are in
 * integration/liblbctl_maps.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "lbctl.h"
#include "lib/find.h"
#include "lib/map.h"
#include "lib/report.h"

static char empty_dir[] = "/tmp/test_liblbctl.XXXXXX";

static void test_report_stores_load_and_times(void **state)
{
	static const struct {
		const char *name;
		uint64_t base, opened, ended, want;
	} rows[] = {
		{ "nothing yet", 0, 0, 0, 0 },
		{ "a load and no connections", 17, 0, 0, 17 },
		{ "open connections", 0, 12, 5, 7 },
		{ "both", 100, 12, 5, 107 },
		{ "more closed than opened", 3, 5, 12, 3 },
		{ "most", UINT64_MAX, 0, 0, UINT64_MAX },
		{ "no wrap", UINT64_MAX, 2, 1, UINT64_MAX },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		struct lbctl_counts counts = {
			.base = rows[i].base,
			.opened = rows[i].opened,
			.ended = rows[i].ended,
		};
		struct lb_load entry = { 0 };

		lbctl_report_store(&entry, &counts, 42);
		if (entry.load != rows[i].want)
			fail_msg("%s: got %llu, want %llu", rows[i].name,
				 (unsigned long long)entry.load, (unsigned long long)rows[i].want);
		assert_int_equal(lbctl_counts_load(&counts), rows[i].want);
		assert_int_equal(entry.opened, rows[i].opened);
		assert_int_equal(entry.ended, rows[i].ended);
		assert_int_equal(entry.reported_ns, 42);
		assert_int_equal(entry.heartbeat_ns, 42);
		assert_int_equal(entry.closed, 0);
	}
}

static void test_report_touches_nothing_else(void **state)
{
	struct lbctl_counts counts = { .base = 1 };
	struct lb_load entries[3];
	static const struct lb_load untouched;

	(void)state;
	memset(entries, 0, sizeof(entries));
	entries[1].closed = 7;
	lbctl_report_store(&entries[1], &counts, 1);
	assert_memory_equal(&entries[0], &untouched, sizeof(untouched));
	assert_memory_equal(&entries[2], &untouched, sizeof(untouched));
	assert_int_equal(entries[1].closed, 7);
	assert_int_equal(entries[1].pad[0] | entries[1].pad[1], 0);
}

static void test_heartbeat_renews_a_report_only_if_there_was_one(void **state)
{
	struct lbctl_counts counts = { .base = 5 };
	struct lb_load entry = { 0 };

	(void)state;
	lbctl_report_heartbeat(&entry, &counts, 10);
	assert_int_equal(entry.heartbeat_ns, 10);
	assert_int_equal(entry.reported_ns, 0);
	counts.reported = true;
	lbctl_report_heartbeat(&entry, &counts, 20);
	assert_int_equal(entry.heartbeat_ns, 20);
	assert_int_equal(entry.reported_ns, 20);
	assert_int_equal(entry.load, 5);
}

static void test_closed_is_seen(void **state)
{
	struct lb_load entry = { 0 };

	(void)state;
	assert_false(lbctl_report_is_closed(&entry));
	entry.closed = 1;
	assert_true(lbctl_report_is_closed(&entry));
}

#define ROUNDS 20000
#define THREADS 2

struct shared {
	int arrived; /* at all meetings so far */
	struct lb_load entry;
	struct lbctl_counts counts;
	pthread_t checker;
	int wrong; /* rounds after which the entry lagged behind */
};

/* A barrier that lets all go in the same instant, to make their stores collide. */
static void meet(struct shared *shared, int meeting)
{
	__atomic_fetch_add(&shared->arrived, 1, __ATOMIC_ACQ_REL);
	while (__atomic_load_n(&shared->arrived, __ATOMIC_ACQUIRE) < THREADS * meeting)
		sched_yield();
}

static void check_round(struct shared *shared)
{
	const struct lb_load *entry = &shared->entry;

	if (entry->opened != shared->counts.opened || entry->ended != shared->counts.ended ||
	    entry->load != entry->opened - entry->ended)
		shared->wrong++;
}

/* Every thread opens a connection in even rounds and closes it in odd ones, all at once. */
static void *open_and_close(void *argument)
{
	struct shared *shared = argument;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		uint64_t *count = i % 2 ? &shared->counts.ended : &shared->counts.opened;

		meet(shared, 3 * i + 1);
		__atomic_fetch_add(count, 1, __ATOMIC_RELEASE);
		lbctl_report_store(&shared->entry, &shared->counts, 1);
		meet(shared, 3 * i + 2);
		if (pthread_equal(pthread_self(), shared->checker))
			check_round(shared);
		meet(shared, 3 * i + 3);
	}
	return NULL;
}

/* Whatever the order of the stores, the last one to finish leaves the true figures. */
static void test_threads_leave_the_latest_figures(void **state)
{
	static struct shared shared;
	pthread_t threads[THREADS];
	int i;

	(void)state;
	shared.checker = pthread_self();
	for (i = 1; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, open_and_close, &shared), 0);
	open_and_close(&shared);
	for (i = 1; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(shared.wrong, 0);
	assert_int_equal(shared.entry.opened, THREADS * ROUNDS / 2);
	assert_int_equal(shared.entry.load, 0);
}

static void test_names(void **state)
{
	static const struct {
		const char *name;
		bool want;
	} rows[] = {
		{ "web", true },
		{ "W", true },
		{ "tcp-8080", true },
		{ "a_b-9", true },
		{ "", false },
		{ "9lives", false },
		{ "-web", false },
		{ "_web", false },
		{ "web.1", false },
		{ "../web", false },
		{ "web/x", false },
		{ ".", false },
		{ "web ", false },
		{ "w\xc3\xa9"
		  "b",
		  false },
		/* 63 and 64 characters */
		{ "a23456789012345678901234567890123456789012345678901234567890123", true },
		{ "a234567890123456789012345678901234567890123456789012345678901234", false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		if (lbctl_find_is_name(rows[i].name) != rows[i].want)
			fail_msg("\"%s\": got %d, want %d", rows[i].name, !rows[i].want,
				 rows[i].want);
	}
}

static int tcp_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	return fd;
}

static void use_everything(struct lbctl_worker *worker)
{
	int i;

	for (i = 0; i < 3; i++) {
		errno = 4711;
		lbctl_connection_opened(worker);
		lbctl_report_load(worker, 5);
		lbctl_heartbeat(worker);
		assert_int_equal(lbctl_worker_slot(worker), -1);
		lbctl_connection_closed(worker);
		lbctl_connection_closed(worker);
		assert_int_equal(errno, 4711);
	}
}

static void test_null_handle_is_harmless(void **state)
{
	(void)state;
	use_everything(NULL);
	lbctl_worker_close(NULL);
}

static void test_no_lbctl_is_no_error(void **state)
{
	static const char *const services[] = { NULL, "web" };
	int fd = tcp_socket();
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		struct lbctl_worker *worker = lbctl_worker_open(services[i], fd);

		assert_non_null(worker);
		use_everything(worker);
		lbctl_worker_close(worker);
		/* the socket is still the caller's */
		assert_true(fcntl(fd, F_GETFD) >= 0);
	}
	close(fd);
}

static void test_bad_arguments(void **state)
{
	int fd = tcp_socket(), plain = open("/dev/null", O_RDONLY | O_CLOEXEC);
	const struct {
		const char *what, *service;
		int fd;
	} rows[] = {
		{ "no descriptor", NULL, -1 },
		{ "not a socket", NULL, plain },
		{ "empty name", "", fd },
		{ "path for a name", "../web", fd },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		errno = 0;
		if (lbctl_worker_open(rows[i].service, rows[i].fd) || errno != EINVAL)
			fail_msg("%s: errno %d, want EINVAL", rows[i].what, errno);
	}
	close(plain);
	close(fd);
}

static void test_bad_environment_is_no_error(void **state)
{
	int fd = tcp_socket(), plain = open("/dev/zero", O_RDWR | O_CLOEXEC);
	char plain_text[16], closed_text[16], socket_text[16];
	const struct {
		const char *what, *load_fd, *slot, *service;
	} rows[] = {
		{ "a plain file", plain_text, "0", NULL },
		{ "a closed descriptor", closed_text, "0", NULL },
		{ "a socket", socket_text, "0", NULL },
		{ "not a number", "x", "0", NULL },
		{ "number and rubbish", "3x", "0", NULL },
		{ "negative", "-1", "0", NULL },
		{ "too long", "99999999999999999999", "0", NULL },
		{ "empty", "", "", NULL },
		{ "no slot", plain_text, NULL, NULL },
		{ "slot out of range", plain_text, "4096", NULL },
		{ "service with a path", NULL, NULL, "../../etc" },
		{ "service too long for a path", NULL, NULL,
		  "a234567890123456789012345678901234567890123456789012345678901234" },
	};
	size_t i;

	(void)state;
	snprintf(plain_text, sizeof(plain_text), "%d", plain);
	snprintf(socket_text, sizeof(socket_text), "%d", fd);
	snprintf(closed_text, sizeof(closed_text), "%d", 1000);
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		struct lbctl_worker *worker;

		if (rows[i].load_fd)
			setenv("LBCTL_LOAD_FD", rows[i].load_fd, 1);
		if (rows[i].slot)
			setenv("LBCTL_SLOT", rows[i].slot, 1);
		if (rows[i].service)
			setenv("LBCTL_SERVICE", rows[i].service, 1);
		worker = lbctl_worker_open(NULL, fd);
		if (!worker)
			fail_msg("%s: no handle", rows[i].what);
		use_everything(worker);
		lbctl_worker_close(worker);
		assert_true(fcntl(plain, F_GETFD) >= 0);
		unsetenv("LBCTL_LOAD_FD");
		unsetenv("LBCTL_SLOT");
		unsetenv("LBCTL_SERVICE");
	}
	close(plain);
	close(fd);
}

/* A directory of the right shape with plain files for pins. */
static void test_files_are_not_pins(void **state)
{
	static const char *const pins[] = { "lb_cookies", "lb_load" };
	char dir[128], path[160];
	struct lbctl_worker *worker;
	int fd = tcp_socket();
	size_t i;

	(void)state;
	snprintf(dir, sizeof(dir), "%s/web", empty_dir);
	assert_int_equal(mkdir(dir, 0755), 0);
	for (i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, pins[i]);
		close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
	}
	worker = lbctl_worker_open(NULL, fd);
	assert_non_null(worker);
	use_everything(worker);
	lbctl_worker_close(worker);
	for (i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, pins[i]);
		unlink(path);
	}
	rmdir(dir);
	close(fd);
}

static int open_descriptors(void)
{
	int fd, count = 0;

	for (fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void test_no_descriptor_leaks(void **state)
{
	int fd = tcp_socket(), before, i;

	(void)state;
	before = open_descriptors();
	for (i = 0; i < 20; i++)
		lbctl_worker_close(lbctl_worker_open(i % 2 ? "web" : NULL, fd));
	assert_int_equal(open_descriptors(), before);
	close(fd);
}

static void test_shape_of_what_is_no_map(void **state)
{
	struct lbctl_map_shape shape;
	int plain = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_int_equal(lbctl_map_shape_from_proc(plain, &shape), -EINVAL);
	assert_int_equal(lbctl_map_shape_from_proc(1000, &shape), -ENOENT);
	assert_true(lbctl_map_shape(plain, &shape) < 0);
	assert_true(lbctl_map_shape(-1, &shape) < 0);
	close(plain);
}

/* The host's own services must not be found. */
static int hide_host(void **state)
{
	(void)state;
	unsetenv("LBCTL_SERVICE");
	unsetenv("LBCTL_LOAD_FD");
	unsetenv("LBCTL_SLOT");
	return !mkdtemp(empty_dir) || setenv("LBCTL_BPF_DIR", empty_dir, 1);
}

static int remove_dir(void **state)
{
	(void)state;
	return rmdir(empty_dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_report_stores_load_and_times),
		cmocka_unit_test(test_report_touches_nothing_else),
		cmocka_unit_test(test_heartbeat_renews_a_report_only_if_there_was_one),
		cmocka_unit_test(test_closed_is_seen),
		cmocka_unit_test(test_threads_leave_the_latest_figures),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_null_handle_is_harmless),
		cmocka_unit_test(test_no_lbctl_is_no_error),
		cmocka_unit_test(test_bad_arguments),
		cmocka_unit_test(test_bad_environment_is_no_error),
		cmocka_unit_test(test_files_are_not_pins),
		cmocka_unit_test(test_no_descriptor_leaks),
		cmocka_unit_test(test_shape_of_what_is_no_map),
	};

	return cmocka_run_group_tests(tests, hide_host, remove_dir);
}
