/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Texts that name a namespace or do not; this process's own; with privileges, that of a child. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "check.h"
#include "host/netns.h"

#define LETTERS_64 "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijkl"
#define LETTERS_256 LETTERS_64 LETTERS_64 LETTERS_64 LETTERS_64

static const struct {
	const char *name, *text;
	int want;
	const char *why;
} bad_rows[] = {
	{ "empty", "", -EINVAL, "empty" },
	{ "path", "/proc/1/ns/net", -EINVAL, "a path; give a process id or a name in /run/netns" },
	{ "way out", "../netns", -EINVAL, "a path; give a process id or a name in /run/netns" },
	{ "dot", ".", -EINVAL, "not a name" },
	{ "dots", "..", -EINVAL, "not a name" },
	{ "256 letters", LETTERS_256, -ENAMETOOLONG, "too long" },
	{ "unknown name", "lbctl-test-no-such-name", -ENOENT, "no such name in /run/netns" },
	{ "minus", "-1", -ENOENT, "no such name in /run/netns" },
	{ "no digits only", "12ab", -ENOENT, "no such name in /run/netns" },
	{ "space", " 1", -ENOENT, "no such name in /run/netns" },
	{ "process 0", "0", -ESRCH, "no such process" },
	{ "largest process", "2147483647", -ESRCH, "no such process" },
	{ "more than a process id", "2147483648", -ESRCH, "no such process" },
	{ "more than 64 bits", "99999999999999999999", -ESRCH, "no such process" },
};

static void bad_texts_are_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad_rows); i++) {
		const char *why = "";
		uint64_t inode = 7;
		int fd = -7, got;

		got = netns_open(bad_rows[i].text, &fd, &inode, &why);
		if (got != bad_rows[i].want || strcmp(why, bad_rows[i].why))
			fail_msg("%s: got %d, \"%s\"; want %d, \"%s\"", bad_rows[i].name, got, why,
				 bad_rows[i].want, bad_rows[i].why);
		if (fd != -7 || inode != 7)
			fail_msg("%s: the result changed: %d, %llu", bad_rows[i].name, fd,
				 (unsigned long long)inode);
	}
	assert_int_equal(netns_open("", &(int){ -1 }, NULL, NULL), -EINVAL);
}

static uint64_t own_inode(void)
{
	struct stat st;

	assert_int_equal(stat("/proc/self/ns/net", &st), 0);
	return st.st_ino;
}

static void own_namespace_is_opened_by_pid(void **state)
{
	_cleanup_close_ int fd = -1;
	uint64_t inode = 0;
	const char *why;
	struct stat st;
	char text[16];

	(void)state;
	snprintf(text, sizeof(text), "%d", getpid());
	assert_int_equal(netns_open(text, &fd, &inode, &why), 0);
	assert_int_equal(inode, own_inode());
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_ino, inode);
}

static void own_namespace_is_found_by_inode(void **state)
{
	_cleanup_close_ int fd = -1;
	uint64_t inode;
	struct stat st;

	(void)state;
	assert_int_equal(netns_of_self(&inode), 0);
	assert_int_equal(inode, own_inode());
	assert_int_equal(netns_find(inode, &fd), 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_ino, inode);
}

static void unknown_inode_is_not_found(void **state)
{
	int fd = -7, err, before = dup(0), after;

	(void)state;
	close(before);
	err = netns_find(1, &fd);
	/* Even root may be refused process 1, in a container for example. */
	assert_true(err == -ENOENT || err == -EACCES);
	assert_int_equal(fd, -7);
	after = dup(0);
	close(after);
	assert_int_equal(after, before);
}

struct visit {
	pthread_t thread;
	uint64_t inode;
	int result;
};

static int visit(void *arg)
{
	struct visit *seen = arg;

	seen->thread = pthread_self();
	assert_int_equal(netns_of_self(&seen->inode), 0);
	return seen->result;
}

static void own_namespace_needs_no_thread(void **state)
{
	struct visit seen = { .result = -42 };
	_cleanup_close_ int fd = -1;

	(void)state;
	assert_int_equal(netns_run(-1, visit, &seen), -42);
	assert_true(pthread_equal(seen.thread, pthread_self()));
	assert_int_equal(seen.inode, own_inode());
	assert_int_equal(netns_find(own_inode(), &fd), 0);
	seen = (struct visit){ .result = 3 };
	assert_int_equal(netns_run(fd, visit, &seen), 3);
	assert_true(pthread_equal(seen.thread, pthread_self()));
}

static void other_file_is_no_namespace(void **state)
{
	struct visit seen = {};
	int ends[2], err;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	err = netns_run(ends[0], visit, &seen);
	assert_true(err == -EINVAL || err == -EPERM);
	assert_int_equal(seen.inode, 0);
	close(ends[0]);
	close(ends[1]);
}

/* A child in a namespace of its own; 0: not permitted. */
static pid_t spawn_elsewhere(void)
{
	int ends[2];
	char done = 0;
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		done = unshare(CLONE_NEWNET) ? 'n' : 'y';
		if (write(ends[1], &done, 1) != 1 || done == 'n')
			_exit(1);
		for (;;)
			pause();
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], &done, 1), 1);
	close(ends[0]);
	if (done == 'y')
		return pid;
	waitpid(pid, NULL, 0);
	return 0;
}

static void child_namespace_is_opened_found_and_entered(void **state)
{
	_cleanup_close_ int opened = -1;
	_cleanup_close_ int found = -1;
	struct visit seen = { .result = 5 };
	pid_t child = spawn_elsewhere();
	sigset_t before, after;
	uint64_t inode;
	char text[16];

	(void)state;
	if (!child)
		skip();
	snprintf(text, sizeof(text), "%d", child);
	assert_int_equal(netns_open(text, &opened, &inode, NULL), 0);
	assert_int_not_equal(inode, own_inode());
	assert_int_equal(netns_find(inode, &found), 0);
	pthread_sigmask(SIG_SETMASK, NULL, &before);
	assert_int_equal(netns_run(found, visit, &seen), 5);
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	for (int signal = 1; signal < SIGRTMIN; signal++)
		assert_int_equal(sigismember(&before, signal), sigismember(&after, signal));
	assert_int_equal(seen.inode, inode);
	assert_false(pthread_equal(seen.thread, pthread_self()));
	assert_int_not_equal(own_inode(), inode);
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_texts_are_refused),
		cmocka_unit_test(own_namespace_is_opened_by_pid),
		cmocka_unit_test(own_namespace_is_found_by_inode),
		cmocka_unit_test(unknown_inode_is_not_found),
		cmocka_unit_test(own_namespace_needs_no_thread),
		cmocka_unit_test(other_file_is_no_namespace),
		cmocka_unit_test(child_namespace_is_opened_found_and_entered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
