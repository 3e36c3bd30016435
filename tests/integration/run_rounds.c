// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A run that starts and stops again and again leaves nothing: no process, pin, file or cgroup, no
 * BPF program or map, no descriptor. LB_TEST_RUNS (environment) is how often; 1,000 take some
 * minutes.
 */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/events.h"
#include "harness/runs.h"
#include "harness/world.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WORKERS 4
#define RUNS 30

static struct run run;
static struct clients clients;

/* --- BPF objects of a process --- */

struct object {
	uint32_t id;
	bool is_map;
};

static struct {
	struct object items[256];
	size_t count;
} held;

static void note_object(const char *path)
{
	struct object object = { 0 };
	FILE *file = fopen(path, "re");
	char line[256];

	while (file && fgets(line, sizeof(line), file) && !object.id) {
		object.is_map = !strncmp(line, "map_id:", 7);
		if (object.is_map || !strncmp(line, "prog_id:", 8))
			object.id = atoi(strchr(line, ':') + 1);
	}
	if (file)
		fclose(file);
	if (!object.id)
		return;
	assert_true(held.count < ARRAY_SIZE(held.items));
	held.items[held.count++] = object;
}

/* What the controller holds; pins are the harness's to watch. */
static void note_objects(pid_t pid)
{
	char dir[64], path[PATH_MAX];
	struct dirent *entry;
	DIR *fds;

	held.count = 0;
	snprintf(dir, sizeof(dir), "/proc/%d/fdinfo", pid);
	fds = opendir(dir);
	assert_non_null(fds);
	while ((entry = readdir(fds))) {
		snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
		note_object(path);
	}
	closedir(fds);
}

static bool objects_are_freed(void)
{
	for (size_t i = 0; i < held.count; i++) {
		const struct object *object = &held.items[i];
		int fd = object->is_map ? bpf_map_get_fd_by_id(object->id) :
					  bpf_prog_get_fd_by_id(object->id);

		if (fd >= 0) {
			close(fd);
			return false;
		}
	}
	return true;
}

/* --- rounds --- */

/* "NAME VALUE", as in cgroup.stat, or "NAME: VALUE kB", as in meminfo. */
static long value_in(const char *path, const char *name)
{
	char *text = file_read(path), *at = strstr(text, name);
	long value = at ? atol(at + strlen(name)) : -1;

	free(text);
	return value;
}

static void start(bool hand_over)
{
	if (hand_over)
		run_start(&run, "web", "-n", "4", "--listen", ":8080", "--", run_demo(), "-q",
			  NULL);
	else
		run_start(&run, "web", "-n", "4", "--", run_demo(), "-q", "--no-reuseport",
			  "--listen", ":8080", NULL);
	run_expect_events(&run, WORKERS, "online", NULL);
}

/* Every other round hands sockets over; each third one ends otherwise; some lose their keeper. */
static void play(int round)
{
	start(round % 2);
	if (!(round % 5)) {
		run_kill(&run);
		run_start_again(&run);
		run_expect_keeper(&run);
	}
	clients_run(&clients, (struct client_plan){ .connections = 8 });
	note_objects(run.pid);
	if (!(round % 2))
		assert_true(held.count > 4);
	if (round % 3 == 0)
		lbctl_ok("stop", "web", NULL);
	else
		kill(run.pid, round % 3 == 1 ? SIGTERM : SIGINT);
	assert_int_equal(run_wait(&run), 0);
	run_expect_nothing_left();
	wait_until(objects_are_freed(), RUN_MS);
}

struct world {
	size_t files;
	long dying, slab_kb;
};

static struct world look(void)
{
	return (struct world){
		.files = count_entries("/proc/self/fd", false),
		.dying = value_in(CGROUPS "/cgroup.stat", "nr_dying_descendants "),
		.slab_kb = value_in("/proc/meminfo", "SUnreclaim:"),
	};
}

/* The kernel's memory is everybody's, so it is printed for people and no more. */
static void test_rounds(void **state)
{
	int rounds = load_asked("LB_TEST_RUNS", RUNS);
	struct world before, after;

	(void)state;
	play(0);
	play(1);
	before = look();
	for (int i = 2; i < rounds; i++) {
		play(i);
		after = look();
		assert_int_equal(after.files, before.files);
		if (i % 100 == 99 || i == rounds - 1)
			print_message("%d rounds: %ld dying cgroups (%ld at first), %ld kB of "
				      "kernel memory (%ld)\n",
				      i + 1, after.dying, before.dying, after.slab_kb,
				      before.slab_kb);
	}
	/* the kernel lets go of the last ones a little later */
	wait_until(look().dying <= before.dying, RUN_MS);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_rounds),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
