// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * lbctl where something around it is wrong: pins are of another version, cut off half-way, of
 * another user, or left by an lbctl that was killed.
 */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/maps.h"
#include "harness/pins.h"
#include "harness/processes.h"
#include "harness/servers.h"
#include "harness/world.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lb_abi.h"

#define WEB HARNESS_PINS "/web"

static struct demo demos[2];
static struct clients clients;

static int set_up(void **state)
{
	(void)state;
	demo_start_many(demos, 2, ":8080");
	return 0;
}

static void expect_only_detach_helps(int status, const char *word)
{
	struct output output;

	lbctl_run(&output, "show", "web", NULL);
	output_expect(&output, status, word);
	assert_non_null(strstr(output.err, "lbctl detach web"));
	output_free(&output);
	lbctl_run(&output, "list", NULL);
	assert_int_equal(output.status, 0);
	assert_non_null(strstr(output.out, "web"));
	output_free(&output);
	lbctl_ok("detach", "web", NULL);
	assert_true(pins_are_gone());
	wait_until(pinned_objects_are_freed(), 5000);
	clients_run(&clients, (struct client_plan){ .connections = 20 });
}

/* Pins of another version: named, with the command that gets out of it; that command works. */
static void test_another_version(void **state)
{
	struct lb_config *config;

	(void)state;
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	config = map_mmap("web", "lb_config", sizeof(*config));
	config->abi_version = LB_ABI_VERSION + 1;
	munmap(config, sizeof(*config));
	expect_only_detach_helps(1, "version");
}

/* The map is of this version, so far as its first field says. */
static void replace_pin(const char *pin, int fd)
{
	const uint32_t zero = 0;
	char value[8192] = { 0 }, path[256];

	assert_true(fd >= 0);
	if (!strcmp(pin, "lb_config")) {
		memcpy(value, &(uint32_t){ LB_ABI_VERSION }, sizeof(uint32_t));
		assert_int_equal(bpf_map_update_elem(fd, &zero, value, BPF_ANY), 0);
	}
	snprintf(path, sizeof(path), "%s/%s", WEB, pin);
	/* lb_latency is there only while it is on */
	assert_true(!unlink(path) || errno == ENOENT);
	assert_int_equal(bpf_obj_pin(fd, path), 0);
	close(fd);
}

/* A directory cut off half-way, at each of its pins in turn. */
static void test_half_a_directory(void **state)
{
	static const char *const pins[] = { "lb_config",	   "lb_workers",
					    "lb_cookies",	   "lb_stats",
					    "lb_counters",	   "listener0/lb_sockets",
					    "listener0/lb_queues", "listener0/lb_steer" };
	char path[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(pins); i++) {
		lbctl_ok("attach", "--name", "web", ":8080", NULL);
		snprintf(path, sizeof(path), "%s/%s", WEB, pins[i]);
		assert_int_equal(unlink(path), 0);
		expect_only_detach_helps(1, "web");
	}
}

/* In place of a pin: a map of another type or size, as no lbctl of this version makes one. */
static void test_wrong_maps(void **state)
{
	static const struct {
		const char *pin;
		uint32_t type, key_bytes, value_bytes, entries, flags;
	} rows[] = {
		{ "lb_config", BPF_MAP_TYPE_ARRAY, 4, LB_FIRST_config - 8, 1, BPF_F_MMAPABLE },
		{ "lb_config", BPF_MAP_TYPE_ARRAY, 4, LB_FIRST_config, 1, 0 },
		{ "lb_config", BPF_MAP_TYPE_ARRAY, 4, 8192, 1, BPF_F_MMAPABLE },
		{ "lb_config", BPF_MAP_TYPE_ARRAY, 4, 2, 1, 0 },
		{ "lb_config", BPF_MAP_TYPE_HASH, 4, LB_FIRST_config, 1, 0 },
		{ "lb_workers", BPF_MAP_TYPE_ARRAY, 4, 24, LB_ALL_SLOTS, BPF_F_MMAPABLE },
		{ "lb_workers", BPF_MAP_TYPE_HASH, 4, 32, LB_ALL_SLOTS, 0 },
		{ "lb_workers", BPF_MAP_TYPE_ARRAY, 4, 32, LB_ALL_SLOTS, 0 },
		{ "lb_stats", BPF_MAP_TYPE_ARRAY, 4, LB_FIRST_stats, 16, BPF_F_MMAPABLE },
		{ "lb_load", BPF_MAP_TYPE_ARRAY, 4, 128, LB_ALL_SLOTS, BPF_F_MMAPABLE },
		{ "lb_schedule", BPF_MAP_TYPE_ARRAY, 4, 8, 64, BPF_F_MMAPABLE },
		{ "lb_counters", BPF_MAP_TYPE_ARRAY, 4, LB_FIRST_counters - 8, 1, 0 },
		{ "lb_counters", BPF_MAP_TYPE_ARRAY, 4, 4104, 1, 0 },
		{ "lb_cookies", BPF_MAP_TYPE_HASH, 4, 8, 64, 0 },
		{ "lb_cookies", BPF_MAP_TYPE_HASH, 8, LB_MOST_COPIED + 8, 64, 0 },
		{ "lb_migrated", BPF_MAP_TYPE_HASH, 8, 16, 64, 0 },
		{ "lb_recent", BPF_MAP_TYPE_ARRAY, 4, 8, 16, 0 },
		{ "lb_wake", BPF_MAP_TYPE_ARRAY, 4, 8, 1, 0 },
		{ "lb_latency", BPF_MAP_TYPE_HASH, 4, LB_FIRST_latency - 8, 64, 0 },
		{ "lb_latency", BPF_MAP_TYPE_ARRAY, 4, LB_FIRST_latency, 64, 0 },
		{ "listener0/lb_sockets", BPF_MAP_TYPE_ARRAY, 4, 8, LB_ALL_SLOTS, 0 },
		{ "listener0/lb_queues", BPF_MAP_TYPE_ARRAY, 4, 8, LB_ALL_SLOTS, BPF_F_MMAPABLE },
		{ "listener0/lb_stalls", BPF_MAP_TYPE_ARRAY, 4, 64, 64, BPF_F_MMAPABLE },
		{ "listener0/lb_queues", BPF_MAP_TYPE_ARRAY, 4, 16, LB_ALL_SLOTS, 0 },
		{ "listener0/lb_queues", BPF_MAP_TYPE_ARRAY, 4, 4104, LB_ALL_SLOTS,
		  BPF_F_MMAPABLE },
		{ "listener0/lb_stalls", BPF_MAP_TYPE_ARRAY, 4, LB_FIRST_stall, LB_ALL_SLOTS, 0 },
		{ "listener0/lb_stalls", BPF_MAP_TYPE_HASH, 4, LB_FIRST_stall, LB_ALL_SLOTS, 0 },
		{ "listener0/lb_steer", BPF_MAP_TYPE_ARRAY, 4, 8, 1, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = rows[i].flags);

		lbctl_ok("attach", "--name", "web", ":8080", NULL);
		replace_pin(rows[i].pin,
			    bpf_map_create(rows[i].type, "wrong", rows[i].key_bytes,
					   rows[i].value_bytes, rows[i].entries, &options));
		expect_only_detach_helps(1, "damaged");
	}
}

/* One that can't be written any more can't be mapped, either. */
static void test_frozen_maps(void **state)
{
	static const struct {
		const char *pin;
		uint32_t value_bytes;
	} rows[] = { { "lb_workers", 32 },
		     { "listener0/lb_queues", 16 },
		     { "listener0/lb_stalls", LB_FIRST_stall } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_MMAPABLE);
		int fd;

		lbctl_ok("attach", "--name", "web", ":8080", NULL);
		fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "frozen", 4, rows[i].value_bytes,
				    LB_ALL_SLOTS, &options);
		assert_int_equal(bpf_map_freeze(fd), 0);
		replace_pin(rows[i].pin, fd);
		expect_only_detach_helps(1, "damaged");
	}
}

/* In place of a pin something that is none. */
static void test_no_pins(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		lbctl_ok("attach", "--name", "web", ":8080", NULL);
		assert_int_equal(unlink(WEB "/lb_workers"), 0);
		assert_int_equal(i ? mkdir(WEB "/lb_workers", 0755) :
				     symlink("nowhere", WEB "/lb_workers"),
				 0);
		expect_only_detach_helps(1, "damaged");
	}
}

/* A later lbctl of this version may have made the values as long as they may be. */
static void test_longest_values(void **state)
{
	LIBBPF_OPTS(bpf_map_create_opts, options);

	(void)state;
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	replace_pin("lb_counters",
		    bpf_map_create(BPF_MAP_TYPE_ARRAY, "long", 4, LB_MOST_VALUE, 1, &options));
	lbctl_ok("list", NULL);
	lbctl_ok("show", "web", NULL);
	lbctl_ok("stats", "web", NULL);
	lbctl_ok("detach", "web", NULL);
}

/* --- a bpffs that everybody may use, as a plain mount is --- */

/* As user nobody; what it returns is the exit status. */
static int as_nobody(int (*run)(void))
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		if (setgid(65534) || setuid(65534))
			_exit(126);
		_exit(run());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

static int make_directory(void)
{
	return mkdir(HARNESS_PINS, 0777) ? 1 : 0;
}

static int make_link(void)
{
	return symlink("/sys/fs/bpf/elsewhere", HARNESS_PINS) ? 1 : 0;
}

/* 0: it has the lock. */
static int take_lock(void)
{
	int root = open(HARNESS_PINS, O_RDONLY | O_DIRECTORY);
	int web = open(WEB, O_RDONLY | O_DIRECTORY);

	return (root < 0 || flock(root, LOCK_SH | LOCK_NB)) &&
	       (web < 0 || flock(web, LOCK_SH | LOCK_NB));
}

static void expect_words(const char *words, const char *a, const char *b, const char *c,
			 const char *d)
{
	struct output output;

	lbctl_run(&output, a, b, c, d, NULL);
	output_expect(&output, 1, words);
	output_free(&output);
}

static void expect_refused(void)
{
	static const char words[] = "is not lbctl's";

	expect_words(words, "attach", "--name=web", ":8080", NULL);
	expect_words(words, "list", NULL, NULL, NULL);
	expect_words(words, "show", "web", NULL, NULL);
	expect_words(words, "stats", "web", NULL, NULL);
	expect_words(words, "detach", "web", NULL, NULL);
	expect_words(words, "set-policy", "rr", NULL, NULL);
}

/* Another user's directory, or a link to one, is not taken for lbctl's. */
static void test_directory_of_another_user(void **state)
{
	(void)state;
	rmdir(HARNESS_PINS);
	assert_int_equal(chmod("/sys/fs/bpf", 01777), 0);
	assert_int_equal(as_nobody(make_directory), 0);
	expect_refused();
	assert_int_equal(rmdir(HARNESS_PINS), 0);
	assert_int_equal(mkdir("/sys/fs/bpf/elsewhere", 0700), 0);
	assert_int_equal(as_nobody(make_link), 0);
	expect_refused();
	assert_int_equal(unlink(HARNESS_PINS), 0);
	assert_int_equal(rmdir("/sys/fs/bpf/elsewhere"), 0);
	assert_int_equal(chmod("/sys/fs/bpf", 0700), 0);
}

/*
 * 1. nobody can lock what lbctl makes
 * 2. what an earlier version made can be locked, until a command has looked at it
 * 3. whoever holds the lock is named
 */
static void test_locks(void **state)
{
	char words[64];
	int fd;

	(void)state;
	assert_int_equal(chmod("/sys/fs/bpf", 01777), 0);
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	assert_int_equal(as_nobody(take_lock), 1);
	assert_int_equal(chmod(HARNESS_PINS, 0755), 0);
	assert_int_equal(chmod(WEB, 0755), 0);
	assert_int_equal(as_nobody(take_lock), 0);
	lbctl_ok("show", "web", NULL);
	assert_int_equal(as_nobody(take_lock), 1);
	fd = open(WEB, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_SH), 0);
	snprintf(words, sizeof(words), "process %d has held the lock", getpid());
	expect_words(words, "set-weight", "web", "0", "2");
	close(fd);
	lbctl_ok("detach", "web", NULL);
	assert_int_equal(chmod("/sys/fs/bpf", 0700), 0);
}

/* Has the lock of web so long, once it can have it. */
static pid_t hold_lock(unsigned int seconds)
{
	pid_t pid = fork();
	int fd;

	assert_true(pid >= 0);
	if (pid)
		return pid;
	fd = open(WEB, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	flock(fd, LOCK_EX);
	sleep(seconds);
	_exit(0);
}

/* Many that have it one after the other are no reason to give up. */
static void test_lock_goes_round(void **state)
{
	pid_t pids[2];

	(void)state;
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	for (int i = 0; i < 2; i++)
		pids[i] = hold_lock(7);
	usleep(500000);
	lbctl_ok("set-weight", "web", "0", "2", NULL);
	for (int i = 0; i < 2; i++)
		waitpid(pids[i], NULL, 0);
	lbctl_ok("detach", "web", NULL);
}

/* Numbers in lb_config that would lead out of our arrays. */
static void test_wrong_numbers(void **state)
{
	struct lb_config *config;

	(void)state;
	for (int i = 0; i < 3; i++) {
		lbctl_ok("attach", "--name", "web", ":8080", NULL);
		config = map_mmap("web", "lb_config", sizeof(*config));
		if (i == 0)
			config->nr_listeners = LB_MAX_LISTENERS + 1;
		else if (i == 1)
			config->used_slots = LB_MAX_SLOTS + 1;
		else
			config->word |= (uint64_t)(LB_MAX_SCHEDULE + 1) << 32;
		munmap(config, sizeof(*config));
		expect_only_detach_helps(1, "damaged");
	}
}

/* An empty directory of that name is no service, and does not hinder one. */
static void test_empty_directory(void **state)
{
	(void)state;
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	lbctl_ok("detach", "web", NULL);
	assert_int_equal(mkdir(WEB, 0755), 0);
	expect_only_detach_helps(1, "web");
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
}

static void copy_pin(const char *from, const char *to)
{
	int fd = bpf_obj_get(from);

	assert_true(fd >= 0);
	assert_int_equal(bpf_obj_pin(fd, to), 0);
	close(fd);
}

/* What a killed lbctl was building or taking apart: nobody sees it, the next change removes it. */
static void test_leftovers(void **state)
{
	static const char *const names[] = { "_new-4711", "_gone-4712" };
	char path[256];
	char *pins;

	(void)state;
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), HARNESS_PINS "/%s", names[i]);
		assert_int_equal(mkdir(path, 0755), 0);
		snprintf(path, sizeof(path), HARNESS_PINS "/%s/lb_stats", names[i]);
		copy_pin(WEB "/lb_stats", path);
		snprintf(path, sizeof(path), HARNESS_PINS "/%s/listener0", names[i]);
		assert_int_equal(mkdir(path, 0755), 0);
		snprintf(path, sizeof(path), HARNESS_PINS "/%s/listener0/lb_steer", names[i]);
		copy_pin(WEB "/listener0/lb_steer", path);
	}
	lbctl_ok("show", NULL);
	lbctl_ok("detach", "web", NULL);
	pins = pins_list();
	assert_null(strstr(pins, "_new"));
	assert_null(strstr(pins, "_gone"));
	free(pins);
	wait_until(pinned_objects_are_freed(), 5000);
}

/* Whoever holds a socket can take our program off: show says so, and attach puts it back. */
static void test_program_taken_away(void **state)
{
	json_t *json, *listener;
	int fd, zero = 0;

	(void)state;
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	process_listeners(demos[0].pid, &fd, 1);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, &zero, sizeof(zero)),
			 0);
	close(fd);
	json = lbctl_json("show", "web", "--json", NULL);
	listener = json_array_get(json_object_get(json, "listeners"), 0);
	assert_true(json_is_false(json_object_get(listener, "steering")));
	json_decref(json);
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	json = lbctl_json("show", "web", "--json", NULL);
	listener = json_array_get(json_object_get(json, "listeners"), 0);
	assert_true(json_is_true(json_object_get(listener, "steering")));
	json_decref(json);
}

#define world_test(function) cmocka_unit_test_setup_teardown(function, set_up, harness_reset)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		world_test(test_another_version),
		world_test(test_half_a_directory),
		world_test(test_wrong_maps),
		world_test(test_frozen_maps),
		world_test(test_no_pins),
		world_test(test_longest_values),
		world_test(test_directory_of_another_user),
		world_test(test_locks),
		world_test(test_lock_goes_round),
		world_test(test_wrong_numbers),
		world_test(test_empty_directory),
		world_test(test_leftovers),
		world_test(test_program_taken_away),
	};

	(void)argc;
	return harness_run(argv[0], tests);
}
