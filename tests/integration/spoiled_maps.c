// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Maps of a service that have lost what lbctl wrote there, and the map that members of --group may
 * write to: what is wrong there is passed by, and attach makes it good.
 */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/counters.h"
#include "harness/garbage.h"
#include "harness/maps.h"
#include "harness/pins.h"
#include "harness/servers.h"
#include "harness/world.h"

#include <bpf/bpf.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKERS 4
#define CONNECTIONS 24
#define EACH (CONNECTIONS / WORKERS)
#define NEAR_SLOTS 8
#define NOBODY 65534

static struct demo demos[WORKERS];
static struct clients clients;

static void start_service(const char *group)
{
	demo_start_many(demos, WORKERS, ":8080");
	lbctl_ok("attach", "--name", "web", "--policy", "rr", ":8080", group ? "--group" : NULL,
		 group, NULL);
	lbctl_ok("set", "web", "stall_ms=0", NULL);
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

/* What the map says of where sockets are is not believed, and attach writes it anew. */
static void test_cookies(void **state)
{
	const struct lb_place nowhere[] = {
		{ .slot = ~0U, .listener = ~0U },
		{ .slot = ~0U },
		{ .listener = 8 },
		{ .listener = 1 },
		{ .slot = 1 << 20 },
		{ .slot = 3 },
	};
	int fd;

	(void)state;
	start_service(NULL);
	fd = map_open("web", "lb_cookies");
	for (size_t i = 0; i < ARRAY_SIZE(nowhere); i++) {
		uint64_t key, *last = NULL;

		while (!bpf_map_get_next_key(fd, last, &key)) {
			assert_int_equal(bpf_map_update_elem(fd, &key, &nowhere[i], 0), 0);
			last = &key;
		}
		lbctl_ok("show", "web", NULL);
		lbctl_ok("list", NULL);
		lbctl_ok("scan", NULL);
		lbctl_ok("attach", "--name", "web", ":8080", NULL);
		for (uint32_t slot = 0; slot < WORKERS; slot++) {
			struct lb_queue queue;
			struct lb_place place;
			int queues = map_open("web", "listener0/lb_queues");

			assert_int_equal(bpf_map_lookup_elem(queues, &slot, &queue), 0);
			assert_int_equal(bpf_map_lookup_elem(fd, &queue.cookie, &place), 0);
			assert_int_equal(place.slot, slot);
			assert_int_equal(place.listener, 0);
			close(queues);
		}
		connect_exactly();
	}
	close(fd);
}

/* Slots lose their sockets, one after another; attach puts them back. */
static void test_sockets(void **state)
{
	struct counters before, after;
	int fd;

	(void)state;
	start_service(NULL);
	fd = map_open("web", "listener0/lb_sockets");
	for (uint32_t slot = 0; slot < WORKERS; slot++) {
		assert_int_equal(bpf_map_delete_elem(fd, &slot), 0);
		counters_read("web", &before);
		connect_all();
		counters_read("web", &after);
		assert_int_equal(after.selected[slot], before.selected[slot]);
		assert_int_equal(counters_selected(&after) - counters_selected(&before),
				 slot < WORKERS - 1 ? CONNECTIONS : 0);
		assert_int_equal(after.fallback_none - before.fallback_none,
				 slot < WORKERS - 1 ? 0 : CONNECTIONS);
	}
	close(fd);
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	connect_exactly();
}

/* --- what a worker's user reaches --- */

static const char *const policies[] = { "rr",	      "random",	       "hash",	"least-conn",
					"least-load", "least-latency", "kernel" };

#define GROUP_LOAD "/run/lbctl/bpf/web/lb_load"

static void become_nobody(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) ||
	    setresuid(NOBODY, NOBODY, NOBODY))
		_exit(1);
}

/* Of these pins none opens for nobody, not even to be read. */
static void expect_closed(char *pins)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		LIBBPF_OPTS(bpf_obj_get_opts, reading, .file_flags = BPF_F_RDONLY);
		const char *path;

		become_nobody();
		while ((path = strsep(&pins, "\n"))) {
			if (*path &&
			    (bpf_obj_get(path) >= 0 || bpf_obj_get_opts(path, &reading) >= 0))
				_exit(1);
		}
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* Writes garbage over what the workers report, all the time. */
static pid_t spoil_load(void)
{
	const size_t bytes = LB_ALL_SLOTS * sizeof(struct lb_load);
	volatile uint64_t *load;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid)
		return pid;
	become_nobody();
	load = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_obj_get(GROUP_LOAD), 0);
	if (load == MAP_FAILED)
		_exit(1);
	for (;; usleep(10)) {
		for (size_t i = 0; i < NEAR_SLOTS * sizeof(struct lb_load) / 8; i++)
			load[i] = garbage();
	}
}

/*
 * 1. a member of --group opens what the workers report, and no other map
 * 2. what it writes there changes nothing but what least-load goes by
 */
static void test_group(void **state)
{
	char *pins;
	pid_t pid;

	(void)state;
	start_service("65534");
	pins = pins_list();
	assert_non_null(strstr(pins, "lb_workers"));
	expect_closed(pins);
	free(pins);
	pid = spoil_load();
	for (size_t i = 0; i < ARRAY_SIZE(policies); i++) {
		uint64_t before = counters_decisions("web");

		lbctl_ok("set-policy", "web", policies[i], NULL);
		connect_all();
		assert_int_equal(counters_decisions("web") - before, CONNECTIONS);
		lbctl_ok("set-policy", "web", "rr", NULL);
		connect_exactly();
	}
	assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		harness_test(test_cookies),
		harness_test(test_sockets),
		harness_test(test_group),
	};

	(void)argc;
	return harness_run(argv[0], tests);
}
