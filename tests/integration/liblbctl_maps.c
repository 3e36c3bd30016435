/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "harness/world.h"
/*
 * liblbctl on real maps: found by cookie, inherited, refused when the shape is wrong, let go when
 * closed, and all of that without privileges. In a mount namespace of its own; exit 77 where
 * namespaces or maps can't be made.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <grp.h>
#include <linux/bpf.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "host/probe.h"
#include "lb_abi.h"
#include "lbctl.h"

#define EXIT_SKIP 77
#define ROOT_DIR "/sys/fs/bpf/lbctl"
#define GROUP_DIR "/run/lbctl/bpf"
#define SLOTS 128
#define GROUP 4242
#define NOBODY 65534

static int listen_fd;
static uint64_t cookie;

static int bpf_call(int cmd, union bpf_attr *attr)
{
	return syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

static int map_new(uint32_t type, uint32_t key_bytes, uint32_t value_bytes, uint32_t entries,
		   uint32_t flags)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_type = type;
	attr.key_size = key_bytes;
	attr.value_size = value_bytes;
	attr.max_entries = entries;
	attr.map_flags = flags;
	return bpf_call(BPF_MAP_CREATE, &attr);
}

static void map_update(int fd, const void *key, const void *value)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_fd = fd;
	attr.key = (uintptr_t)key;
	attr.value = (uintptr_t)value;
	assert_int_equal(bpf_call(BPF_MAP_UPDATE_ELEM, &attr), 0);
}

static struct lb_load entry_of(int fd, uint32_t slot)
{
	struct lb_load entry;
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_fd = fd;
	attr.key = (uintptr_t)&slot;
	attr.value = (uintptr_t)&entry;
	assert_int_equal(bpf_call(BPF_MAP_LOOKUP_ELEM, &attr), 0);
	return entry;
}

static void entry_close(int fd, uint32_t slot)
{
	struct lb_load entry = entry_of(fd, slot);

	entry.closed = 1;
	map_update(fd, &slot, &entry);
}

static void pin(int fd, const char *dir, const char *name, mode_t mode)
{
	union bpf_attr attr;
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	memset(&attr, 0, sizeof(attr));
	attr.bpf_fd = fd;
	attr.pathname = (uintptr_t)path;
	assert_int_equal(bpf_call(BPF_OBJ_PIN, &attr), 0);
	assert_int_equal(chown(path, 0, GROUP), 0);
	assert_int_equal(chmod(path, mode), 0);
}

/* A service whose only listener is listen_fd, or another socket if its cookie is given. */
struct service {
	char dir[128];
	int load_fd, cookies_fd;
};

static struct service service_pin(const char *root, const char *name, int cookies_fd, int load_fd)
{
	struct service service = { .load_fd = load_fd, .cookies_fd = cookies_fd };

	assert_true(load_fd >= 0 && cookies_fd >= 0);
	snprintf(service.dir, sizeof(service.dir), "%s/%s", root, name);
	assert_int_equal(mkdir(service.dir, 0711), 0);
	pin(cookies_fd, service.dir, "lb_cookies", 0640);
	pin(load_fd, service.dir, "lb_load", 0660);
	return service;
}

static struct service service_new(const char *root, const char *name, uint64_t key, uint32_t slot)
{
	struct lb_place place = { .slot = slot };
	int cookies = map_new(BPF_MAP_TYPE_HASH, 8, sizeof(place), 16, 0);
	int load = map_new(BPF_MAP_TYPE_ARRAY, 4, sizeof(struct lb_load), SLOTS, BPF_F_MMAPABLE);

	map_update(cookies, &key, &place);
	return service_pin(root, name, cookies, load);
}

static void service_remove(struct service *service)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/lb_cookies", service->dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/lb_load", service->dir);
	unlink(path);
	assert_int_equal(rmdir(service->dir), 0);
	close(service->load_fd);
	close(service->cookies_fd);
}

static int slot_found(const char *name)
{
	struct lbctl_worker *worker = lbctl_worker_open(name, listen_fd);
	int slot = lbctl_worker_slot(worker);

	lbctl_worker_close(worker);
	return slot;
}

/* Slot 100 is on the second page of the map. */
static void test_reports_reach_the_map(void **state)
{
	static const uint32_t slots[] = { 0, 3, 63, 64, 100, SLOTS - 1 };
	static const struct lb_load untouched;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(slots) / sizeof(slots[0]); i++) {
		struct service web = service_new(ROOT_DIR, "web", cookie, slots[i]);
		struct lbctl_worker *worker = lbctl_worker_open("web", listen_fd);
		struct lb_load entry;
		uint32_t other;

		assert_int_equal(lbctl_worker_slot(worker), slots[i]);
		lbctl_report_load(worker, 10);
		lbctl_connection_opened(worker);
		lbctl_connection_opened(worker);
		lbctl_connection_closed(worker);
		entry = entry_of(web.load_fd, slots[i]);
		assert_int_equal(entry.load, 11);
		assert_int_equal(entry.opened, 2);
		assert_int_equal(entry.ended, 1);
		assert_true(entry.reported_ns > 0);
		assert_int_equal(entry.heartbeat_ns, entry.reported_ns);
		for (other = 0; other < SLOTS; other++) {
			entry = entry_of(web.load_fd, other);
			if (other != slots[i])
				assert_memory_equal(&entry, &untouched, sizeof(entry));
		}
		lbctl_worker_close(worker);
		service_remove(&web);
	}
}

static void test_found_by_name_by_environment_or_by_cookie(void **state)
{
	struct service web = service_new(ROOT_DIR, "web", cookie, 5);
	struct service other = service_new(ROOT_DIR, "other", cookie + 1000000, 6);

	(void)state;
	assert_int_equal(slot_found(NULL), 5);
	assert_int_equal(slot_found("web"), 5);
	assert_int_equal(slot_found("other"), -1);
	assert_int_equal(slot_found("none"), -1);
	setenv("LBCTL_SERVICE", "other", 1);
	assert_int_equal(slot_found(NULL), -1);
	assert_int_equal(slot_found("web"), 5);
	setenv("LBCTL_SERVICE", "web", 1);
	assert_int_equal(slot_found(NULL), 5);
	unsetenv("LBCTL_SERVICE");
	service_remove(&web);
	service_remove(&other);
}

static void test_workers_directory_comes_first(void **state)
{
	struct service workers = service_new(GROUP_DIR, "web", cookie, 7);
	struct service roots = service_new(ROOT_DIR, "web", cookie, 8);

	(void)state;
	assert_int_equal(slot_found("web"), 7);
	assert_int_equal(slot_found(NULL), 7);
	setenv("LBCTL_BPF_DIR", ROOT_DIR, 1);
	assert_int_equal(slot_found(NULL), 8);
	unsetenv("LBCTL_BPF_DIR");
	service_remove(&workers);
	assert_int_equal(slot_found("web"), 8);
	service_remove(&roots);
}

/* Where everybody may make such a directory, one that root did not make is nobody's service. */
static void test_directory_of_another_user(void **state)
{
	struct service web = service_new(ROOT_DIR, "web", cookie, 5);

	(void)state;
	assert_int_equal(slot_found(NULL), 5);
	assert_int_equal(chown(ROOT_DIR, NOBODY, -1), 0);
	assert_int_equal(slot_found(NULL), -1);
	assert_int_equal(slot_found("web"), -1);
	assert_int_equal(chown(ROOT_DIR, 0, -1), 0);
	assert_int_equal(chmod(ROOT_DIR, 0777), 0);
	assert_int_equal(slot_found("web"), -1);
	assert_int_equal(chmod(ROOT_DIR, 0755), 0);
	assert_int_equal(rename(ROOT_DIR, ROOT_DIR "-moved"), 0);
	assert_int_equal(symlink(ROOT_DIR "-moved", ROOT_DIR), 0);
	assert_int_equal(slot_found("web"), -1);
	assert_int_equal(unlink(ROOT_DIR), 0);
	assert_int_equal(rename(ROOT_DIR "-moved", ROOT_DIR), 0);
	assert_int_equal(slot_found("web"), 5);
	service_remove(&web);
}

static void test_wrong_shapes_are_refused(void **state)
{
	enum { ARRAY = BPF_MAP_TYPE_ARRAY, HASH = BPF_MAP_TYPE_HASH };
	static const struct {
		const char *what;
		uint32_t place_bytes, slot, type, value_bytes, entries, flags;
		int want;
	} rows[] = {
		{ "as it should be", 8, 2, ARRAY, 64, SLOTS, BPF_F_MMAPABLE, 2 },
		{ "longer places", 16, 2, ARRAY, 64, SLOTS, BPF_F_MMAPABLE, 2 },
		{ "places too short", 4, 2, ARRAY, 64, SLOTS, BPF_F_MMAPABLE, -1 },
		{ "places too long", 136, 2, ARRAY, 64, SLOTS, BPF_F_MMAPABLE, -1 },
		{ "slot past the end", 8, SLOTS, ARRAY, 64, SLOTS, BPF_F_MMAPABLE, -1 },
		{ "slot far past the end", 8, LB_NO_SLOT, ARRAY, 64, SLOTS, BPF_F_MMAPABLE, -1 },
		{ "another entry size", 8, 2, ARRAY, 128, SLOTS, BPF_F_MMAPABLE, -1 },
		{ "not mmapable", 8, 2, ARRAY, 64, SLOTS, 0, -1 },
		{ "not an array", 8, 2, HASH, 64, SLOTS, 0, -1 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint32_t place[34] = { rows[i].slot };
		int cookies = map_new(HASH, 8, rows[i].place_bytes, 16, 0);
		int load = map_new(rows[i].type, 4, rows[i].value_bytes, rows[i].entries,
				   rows[i].flags);
		struct service web = service_pin(ROOT_DIR, "web", cookies, load);
		int got;

		map_update(cookies, &cookie, place);
		got = slot_found(NULL);
		if (got != rows[i].want)
			fail_msg("%s: got %d, want %d", rows[i].what, got, rows[i].want);
		service_remove(&web);
	}
}

static bool maps_a_bpf_map(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	bool found = false;
	char line[512];

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps))
		found = found || strstr(line, "bpf-map");
	fclose(maps);
	return found;
}

static double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

/* A worker outlives the service, lets its map go, and joins the next one by itself. */
static void test_closed_lets_go_and_the_next_service_is_found(void **state)
{
	struct service web = service_new(ROOT_DIR, "web", cookie, 9);
	struct lbctl_worker *worker = lbctl_worker_open(NULL, listen_fd);
	double deadline;

	(void)state;
	lbctl_connection_opened(worker);
	assert_true(maps_a_bpf_map());
	entry_close(web.load_fd, 9);
	assert_true(maps_a_bpf_map());
	lbctl_connection_opened(worker);
	assert_false(maps_a_bpf_map());
	assert_int_equal(lbctl_worker_slot(worker), -1);
	assert_int_equal(entry_of(web.load_fd, 9).load, 1);
	assert_int_equal(slot_found(NULL), -1);
	service_remove(&web);

	web = service_new(ROOT_DIR, "web", cookie, 70);
	deadline = seconds_now() + 10;
	while (lbctl_worker_slot(worker) < 0)
		assert_true(seconds_now() < deadline);
	lbctl_heartbeat(worker);
	assert_int_equal(entry_of(web.load_fd, 70).load, 2);
	lbctl_worker_close(worker);
	assert_false(maps_a_bpf_map());
	service_remove(&web);
}

static void inherit(int load_fd, const char *slot)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", load_fd);
	setenv("LBCTL_LOAD_FD", text, 1);
	setenv("LBCTL_SLOT", slot, 1);
}

static void test_inherited_descriptor(void **state)
{
	int load = map_new(BPF_MAP_TYPE_ARRAY, 4, sizeof(struct lb_load), SLOTS, BPF_F_MMAPABLE);
	int hash = map_new(BPF_MAP_TYPE_HASH, 4, sizeof(struct lb_load), SLOTS, 0);
	struct lbctl_worker *worker;

	(void)state;
	inherit(load, "66");
	worker = lbctl_worker_open(NULL, listen_fd);
	assert_int_equal(lbctl_worker_slot(worker), 66);
	lbctl_report_load(worker, 3);
	assert_int_equal(entry_of(load, 66).load, 3);
	entry_close(load, 66);
	lbctl_report_load(worker, 4);
	assert_int_equal(entry_of(load, 66).load, 3);
	assert_false(maps_a_bpf_map());
	lbctl_worker_close(worker);

	inherit(load, "128");
	assert_int_equal(slot_found(NULL), -1);
	inherit(hash, "0");
	assert_int_equal(slot_found(NULL), -1);
	/* what is inherited belongs to LBCTL_SERVICE, not to another service */
	inherit(load, "1");
	setenv("LBCTL_SERVICE", "web", 1);
	assert_int_equal(slot_found("web"), 1);
	assert_int_equal(slot_found("other"), -1);
	unsetenv("LBCTL_SERVICE");
	unsetenv("LBCTL_LOAD_FD");
	unsetenv("LBCTL_SLOT");
	assert_true(fcntl(load, F_GETFD) >= 0);
	close(load);
	close(hash);
}

/* What a process of nobody and this group finds; -2 = it could not report. */
static int slot_found_by_nobody(gid_t group)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		struct lbctl_worker *worker;
		int slot;

		if (setgroups(0, NULL) || setgid(group) || setuid(NOBODY))
			_exit(254);
		worker = lbctl_worker_open(NULL, listen_fd);
		slot = lbctl_worker_slot(worker);
		lbctl_report_load(worker, 99);
		lbctl_worker_close(worker);
		_exit(slot < 0 ? 255 : slot);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) != 254);
	return WEXITSTATUS(status) == 255 ? -1 : WEXITSTATUS(status);
}

static void test_unprivileged_worker_of_the_group(void **state)
{
	struct service workers = service_new(GROUP_DIR, "web", cookie, 11);

	(void)state;
	if (!probe_unprivileged_open())
		skip();
	setenv("LBCTL_SERVICE", "web", 1); /* a 0711 directory can't be listed */
	assert_int_equal(slot_found_by_nobody(GROUP), 11);
	assert_int_equal(entry_of(workers.load_fd, 11).load, 99);
	assert_int_equal(slot_found_by_nobody(GROUP + 1), -1);
	unsetenv("LBCTL_SERVICE");
	assert_int_equal(chmod(GROUP_DIR, 0755), 0);
	assert_int_equal(slot_found_by_nobody(GROUP), 11);
	assert_int_equal(chmod(GROUP_DIR, 0711), 0);
	service_remove(&workers);
}

static void test_unprivileged_worker_that_inherits(void **state)
{
	int load = map_new(BPF_MAP_TYPE_ARRAY, 4, sizeof(struct lb_load), SLOTS, BPF_F_MMAPABLE);

	(void)state;
	inherit(load, "12");
	assert_int_equal(slot_found_by_nobody(NOBODY), 12);
	assert_int_equal(entry_of(load, 12).load, 99);
	unsetenv("LBCTL_LOAD_FD");
	unsetenv("LBCTL_SLOT");
	close(load);
}

static void skip_all(const char *why)
{
	fprintf(stderr, "SKIP liblbctl_maps: %s: %s\n", why, strerror(errno));
	exit(EXIT_SKIP);
}

static void world_new(void)
{
	const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };

	/* before 5.11 maps count as locked memory */
	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		skip_all("mount namespace");
	if (mount("bpf", "/sys/fs/bpf", "bpf", 0, "mode=0700") ||
	    mount("tmpfs", "/run", "tmpfs", 0, "mode=0755"))
		skip_all("mount");
	if (mkdir(ROOT_DIR, 0700) || mkdir("/run/lbctl", 0711) || mkdir(GROUP_DIR, 0711) ||
	    mount("bpf", GROUP_DIR, "bpf", 0, "mode=0711"))
		skip_all("bpffs");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reports_reach_the_map),
		cmocka_unit_test(test_found_by_name_by_environment_or_by_cookie),
		cmocka_unit_test(test_workers_directory_comes_first),
		cmocka_unit_test(test_directory_of_another_user),
		cmocka_unit_test(test_wrong_shapes_are_refused),
		cmocka_unit_test(test_closed_lets_go_and_the_next_service_is_found),
		cmocka_unit_test(test_inherited_descriptor),
		cmocka_unit_test(test_unprivileged_worker_of_the_group),
		cmocka_unit_test(test_unprivileged_worker_that_inherits),
	};
	socklen_t len = sizeof(cookie);
	int probe;

	world_new();
	probe = map_new(BPF_MAP_TYPE_ARRAY, 4, 8, 1, 0);
	if (probe < 0)
		skip_all("BPF maps");
	close(probe);
	listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listen_fd < 0 || getsockopt(listen_fd, SOL_SOCKET, SO_COOKIE, &cookie, &len))
		skip_all("socket");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
