// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A keeper's files, in a /run of their own: who has the lock, what is swept and found again. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "keeper/run_files.h"
#include "own_run.h"

/* In another process: what run_files_lock() returns there, as an exit status, 99 = it has it. */
static int lock_elsewhere(pid_t want_holder)
{
	pid_t child = fork(), holder;
	int status;

	if (!child) {
		int fd = run_files_lock("web", &holder);

		if (fd < 0 && holder != want_holder)
			_exit(98);
		_exit(fd < 0 ? -fd : 99);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WEXITSTATUS(status);
}

static void test_one_keeper_a_service(void **state)
{
	char path[RUN_FILES_PATH_BYTES];
	pid_t holder;
	int fd = run_files_lock("web", &holder);

	(void)state;
	assert_true(fd >= 0);
	check("lock", "held", lock_elsewhere(getpid()), EWOULDBLOCK);
	run_files_path("web", "lock", path);
	assert_string_equal(path, RUN_FILES_DIR "/web.lock");
	/* the file of one who has ended is another's to make */
	run_files_remove("web");
	assert_int_equal(access(path, F_OK), -1);
	check("lock", "another file", lock_elsewhere(0), 99);
	close(fd);
	check("lock", "free", lock_elsewhere(0), 99);
}

static void leave_file(const char *path)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	close(fd);
}

/* A keeper that was killed while it took the lock has left a file; one that lives holds its own. */
static void test_lock_files_are_swept(void **state)
{
	static const char *const names[] = {
		RUN_FILES_DIR "/web.lock-7",
		RUN_FILES_DIR "/web.lock-x",
		RUN_FILES_DIR "/webs.lock-7",
		RUN_FILES_DIR "/web.lock-8",
	};
	static const bool stays[] = { false, true, true, true };
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	pid_t holder, child;
	int fd, pipes[2];
	char byte;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		leave_file(names[i]);
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		fd = open(names[3], O_RDWR | O_CLOEXEC);
		if (fd < 0 || fcntl(fd, F_SETLK, &whole) || write(pipes[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	assert_int_equal(read(pipes[0], &byte, 1), 1);
	fd = run_files_lock("web", &holder);
	assert_true(fd >= 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		check("stays", names[i], !access(names[i], F_OK), stays[i]);
		unlink(names[i]);
	}
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
	close(pipes[0]);
	close(pipes[1]);
	close(fd);
	run_files_remove("web");
}

static void test_cgroup_is_found_again(void **state)
{
	char parent[PATH_MAX];

	(void)state;
	assert_int_equal(run_files_read_cgroup("web", parent), -ENOENT);
	run_files_write_cgroup("web", "/run");
	assert_int_equal(run_files_read_cgroup("web", parent), 0);
	assert_string_equal(parent, "/run");
	run_files_write_cgroup("web", "/no/such");
	assert_int_equal(run_files_read_cgroup("web", parent), -ENOENT);
	run_files_remove("web");
	assert_int_equal(access(RUN_FILES_DIR "/web.cgroup", F_OK), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_keeper_a_service),
		cmocka_unit_test(test_lock_files_are_swept),
		cmocka_unit_test(test_cgroup_is_found_again),
	};

	if (!enter_own_run()) {
		print_message("SKIP: a mount namespace of its own can't be had\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
