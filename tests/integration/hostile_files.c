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

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_lock_that_anyone_may_hold),
		runs_test(test_lock_that_anyone_may_read),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
