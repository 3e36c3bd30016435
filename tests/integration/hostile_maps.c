// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Garbage in the maps of a service: no connection is dropped, each decision is counted, the kernel
 * complains of nothing, and once the garbage is gone the spread is exact again. One map or several
 * at a time, under each policy, from LB_TEST_SEED (environment; it is printed); LB_TEST_GARBAGE is
 * how many rounds.
 */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/counters.h"
#include "harness/datagrams.h"
#include "harness/garbage.h"
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
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CONNECTIONS 24
#define EACH (CONNECTIONS / WORKERS)
#define MOST_MAPS 32
#define NEAR_SLOTS 8 /* the workers' slots, and some behind them */
#define STRANGE_KEYS 64

static struct demo demos[WORKERS];
static struct clients clients;
static int listeners[WORKERS]; /* of the workers, duplicates; -1 = none */

/* --- the maps of a service, as they were --- */

static struct kept_map {
	char name[64];
	int fd;
	struct bpf_map_info info;
	char *values; /* of an array; for a hash, each key before its value */
	size_t count;
} maps[MOST_MAPS];
static size_t nr_maps;

static bool is_array(const struct kept_map *map)
{
	return map->info.type == BPF_MAP_TYPE_ARRAY;
}

static bool is_hash(const struct kept_map *map)
{
	return map->info.type == BPF_MAP_TYPE_HASH || map->info.type == BPF_MAP_TYPE_LRU_HASH;
}

/* By socket: what the workers' listeners pass on to each connection. */
static bool is_storage(const struct kept_map *map)
{
	return map->info.type == BPF_MAP_TYPE_SK_STORAGE;
}

static char *kept_entry(const struct kept_map *map, size_t n)
{
	return map->values + n * (map->info.key_size + map->info.value_size);
}

static void map_keep_entry(struct kept_map *map, const void *key)
{
	size_t bytes = map->info.key_size + map->info.value_size;
	char *entry;

	map->values = realloc(map->values, (map->count + 1) * bytes);
	assert_non_null(map->values);
	entry = kept_entry(map, map->count);
	memcpy(entry, key, map->info.key_size);
	if (!bpf_map_lookup_elem(map->fd, key, entry + map->info.key_size))
		map->count++;
}

/* Of an array the first slots, which are all that garbage is written to. */
static void map_keep(struct kept_map *map)
{
	char key[64], next[64];
	void *last = NULL;

	map->count = 0;
	if (is_array(map)) {
		for (uint32_t i = 0; i < NEAR_SLOTS && i < map->info.max_entries; i++)
			map_keep_entry(map, &i);
	}
	for (int i = 0; is_storage(map) && i < WORKERS; i++)
		map_keep_entry(map, &listeners[i]);
	/* what an LRU hash has it may also forget */
	while (map->info.type == BPF_MAP_TYPE_HASH && !bpf_map_get_next_key(map->fd, last, next)) {
		map_keep_entry(map, next);
		last = memcpy(key, next, sizeof(key));
	}
}

static void map_restore(struct kept_map *map)
{
	char key[64];

	while (is_hash(map) && !bpf_map_get_next_key(map->fd, NULL, key))
		bpf_map_delete_elem(map->fd, key);
	for (size_t i = 0; i < map->count; i++) {
		const char *entry = kept_entry(map, i);

		assert_int_equal(bpf_map_update_elem(map->fd, entry, entry + map->info.key_size, 0),
				 0);
	}
}

static void maps_open(void)
{
	char *pins = pins_list(), *rest = pins, *path;

	nr_maps = 0;
	while ((path = strsep(&rest, "\n"))) {
		struct kept_map *map = &maps[nr_maps];
		uint32_t len = sizeof(map->info);
		char *name = strrchr(path, '/');

		if (!name || strncmp(name, "/lb_", 4) || (map->fd = bpf_obj_get(path)) < 0)
			continue;
		memset(&map->info, 0, sizeof(map->info));
		if (bpf_obj_get_info_by_fd(map->fd, &map->info, &len) ||
		    !(is_array(map) || is_hash(map) || is_storage(map))) {
			close(map->fd);
			continue;
		}
		snprintf(map->name, sizeof(map->name), "%s", name + 1);
		assert_true(++nr_maps < MOST_MAPS);
	}
	free(pins);
}

static void maps_close(void)
{
	for (size_t i = 0; i < nr_maps; i++) {
		close(maps[i].fd);
		free(maps[i].values);
		maps[i].values = NULL;
	}
}

/* --- garbage --- */

static void value_spoil(const struct kept_map *map, char *value)
{
	unsigned int every = 1 + rand() % 8;

	for (size_t at = 0; at + 8 <= map->info.value_size; at += 8) {
		uint64_t number = garbage();

		if (rand() % every == 0)
			memcpy(value + at, &number, sizeof(number));
	}
}

static void map_spoil(const struct kept_map *map)
{
	char entry[64 + LB_MOST_VALUE] = { 0 };

	for (size_t i = 0; i < map->count; i++) {
		memcpy(entry, kept_entry(map, i), map->info.key_size + map->info.value_size);
		value_spoil(map, entry + map->info.key_size);
		bpf_map_update_elem(map->fd, entry, entry + map->info.key_size, 0);
	}
	for (int i = 0; is_hash(map) && i < STRANGE_KEYS; i++) {
		uint64_t number = garbage();

		memcpy(entry, &number, map->info.key_size);
		value_spoil(map, entry + map->info.key_size);
		bpf_map_update_elem(map->fd, entry, entry + map->info.key_size, 0);
	}
}

/* What counts decisions, and so is no witness of them while it has garbage. */
static bool counts(const struct kept_map *map)
{
	return !strcmp(map->name, "lb_stats") || !strcmp(map->name, "lb_counters");
}

/* --- the kernel's log --- */

static int kernel_log;

static void kernel_log_open(void)
{
	kernel_log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (kernel_log >= 0)
		lseek(kernel_log, 0, SEEK_END);
}

static void kernel_expect_silent(void)
{
	static const char *const bad[] = { "BUG",	 "WARNING", "Oops", "general protection",
					   "Call Trace", "lb_" };
	char line[8192];
	ssize_t len;

	while ((len = read(kernel_log, line, sizeof(line) - 1)) > 0 ||
	       (len < 0 && errno == EPIPE)) {
		line[len < 0 ? 0 : len] = '\0';
		for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
			if (strstr(line, bad[i]))
				fail_msg("the kernel says: %s", line);
		}
	}
	close(kernel_log);
}

/* --- rounds --- */

static const char *const policies[] = { "rr",	      "random",	       "hash",	"least-conn",
					"least-load", "least-latency", "kernel" };

/* Any of them may say what is wrong, and none crashes. */
static void look_at_it(void)
{
	static const char *const nouns[] = { "show", "list", "stats", "scan", "doctor" };
	struct output output;

	lbctl_run(&output, nouns[rand() % ARRAY_SIZE(nouns)], rand() % 2 ? "--json" : NULL, NULL);
	if (output.status >= 128)
		fail_msg("a command died of signal %d: %s", output.status - 128, output.err);
	output_free(&output);
}

static const struct traffic {
	const char *service;
	void (*run)(void);
	void (*expect_exact)(void);
	const char *during, *after; /* what is set while it runs, and for an exact spread */
} * traffic;

static void garbage_round(void)
{
	const char *policy = policies[rand() % ARRAY_SIZE(policies)];
	size_t first = rand() % nr_maps, n = rand() % 3 ? 1 : 1 + rand() % nr_maps;
	bool counted = true;
	uint64_t before;

	lbctl_ok("set", traffic->service, traffic->during, NULL);
	lbctl_ok("set-policy", traffic->service, policy, NULL);
	for (size_t i = 0; i < nr_maps; i++)
		map_keep(&maps[i]);
	before = counters_decisions(traffic->service);
	print_message("%s: %zu from %s on\n", policy, n, maps[first].name);
	for (size_t i = 0; i < n; i++) {
		map_spoil(&maps[(first + i) % nr_maps]);
		counted &= !counts(&maps[(first + i) % nr_maps]);
	}
	traffic->run();
	if (counted)
		assert_int_equal(counters_decisions(traffic->service) - before, CONNECTIONS);
	if (rand() % 4 == 0)
		look_at_it();
	for (size_t i = 0; i < nr_maps; i++)
		map_restore(&maps[i]);
	lbctl_ok("set", traffic->service, traffic->after, NULL);
	lbctl_ok("set-policy", traffic->service, "rr", NULL);
	traffic->expect_exact();
}

static void garbage_rounds(const struct traffic *which)
{
	unsigned int seed = load_asked("LB_TEST_SEED", 20261129),
		     rounds = load_asked("LB_TEST_GARBAGE", scaled_load(full_load(60, 1000)));

	print_message("LB_TEST_SEED=%u\n", seed);
	srand(seed);
	traffic = which;
	kernel_log_open();
	maps_open();
	assert_true(nr_maps >= 8);
	for (unsigned int i = 0; i < rounds; i++)
		garbage_round();
	maps_close();
	kernel_expect_silent();
}

static void connect_all(void)
{
	clients_run(&clients, (struct client_plan){ .connections = CONNECTIONS, .at_once = 4 });
}

static void connect_exactly(void)
{
	static const unsigned int each[WORKERS] = { EACH, EACH, EACH, EACH };

	connect_all();
	clients_expect(&clients, WORKERS, each);
}

static const struct traffic connections = {
	"web", connect_all, connect_exactly, "stall_ms=100", "stall_ms=0",
};

static void test_tcp(void **state)
{
	(void)state;
	demo_start_many(demos, WORKERS, ":8080");
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	for (int i = 0; i < WORKERS; i++)
		process_listeners(demos[i].pid, &listeners[i], 1);
	garbage_rounds(&connections);
	for (int i = 0; i < WORKERS; i++)
		close(listeners[i]);
}

static void send_all(void)
{
	for (int i = 0; i < CONNECTIONS; i++)
		assert_in_range(udp_ask(false), 0, WORKERS - 1);
}

static void send_exactly(void)
{
	static const unsigned int each[WORKERS] = { EACH, EACH, EACH, EACH };

	udp_expect(CONNECTIONS, false, each);
}

static const struct traffic datagrams = {
	"dns", send_all, send_exactly, "flow_ms=30000", "flow_ms=0",
};

static void test_udp(void **state)
{
	(void)state;
	udp_start(ONLY4, "rr");
	lbctl_ok("set", "dns", "stall_ms=0", NULL);
	garbage_rounds(&datagrams);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		harness_test(test_tcp),
		harness_test(test_udp),
	};

	(void)argc;
	stalls_count = true;
	return harness_run(argv[0], tests);
}
