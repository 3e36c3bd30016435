// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See runs.h. */
#include "harness/runs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <mntent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/commands.h"
#include "harness/events.h"
#include "harness/load.h"
#include "harness/pins.h"
#include "harness/processes.h"
#include "harness/show.h"
#include "harness/world.h"

/* Of the outer process, which has no path to it once the mounts are those of the world. */
static int parent_fd = -1;
static char world_cgroup[32];
static pid_t outer;
static int missing_capability = -1;

/* --- the world --- */

static bool find_cgroup_mount(char out[PATH_MAX])
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	struct mntent *entry;
	bool found = false;

	while (mounts && !found && (entry = getmntent(mounts))) {
		found = !strcmp(entry->mnt_type, "cgroup2");
		snprintf(out, PATH_MAX, "%s", entry->mnt_dir);
	}
	if (mounts)
		endmntent(mounts);
	return found;
}

static bool move_to(const char *cgroup)
{
	char path[PATH_MAX + 16];
	int fd;
	bool ok;

	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	ok = fd >= 0 && write(fd, "0", 1) == 1;
	close(fd);
	return ok;
}

/* Depth first, as a cgroup with children can't be removed. */
static void remove_cgroups(const char *parent, bool itself)
{
	DIR *dir = opendir(parent);
	struct dirent *entry;
	char path[PATH_MAX];

	while (dir && (entry = readdir(dir))) {
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		if (snprintf(path, sizeof(path), "%s/%s", parent, entry->d_name) < PATH_MAX)
			remove_cgroups(path, true);
	}
	if (dir)
		closedir(dir);
	if (itself)
		rmdir(parent);
}

/* At the end of the outer process its world is empty. */
static void remove_world_cgroup(void)
{
	if (getpid() != outer)
		return;
	if (!fchdir(parent_fd) && move_to("."))
		remove_cgroups(world_cgroup, true);
}

static const struct run *last_run;

static void show_last_run(void)
{
	if (last_run)
		run_show_log(last_run);
}

/* The cgroup namespace that harness_enter() makes has this cgroup for its root. */
void runs_enter(const char *argv0)
{
	char mount_dir[PATH_MAX];
	bool found = find_cgroup_mount(mount_dir);

	outer = getpid();
	snprintf(world_cgroup, sizeof(world_cgroup), "test-runs-%d", outer);
	parent_fd = found ? open(mount_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (parent_fd >= 0 && !mkdirat(parent_fd, world_cgroup, 0755)) {
		char path[PATH_MAX + 64];

		snprintf(path, sizeof(path), "%s/%s", mount_dir, world_cgroup);
		move_to(path);
		atexit(remove_world_cgroup);
	}
	harness_enter(argv0);
	harness_idle = events_take;
	harness_late = show_last_run;
	close(parent_fd);
	/* the host's mount must not be found first, as it shows the host's cgroups */
	if (found && umount2(mount_dir, MNT_DETACH))
		fprintf(stderr, "umount %s: %s\n", mount_dir, strerror(errno));
	if (mkdir(CGROUPS, 0755) || mount("cgroup2", CGROUPS, "cgroup2", 0, NULL)) {
		fprintf(stderr, "SKIP: mount cgroup2: %s\n", strerror(errno));
		exit(77);
	}
}

int runs_begin(void **state)
{
	return harness_begin(state);
}

int runs_reset(void **state)
{
	int status;

	last_run = NULL;
	events_forget();
	status = harness_reset(state);
	remove_cgroups(CGROUPS, false);
	command_ok("rm", "-rf", FILES_DIR, NULL);
	return status;
}

int runs_check_clean(void **state)
{
	return harness_check_clean(state);
}

/* --- runs --- */

const char *run_demo(void)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s", harness_build_path("lbctl-demo-worker"));
	return path;
}

void (*run_prepare)(void);

/* No worker is given up, however often a test kills it. */
#define KILLS_MAX "1000000"

void run_start_shared(struct run *run, unsigned int workers)
{
	snprintf(run->workers, sizeof(run->workers), "%u", workers);
	run_start(run, "web", "-n", run->workers, "--max-restarts", KILLS_MAX, "--", run_demo(),
		  "-q", "--no-reuseport", "--listen", ":8080", "--grace-ms", run->kill_ms, NULL);
	run_expect_up(run, workers);
}

void run_start_with_listen(struct run *run, unsigned int workers, const char *address)
{
	snprintf(run->workers, sizeof(run->workers), "%u", workers);
	run_start(run, "web", "-n", run->workers, "--max-restarts", KILLS_MAX, "--listen", address,
		  "--", run_demo(), "-q", "--grace-ms", run->kill_ms, NULL);
	run_expect_up(run, workers);
}

void run_start_again(struct run *run)
{
	int log = open(run->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);

	assert_true(log >= 0);
	run->pid = fork();
	assert_true(run->pid >= 0);
	if (!run->pid) {
		dup2(log, STDOUT_FILENO);
		dup2(log, STDERR_FILENO);
		if (missing_capability >= 0 && prctl(PR_CAPBSET_DROP, missing_capability))
			_exit(125);
		if (run_prepare)
			run_prepare();
		execv(harness_build_path("lbctl"), (char *const *)run->args);
		_exit(127);
	}
	close(log);
	missing_capability = -1;
	run_prepare = NULL;
}

void run_next_without(int capability)
{
	missing_capability = capability;
}

/* args[0 .. n - 1] are there. */
static void start(struct run *run, const char *name, size_t n, va_list rest)
{
	run->args[0] = "lbctl";
	do {
		assert_true(n < RUN_MAX_ARGS);
		run->args[n] = va_arg(rest, const char *);
	} while (run->args[n++]);
	run->name = name;
	events_follow(name);
	snprintf(run->log, sizeof(run->log), HARNESS_DIR "/%s.log", name);
	unlink(run->log);
	last_run = run;
	run_start_again(run);
}

void run_start(struct run *run, const char *name, ...)
{
	va_list rest;

	/* so long that no busy machine makes a worker late; a test may say its own */
	snprintf(run->ready_ms, sizeof(run->ready_ms), "%llu",
		 (unsigned long long)scaled_ms(RUN_MS));
	snprintf(run->kill_ms, sizeof(run->kill_ms), "%llu", (unsigned long long)scaled_ms(5000));
	run->args[1] = "run";
	run->args[2] = "--name";
	run->args[3] = name;
	run->args[4] = "--ready-timeout";
	run->args[5] = run->ready_ms;
	run->args[6] = "--kill-timeout";
	run->args[7] = run->kill_ms;
	va_start(rest, name);
	start(run, name, 8, rest);
	va_end(rest);
}

void run_start_verb(struct run *run, const char *name, const char *verb, ...)
{
	va_list rest;

	run->args[1] = verb;
	va_start(rest, verb);
	start(run, name, 2, rest);
	va_end(rest);
}

unsigned int run_lines(const struct run *run, const char *words)
{
	char *log = file_read(run->log), *rest = log, *line;
	unsigned int n = 0;

	while ((line = strsep(&rest, "\n")))
		n += strstr(line, words) != NULL;
	free(log);
	return n;
}

void run_show_log(const struct run *run)
{
	char *log = file_read(run->log);

	fprintf(stderr, "the log of %s:\n%s", run->name, log);
	free(log);
}

void run_expect_lines(const struct run *run, const char *words, unsigned int count)
{
	uint64_t end_ns = now_ns() + scaled_ms(RUN_MS) * 1000000;

	while (run_lines(run, words) < count && now_ns() < end_ns)
		harness_nap();
	if (run_lines(run, words) != count) {
		run_show_log(run);
		fail_msg("%u lines hold \"%s\", want %u", run_lines(run, words), words, count);
	}
}

static bool are_up(const struct run *run, size_t n, struct show *show)
{
	size_t up = 0;

	if (!show_try(run->name, show))
		return false;
	for (size_t i = 0; i < show->nr_workers; i++)
		up += !strcmp(show->worker[i].state, "up") && process_lives(show->worker[i].pid);
	return up == n;
}

/* `show` is then of the moment when they were; under load one may be stalled in the next. */
static void await_up(const struct run *run, size_t n, struct show *show)
{
	uint64_t end_ns = now_ns() + scaled_ms(RUN_MS) * 1000000;

	while (!are_up(run, n, show)) {
		if (now_ns() > end_ns) {
			struct output output;

			run_show_log(run);
			lbctl_run(&output, "show", run->name, "--json", NULL);
			fprintf(stderr, "%s%s", output.out, output.err);
			fail_msg("%zu workers are not up in time", n);
		}
		harness_nap();
	}
}

void run_expect_up(const struct run *run, size_t n)
{
	static struct show show;

	await_up(run, n, &show);
}

void run_expect_no_failure(const struct run *run, const struct wrk *wrk)
{
	struct output stats;

	if (wrk->socket_errors || wrk->bad_answers) {
		lbctl_run(&stats, "stats", run->name, NULL);
		run_show_log(run);
		fprintf(stderr, "%s", stats.out);
	}
	wrk_expect_no_failure(wrk);
}

int run_wait(struct run *run)
{
	int status = 0;

	wait_until(waitpid(run->pid, &status, WNOHANG) == run->pid, RUN_MS);
	events_take();
	run->pid = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void run_kill(struct run *run)
{
	assert_int_equal(kill(run->pid, SIGKILL), 0);
	assert_int_equal(run_wait(run), 128 + SIGKILL);
}

/* Workers of a killed lbctl became ours. */
static bool processes_are_gone(void)
{
	while (waitpid(-1, NULL, WNOHANG) > 0)
		continue;
	return !processes_children(1, NULL, 0);
}

void run_expect_nothing_left(void)
{
	char *pins = pins_list();

	if (*pins)
		fail_msg("left pinned:\n%s", pins);
	free(pins);
	if (count_entries(FILES_DIR, false))
		fail_msg("%zu files are left in " FILES_DIR, count_entries(FILES_DIR, false));
	if (count_entries(CGROUPS, true))
		fail_msg("a cgroup is left");
	/* an `lbctl events` ends when its service does */
	wait_until(processes_are_gone(), RUN_MS);
}

void run_stop(struct run *run)
{
	lbctl_ok("stop", run->name, NULL);
	assert_int_equal(run_wait(run), 0);
	run_expect_nothing_left();
}

void run_pids(const struct run *run, pid_t *pids, size_t n)
{
	static struct show show;

	await_up(run, n, &show);
	for (size_t i = 0; i < n; i++) {
		assert_string_equal(show.worker[i].state, "up");
		pids[i] = show.worker[i].pid;
		/* the keeper has the sockets of --listen, too, and is no worker */
		assert_int_not_equal(pids[i], run->pid);
	}
}

void run_expect_same(const struct run *run, const pid_t *pids, size_t n)
{
	static struct show show;

	await_up(run, n, &show);
	for (size_t i = 0; i < n; i++) {
		if (show.worker[i].pid != pids[i])
			fail_msg("worker %zu: pid %d before and %d now", i, pids[i],
				 show.worker[i].pid);
	}
}

void lbctl_expect(int status, const char *words, ...)
{
	struct run run;
	va_list rest;
	char *log;
	int got;

	va_start(rest, words);
	/* to a file: a worker that stays would keep a pipe open */
	start(&run, "expect", 1, rest);
	va_end(rest);
	got = run_wait(&run);
	log = file_read(run.log);
	if (got != status || !strstr(log, words))
		fail_msg("lbctl %s %s: status %d, want %d with \"%s\"; it said: %s", run.args[1],
			 run.args[2] ? run.args[2] : "", got, status, words, log);
	free(log);
	free(pins_list());
}
