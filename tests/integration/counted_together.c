// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Several services in one cgroup share a program that counts their connections: how many they are,
 * who comes first and who goes, or is killed meanwhile, is of no account to what is counted.
 */
#include "harness/commands.h"
#include "harness/maps.h"
#include "harness/obey.h"
#include "harness/pins.h"
#include "harness/world.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "host/cgroup.h"
#include "lb_abi.h"

#define FIRST_PORT 9000
#define MOST_SERVICES 68 /* of programs in a cgroup the kernel takes 64 */
#define OPEN 6		 /* connections of each service */
#define KILLS 20
#define SEED 20240301

/* Service number i is named s<i>, has one listener, of ours, on FIRST_PORT + i. */
static struct {
	int listener;
	int clients[OPEN], accepted[OPEN];
} services[MOST_SERVICES];

static const char *name_of(int service)
{
	static char name[16];

	snprintf(name, sizeof(name), "s%d", service);
	return name;
}

static struct sockaddr_in address_of(int service)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
				     .sin_port = htons(FIRST_PORT + service),
				     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static void listen_as(int service)
{
	const struct sockaddr_in address = address_of(service);
	const int on = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)), 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 64), 0);
	services[service].listener = fd;
}

static void start_attach(struct job *job, int service)
{
	char port[16];

	snprintf(port, sizeof(port), ":%d", FIRST_PORT + service);
	lbctl_start(job, "attach", "--name", name_of(service), port, NULL);
}

static void expect_done(struct job *job)
{
	_cleanup_output_ struct output output;

	job_wait(job, &output);
	if (output.status)
		fail_msg("status %d: %s", output.status, output.err);
}

static void attach_it(int service)
{
	struct job job;

	start_attach(&job, service);
	expect_done(&job);
}

/* A job that begins meanwhile has our sockets, too, until it is lbctl: then once more. */
static void expect_attached(struct job *job, int service)
{
	_cleanup_output_ struct output output;

	job_wait(job, &output);
	if (strstr(output.err, "processes share"))
		attach_it(service);
	else if (output.status)
		fail_msg("status %d: %s", output.status, output.err);
}

static int64_t live_of(int service)
{
	struct lb_stats *at = map_mmap(name_of(service), "lb_stats", sizeof(*at));
	int64_t live = at->live;

	munmap(at, sizeof(*at));
	return live;
}

static void open_all(int service)
{
	const struct sockaddr_in address = address_of(service);

	for (int i = 0; i < OPEN; i++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)),
				 0);
		services[service].clients[i] = fd;
		services[service].accepted[i] =
			accept4(services[service].listener, NULL, NULL, SOCK_CLOEXEC);
		assert_true(services[service].accepted[i] >= 0);
	}
}

static void end_all(int service)
{
	for (int i = 0; i < OPEN; i++) {
		/* one side is first, then the other */
		close(i % 2 ? services[service].clients[i] : services[service].accepted[i]);
		close(i % 2 ? services[service].accepted[i] : services[service].clients[i]);
	}
}

/* Of a service that has no other connections. */
static void expect_counted(int service)
{
	open_all(service);
	wait_until(live_of(service) == OPEN, QUIET_MS);
	end_all(service);
	wait_until(live_of(service) == 0, QUIET_MS);
}

static unsigned int programs(void)
{
	return links_on(id_of_cgroup(own_cgroup));
}

static void detach_all(int count)
{
	lbctl_ok("detach", "--all", NULL);
	assert_true(pins_are_gone());
	wait_until(programs() == 0 && pinned_objects_are_freed(), QUIET_MS);
	for (int i = 0; i < count; i++)
		close(services[i].listener);
}

/* How many services the shared program knows, by the tables that `service` has pinned. */
static unsigned int known_by(int service)
{
	int fd = map_open(name_of(service), "lb_indexes");
	uint32_t key, next;
	unsigned int n = 0;
	int err = bpf_map_get_next_key(fd, NULL, &next);

	for (; !err; n++) {
		key = next;
		err = bpf_map_get_next_key(fd, &key, &next);
	}
	close(fd);
	return n;
}

/*
 * 1. more services than a cgroup takes programs, eight at a time: each counts; one program does it
 * 2. every other one goes, eight at a time: the others count on, and the shared program knows them
 */
static void test_many(void **state)
{
	const int most = scaled_load(MOST_SERVICES);
	struct job jobs[8]; /* that run at the same time */

	(void)state;
	needs(track);
	for (int i = 0; i < most; i++)
		listen_as(i);
	for (int i = 0; i < most; i += 8) {
		for (int j = i; j < i + 8 && j < most; j++)
			start_attach(&jobs[j - i], j);
		for (int j = i; j < i + 8 && j < most; j++)
			expect_attached(&jobs[j - i], j);
	}
	assert_int_equal(programs(), 1);
	for (int i = 0; i < most; i++)
		expect_counted(i);
	for (int i = 0; i < most; i += 2)
		open_all(i);
	for (int i = 1; i < most; i += 16) {
		for (int j = i; j < i + 16 && j < most; j += 2)
			lbctl_start(&jobs[(j - i) / 2], "detach", name_of(j), NULL);
		for (int j = i; j < i + 16 && j < most; j += 2)
			expect_done(&jobs[(j - i) / 2]);
	}
	assert_int_equal(known_by(0), (most + 1) / 2);
	for (int i = 0; i < most; i += 2) {
		assert_int_equal(live_of(i), OPEN);
		end_all(i);
		wait_until(live_of(i) == 0, QUIET_MS);
	}
	detach_all(most);
}

/* What an older lbctl leaves: the service's own program in the cgroup, and nothing to share. */
static void make_older(int service)
{
	static const char *const shared[] = { "lb_dispatch", "lb_programs", "lb_indexes" };
	int program = map_open(name_of(service), "lb_track"), cgroup, link;
	char path[64];

	cgroup = cgroup_make(cgroup_root, own_cgroup);
	link = bpf_link_create(program, cgroup, BPF_CGROUP_SOCK_OPS, NULL);
	assert_true(link >= 0);
	snprintf(path, sizeof(path), HARNESS_PINS "/%s/lb_track_link", name_of(service));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(bpf_obj_pin(link, path), 0);
	for (size_t i = 0; i < ARRAY_SIZE(shared); i++) {
		snprintf(path, sizeof(path), HARNESS_PINS "/%s/%s", name_of(service), shared[i]);
		assert_int_equal(unlink(path), 0);
	}
	close(program);
	close(cgroup);
	close(link);
}

/*
 * 1. two services that an older lbctl attached count beside a third, of ours
 * 2. attach takes them in, with connections open: one program, and none is counted twice
 * 3. an older lbctl puts its own program beside ours: none is counted twice, either
 */
static void test_older_version(void **state)
{
	(void)state;
	needs(track);
	for (int i = 0; i < 3; i++) {
		listen_as(i);
		attach_it(i);
	}
	make_older(0);
	make_older(1);
	assert_int_equal(programs(), 3);
	for (int i = 0; i < 3; i++) {
		expect_counted(i);
		open_all(i);
	}
	for (int i = 0; i < 3; i++)
		attach_it(i);
	wait_until(programs() == 1, QUIET_MS);
	assert_int_equal(known_by(0), 3);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(live_of(i), OPEN);
		end_all(i);
		wait_until(live_of(i) == 0, QUIET_MS);
		expect_counted(i);
	}
	make_older(1);
	for (int i = 0; i < 3; i++)
		expect_counted(i);
	detach_all(3);
}

static void remove_pins(int service)
{
	char command[96];

	snprintf(command, sizeof(command), "rm -r " HARNESS_PINS "/%s", name_of(service));
	assert_int_equal(system(command), 0);
}

static uint32_t program_id_of(int service)
{
	struct bpf_prog_info info = { 0 };
	uint32_t len = sizeof(info);
	int fd = map_open(name_of(service), "lb_track");

	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &len), 0);
	close(fd);
	return info.id;
}

static bool program_exists(uint32_t id)
{
	int fd = bpf_prog_get_fd_by_id(id);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/*
 * 1. a service's pins are removed by hand: the others count on
 * 2. the next attach of any service takes what was left of it out of the tables
 * 3. its server is started anew, and the service counts again
 */
static void test_removed_by_hand(void **state)
{
	uint32_t gone;

	(void)state;
	needs(track);
	for (int i = 0; i < 3; i++)
		listen_as(i);
	attach_it(0);
	attach_it(1);
	gone = program_id_of(0);
	remove_pins(0);
	expect_counted(1);
	attach_it(2);
	wait_until(!program_exists(gone), QUIET_MS);
	assert_int_equal(known_by(1), 2);
	expect_counted(2);
	close(services[0].listener);
	listen_as(0);
	attach_it(0);
	assert_int_equal(known_by(1), 3);
	for (int i = 0; i < 3; i++)
		expect_counted(i);
	assert_int_equal(programs(), 1);
	detach_all(3);
}

/* An attach that fails leaves nothing in the tables of the others. */
static void test_failed(void **state)
{
	int map = bpf_map_create(BPF_MAP_TYPE_SOCKMAP, "other", sizeof(int), sizeof(int), 1, NULL);
	const int zero = 0;
	struct output output;
	struct job job;

	(void)state;
	needs(track);
	listen_as(0);
	listen_as(1);
	attach_it(0);
	assert_int_equal(bpf_map_update_elem(map, &zero, &services[1].listener, BPF_ANY), 0);
	start_attach(&job, 1);
	job_wait(&job, &output);
	assert_int_equal(output.status, 1);
	output_free(&output);
	assert_int_equal(known_by(0), 1);
	close(map);
	expect_counted(0);
	detach_all(2);
}

static bool kill_one(int service, bool attached)
{
	struct timespec nap = { .tv_nsec = rand() % 100 * 1000000 };
	struct output output;
	struct job job;
	bool killed;

	if (attached)
		lbctl_start(&job, "detach", name_of(service), NULL);
	else
		start_attach(&job, service);
	nanosleep(&nap, NULL);
	kill(job.pid, SIGKILL);
	job_wait(&job, &output);
	killed = output.status == 128 + SIGKILL;
	output_free(&output);
	return killed;
}

/*
 * Attach and detach of one service are killed at any moment: another one's connections count on,
 * and after the next attach the shared program knows both, and both count.
 */
static void test_killed(void **state)
{
	unsigned int killed = 0;

	(void)state;
	needs(track);
	srand(SEED);
	listen_as(0);
	listen_as(1);
	attach_it(0);
	for (int turn = 0; turn < KILLS; turn++) {
		open_all(0);
		killed += kill_one(1, turn % 2);
		assert_int_equal(live_of(0), OPEN);
		end_all(0);
		wait_until(live_of(0) == 0, QUIET_MS);
		attach_it(1);
		assert_int_equal(known_by(0), 2);
		assert_int_equal(programs(), 1);
		expect_counted(1);
		if (turn % 2)
			lbctl_ok("detach", name_of(1), NULL);
	}
	print_message("%u of %d commands killed before their end\n", killed, KILLS);
	detach_all(2);
}

/* What another program may store with a socket and its children. */
static int make_storage(void)
{
	struct btf *btf = btf__new_empty();
	struct bpf_map_create_opts options = {
		.sz = sizeof(options),
		.map_flags = BPF_F_NO_PREALLOC | BPF_F_CLONE,
		.btf_key_type_id = btf__add_int(btf, "int", sizeof(int), BTF_INT_SIGNED),
		.btf_value_type_id = 1,
	};
	int fd;

	assert_int_equal(btf__load_into_kernel(btf), 0);
	options.btf_fd = btf__fd(btf);
	fd = bpf_map_create(BPF_MAP_TYPE_SK_STORAGE, "stranger", sizeof(int), sizeof(int), 0,
			    &options);
	assert_true(fd >= 0);
	btf__free(btf);
	return fd;
}

/* Something else is stored with the listener, and so with each connection: ours is found. */
static void test_others_store_too(void **state)
{
	int maps[6], value = 1;

	(void)state;
	needs(track);
	listen_as(0);
	for (size_t i = 0; i < ARRAY_SIZE(maps); i++) {
		maps[i] = make_storage();
		if (i == ARRAY_SIZE(maps) / 2)
			attach_it(0);
		assert_int_equal(
			bpf_map_update_elem(maps[i], &services[0].listener, &value, BPF_ANY), 0);
	}
	expect_counted(0);
	detach_all(1);
	for (size_t i = 0; i < ARRAY_SIZE(maps); i++)
		close(maps[i]);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		obey_test(test_many),
		obey_test(test_older_version),
		obey_test(test_removed_by_hand),
		obey_test(test_failed),
		obey_test(test_killed),
		obey_test(test_others_store_too),
	};

	(void)argc;
	return obey_run(argv[0], tests);
}
