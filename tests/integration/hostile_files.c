// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * User nobody, with whom the workers may share their rights, has its hands on files that lbctl
 * uses: locks that it may hold, directories in which it may put a link.
 */
#include "harness/commands.h"
#include "harness/events.h"
#include "harness/processes.h"
#include "harness/runs.h"
#include "harness/world.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY 65534
#define WORKERS 2
#define LOCK FILES_DIR "/web.lock"

static struct run run;

/* A process of nobody; returns when it has done what it is to do, and it stays. */
static pid_t start_nobody(bool (*prepare)(void))
{
	int ends[2];
	char done = 0;
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	pid = fork();
	if (!pid) {
		if (!setgid(NOBODY) && !setuid(NOBODY) && prepare() && write(ends[1], "x", 1) == 1)
			pause();
		_exit(1);
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], &done, 1), 1);
	close(ends[0]);
	return pid;
}

static void end_nobody(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* --- locks --- */

static bool hold_lock(void)
{
	struct flock whole = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
	int fd = open(LOCK, O_RDONLY);

	return fd >= 0 && !fcntl(fd, F_SETLK, &whole) && !flock(fd, LOCK_SH);
}

/*
 * 1. an earlier version let others read the lock of the name; its keeper is gone
 * 2. somebody else has locks on it: the next keeper takes the workers over all the same
 * 3. its lock is its own, and keeps another one out
 */
static void test_lock_that_anyone_may_hold(void **state)
{
	pid_t pids[WORKERS], nobody;
	struct stat st;

	(void)state;
	run_start_shared(&run, WORKERS);
	run_pids(&run, pids, WORKERS);
	run_kill(&run);
	assert_int_equal(chmod(LOCK, 0644), 0);
	nobody = start_nobody(hold_lock);
	run_start_again(&run);
	run_expect_keeper(&run);
	run_expect_same(&run, pids, WORKERS);
	assert_int_equal(stat(LOCK, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	lbctl_expect(1, "the name is in use", "run", "--name", "web", "--", "true", NULL);
	end_nobody(nobody);
	run_stop(&run);
}

/* One that nobody has locked is the keeper's alone from then on. */
static void test_lock_that_anyone_may_read(void **state)
{
	struct stat st;

	(void)state;
	run_start_shared(&run, WORKERS);
	run_kill(&run);
	assert_int_equal(chmod(LOCK, 0644), 0);
	run_start_again(&run);
	run_expect_keeper(&run);
	assert_int_equal(stat(LOCK, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	run_stop(&run);
}

/* --- logs --- */

#define HOME HARNESS_DIR "/home"
#define LOGS HOME "/log"
#define OURS HARNESS_DIR "/rotate.d" /* root's, where files are taken for root's */

static void make_directories(void)
{
	assert_int_equal(mkdir(HOME, 0755), 0);
	assert_int_equal(chown(HOME, NOBODY, NOBODY), 0);
	assert_int_equal(mkdir(LOGS, 0755), 0);
	assert_int_equal(chown(LOGS, NOBODY, NOBODY), 0);
	assert_int_equal(mkdir(OURS, 0755), 0);
}

static void remove_directories(void)
{
	command_ok("rm", "-rf", HOME, OURS, NULL);
}

static bool put_link(void)
{
	return !rename(LOGS, HOME "/moved") && !symlink(OURS, LOGS);
}

static void start_with_logs(void)
{
	run_start(&run, "web", "-n", "2", "--user", "nobody", "--log-dir", LOGS, "--", run_demo(),
		  "-q", "--no-reuseport", "--listen", ":8080", NULL);
	run_expect_up(&run, WORKERS);
}

/*
 * 1. the directory is below one of the workers' user: the files are made with his rights
 * 2. he puts a link to one of root's in its place: a worker that starts again writes nothing there
 * 3. nor does one that another keeper starts
 */
static void test_log_directory_becomes_a_link(void **state)
{
	pid_t pids[WORKERS], now[WORKERS], nobody;
	struct stat st;

	(void)state;
	make_directories();
	start_with_logs();
	run_pids(&run, pids, WORKERS);
	nobody = start_nobody(put_link);
	kill(pids[0], SIGKILL);
	run_expect_events(&run, 3, "online", NULL);
	run_pids(&run, now, WORKERS);
	assert_int_not_equal(now[0], pids[0]);
	assert_int_equal(count_entries(OURS, false), 0);
	run_expect_lines(&run, "worker 0 can't write to " LOGS, 1);
	run_kill(&run);
	run_start_again(&run);
	run_expect_keeper(&run);
	lbctl_ok("reload", "web", NULL);
	assert_int_equal(count_entries(OURS, false), 0);
	assert_int_equal(stat(HOME "/moved/web-0.log", &st), 0);
	assert_int_equal(st.st_uid, NOBODY);
	end_nobody(nobody);
	run_stop(&run);
	remove_directories();
}

/* Workers that are root have no other rights to open it with. */
static void test_log_directory_of_another_user(void **state)
{
	(void)state;
	make_directories();
	lbctl_expect(2, "others than root can change where that leads", "run", "--log-dir", LOGS,
		     "--", "true", NULL);
	end_nobody(start_nobody(put_link));
	lbctl_expect(2, "others than root can change where that leads", "run", "--log-dir", LOGS,
		     "--", "true", NULL);
	remove_directories();
}

/* Root's links are root's way to have it elsewhere, and a file of root's is not the workers'. */
static void test_log_directory_by_a_link_of_root(void **state)
{
	struct stat st;

	(void)state;
	make_directories();
	assert_int_equal(symlink(OURS, HARNESS_DIR "/link"), 0);
	run_start(&run, "web", "-n", "2", "--user", "nobody", "--log-dir", HARNESS_DIR "/link",
		  "--", run_demo(), "-q", "--no-reuseport", "--listen", ":8080", NULL);
	run_expect_up(&run, WORKERS);
	assert_int_equal(stat(OURS "/web-1.log", &st), 0);
	assert_int_equal(st.st_uid, 0);
	run_stop(&run);
	unlink(HARNESS_DIR "/link");
	remove_directories();
}

/* --- what a worker is started with --- */

#define HIDDEN HARNESS_DIR "/hidden" /* root's alone, and open below */
#define PLACE HOME "/place"
#define VARIABLES "web.env"

static bool put_place(void)
{
	return !mkdir(PLACE, 0755) && !close(creat(PLACE "/" VARIABLES, 0644));
}

static bool link_to_hidden(void)
{
	return !rename(PLACE, HOME "/moved") && !symlink(HIDDEN "/inside", PLACE);
}

static void make_hidden(void)
{
	make_directories();
	assert_int_equal(mkdir(HIDDEN, 0700), 0);
	assert_int_equal(mkdir(HIDDEN "/inside", 0755), 0);
	file_write(HIDDEN "/inside/" VARIABLES, "SECRET=of-root\n");
	end_nobody(start_nobody(put_place));
}

static bool knows_secret(void)
{
	char path[64], *text;
	pid_t pids[WORKERS];
	size_t len = 0;
	bool knows;
	FILE *file;

	run_pids(&run, pids, WORKERS);
	snprintf(path, sizeof(path), "/proc/%d/environ", pids[0]);
	file = fopen(path, "re");
	text = calloc(1, 65536);
	assert_true(file && text);
	len = fread(text, 1, 65535, file);
	fclose(file);
	knows = memmem(text, len, "SECRET=of-root", strlen("SECRET=of-root"));
	free(text);
	return knows;
}

static void start_with(const char *option, const char *path)
{
	run_start(&run, "web", "-n", "2", "--user", "nobody", option, path, "--", run_demo(), "-q",
		  "--no-reuseport", "--listen", ":8080", NULL);
	run_expect_up(&run, WORKERS);
}

/*
 * 1. workers start in a directory of their user, or read a file of his
 * 2. he puts a link there, to what is below a directory that only root may enter
 * 3. no process starts there, and none is told what the file says
 */
static void refuse_the_link(const char *option, const char *path)
{
	make_hidden();
	start_with(option, path);
	end_nobody(start_nobody(link_to_hidden));
	lbctl_expect(1, "Permission denied for nobody", "reload", "web", NULL);
	assert_false(knows_secret());
	run_stop(&run);
	command_ok("rm", "-rf", HIDDEN, NULL);
	remove_directories();
}

static void test_directory_becomes_a_link(void **state)
{
	(void)state;
	refuse_the_link("--cwd", PLACE);
}

static void test_variables_become_a_link(void **state)
{
	(void)state;
	refuse_the_link("--env-file", PLACE "/" VARIABLES);
}

/* A file by whose path nobody else can get in is read for them as before. */
static void test_variables_of_root(void **state)
{
	(void)state;
	make_hidden();
	start_with("--env-file", HIDDEN "/inside/" VARIABLES);
	assert_true(knows_secret());
	run_stop(&run);
	command_ok("rm", "-rf", HIDDEN, NULL);
	remove_directories();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_lock_that_anyone_may_hold),
		runs_test(test_lock_that_anyone_may_read),
		runs_test(test_log_directory_becomes_a_link),
		runs_test(test_log_directory_of_another_user),
		runs_test(test_log_directory_by_a_link_of_root),
		runs_test(test_directory_becomes_a_link),
		runs_test(test_variables_become_a_link),
		runs_test(test_variables_of_root),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
