/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who holds and who polls sockets of this process and its children, and what they are called. */
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "check.h"
#include "host/proc_name.h"
#include "host/procs.h"

static uint64_t inode_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return st.st_ino;
}

static int serve(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 5), 0);
	return fd;
}

static int watch(int fd)
{
	struct epoll_event event = { .events = EPOLLIN };
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	assert_true(epoll >= 0);
	assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), 0);
	return epoll;
}

/* A child that shares all descriptors and waits to be ended; it does not outlive us. */
static pid_t spawn(void)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void socket_is_held_then_polled(void **state)
{
	_cleanup_close_ int fd = serve();
	_cleanup_close_ int epoll = -1;
	uint64_t inode = inode_of(fd);
	struct procs_list list;

	(void)state;
	for (int polls = 0; polls <= 1; polls++) {
		if (polls)
			epoll = watch(fd);
		assert_int_equal(procs_find_holders(&inode, 1, 0, &list), 0);
		assert_int_equal(list.count, 1);
		assert_int_equal(list.items[0].inode, inode);
		assert_int_equal(list.items[0].pid, getpid());
		assert_int_equal(list.items[0].fd, fd);
		assert_int_equal(list.items[0].polls, polls);
		procs_free(&list);
	}
}

/* As in an nginx worker: it holds the listeners of its siblings and polls its own. */
static void only_the_polled_one_of_two_is_marked(void **state)
{
	_cleanup_close_ int one = serve();
	_cleanup_close_ int two = serve();
	_cleanup_close_ int epoll = watch(two);
	bool ascending = inode_of(one) < inode_of(two);
	uint64_t inodes[] = { inode_of(ascending ? one : two), inode_of(ascending ? two : one) };
	struct procs_list list;

	(void)state;
	assert_true(epoll >= 0);
	assert_int_equal(procs_find_holders(inodes, 2, getpid(), &list), 0);
	assert_int_equal(list.count, 2);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(list.items[i].inode, inodes[i]);
		assert_int_equal(list.items[i].polls, inodes[i] == inode_of(two));
	}
	procs_free(&list);
}

static void duplicates_are_one_holder(void **state)
{
	_cleanup_close_ int fd = serve();
	_cleanup_close_ int copy = dup(fd);
	uint64_t inode = inode_of(fd);
	struct procs_list list;

	(void)state;
	assert_true(copy > fd);
	assert_int_equal(procs_find_holders(&inode, 1, 0, &list), 0);
	assert_int_equal(list.count, 1);
	assert_int_equal(list.items[0].fd, fd);
	procs_free(&list);
}

static void parent_and_child_hold_it(void **state)
{
	_cleanup_close_ int fd = serve();
	uint64_t inode = inode_of(fd);
	pid_t child = spawn();
	struct procs_list list;

	(void)state;
	assert_int_equal(procs_find_holders(&inode, 1, 0, &list), 0);
	assert_int_equal(list.count, 2);
	assert_int_equal(list.items[0].pid, child < getpid() ? child : getpid());
	assert_int_equal(list.items[1].pid, child < getpid() ? getpid() : child);
	procs_free(&list);
	end(child);
	assert_int_equal(procs_find_holders(&inode, 1, 0, &list), 0);
	assert_int_equal(list.count, 1);
	procs_free(&list);
}

static void who_polls_comes_first(void **state)
{
	_cleanup_close_ int fd = serve();
	uint64_t inode = inode_of(fd);
	pid_t before = spawn();
	_cleanup_close_ int epoll = watch(fd);
	pid_t after = spawn();
	struct procs_list list;

	(void)state;
	close(epoll);
	epoll = -1;
	assert_int_equal(procs_find_holders(&inode, 1, 0, &list), 0);
	assert_int_equal(list.count, 3);
	assert_int_equal(list.items[0].pid, after);
	assert_true(list.items[0].polls);
	assert_false(list.items[1].polls);
	assert_false(list.items[2].polls);
	procs_free(&list);
	end(before);
	end(after);
}

static void only_restricts_to_one_process(void **state)
{
	_cleanup_close_ int fd = serve();
	uint64_t inode = inode_of(fd);
	pid_t child = spawn();
	struct procs_list list;

	(void)state;
	assert_int_equal(procs_find_holders(&inode, 1, child, &list), 0);
	assert_int_equal(list.count, 1);
	assert_int_equal(list.items[0].pid, child);
	procs_free(&list);
	end(child);
	assert_int_equal(procs_find_holders(&inode, 1, child, &list), 0);
	assert_int_equal(list.count, 0);
	assert_int_equal(list.unreadable, 0);
	procs_free(&list);
}

static void nothing_wanted_is_nothing_found(void **state)
{
	uint64_t unknown = UINT64_MAX;
	struct procs_list list;

	(void)state;
	assert_int_equal(procs_find_holders(NULL, 0, 0, &list), 0);
	assert_int_equal(list.count, 0);
	procs_free(&list);
	assert_int_equal(procs_find_holders(&unknown, 1, 0, &list), 0);
	assert_int_equal(list.count, 0);
	procs_free(&list);
}

static void many_epoll_entries_are_read(void **state)
{
	_cleanup_close_ int first = serve();
	_cleanup_close_ int epoll = watch(first);
	struct epoll_event event = { .events = EPOLLIN };
	int fds[300];
	size_t count = ARRAY_SIZE(fds);
	uint64_t inode;
	struct procs_list list;

	(void)state;
	for (size_t i = 0; i < count; i++) {
		fds[i] = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		assert_true(fds[i] >= 0);
		assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i], &event), 0);
	}
	inode = inode_of(fds[count - 1]);
	assert_int_equal(procs_find_holders(&inode, 1, getpid(), &list), 0);
	assert_int_equal(list.count, 1);
	assert_true(list.items[0].polls);
	procs_free(&list);
	for (size_t i = 0; i < count; i++)
		close(fds[i]);
}

static void no_descriptor_is_left_open(void **state)
{
	_cleanup_close_ int fd = serve();
	_cleanup_close_ int epoll = watch(fd);
	uint64_t inode = inode_of(fd), ticks;
	int before = dup(fd), after;
	char name[PROC_NAME_BYTES];
	struct procs_list list;

	(void)state;
	assert_true(epoll >= 0);
	close(before);
	assert_int_equal(procs_find_holders(&inode, 1, 0, &list), 0);
	procs_free(&list);
	assert_int_equal(proc_name(getpid(), name, sizeof(name)), 0);
	assert_int_equal(procs_start_time(getpid(), &ticks), 0);
	after = dup(fd);
	close(after);
	assert_int_equal(after, before);
}

static void name_and_start_survive_a_strange_name(void **state)
{
	uint64_t before, after;
	char name[PROC_NAME_BYTES], small[8];

	(void)state;
	assert_int_equal(procs_start_time(getpid(), &before), 0);
	assert_int_equal(prctl(PR_SET_NAME, "a) R 1 (b\n)"), 0);
	assert_int_equal(proc_name(getpid(), name, sizeof(name)), 0);
	/* which is that of a thread and not of this program */
	assert_string_equal(name, "test_procs");
	assert_int_equal(procs_start_time(getpid(), &after), 0);
	assert_int_equal(before, after);
	assert_true(before > 0);
	assert_int_equal(proc_name(getpid(), small, sizeof(small)), 0);
	assert_string_equal(small, "test...");
	assert_int_equal(prctl(PR_SET_NAME, "test_pr"), 0);
	assert_int_equal(proc_name(getpid(), small, sizeof(small)), 0);
	assert_string_equal(small, "test_pr");
}

/* The first thread's name is that of the process, unless it has nothing to do with its program. */
static void name_is_that_of_the_program(void **state)
{
	static const struct {
		const char *comm, *want;
	} rows[] = {
		{ "MainThread", "test_procs" }, { "test_procs", "test_procs" },
		{ "test_pro", "test_pro" },	{ "test_procs2", "test_procs" },
		{ "", "test_procs" },
	};
	char name[PROC_NAME_BYTES];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(prctl(PR_SET_NAME, rows[i].comm), 0);
		assert_int_equal(proc_name(getpid(), name, sizeof(name)), 0);
		assert_string_equal(name, rows[i].want);
	}
	prctl(PR_SET_NAME, "test_procs");
}

/* Whoever may run a program here chooses what root reads: no order to a terminal, no new line. */
static void name_is_harmless(void **state)
{
	static const char link[] = "/tmp/x\x1b[31m\n\xc2\x9b\xff";
	char name[PROC_NAME_BYTES] = "";
	pid_t child;

	(void)state;
	unlink(link);
	assert_int_equal(symlink("/bin/sh", link), 0);
	child = fork();
	if (!child) {
		execl(link, link, "-c", "while :; do sleep 1; done", NULL);
		_exit(127);
	}
	for (int i = 0; i < 500 && *name != 'x'; i++) {
		usleep(10000);
		proc_name(child, name, sizeof(name));
	}
	end(child);
	unlink(link);
	assert_string_equal(name, "x\\u001b[31m\\u000a\\u009b\\xff");
}

/* A script's is its own, and not that of the interpreter. */
static void name_of_a_script_is_its_own(void **state)
{
	char directory[] = "/tmp/lbctl-test-procs-XXXXXX", name[PROC_NAME_BYTES] = "";
	pid_t child;
	FILE *file;

	(void)state;
	assert_non_null(mkdtemp(directory));
	assert_int_equal(chdir(directory), 0);
	file = fopen("my-server", "we");
	fprintf(file, "#!/bin/sh\nwhile :; do sleep 1; done\n");
	fclose(file);
	assert_int_equal(chmod("my-server", 0755), 0);
	child = fork();
	if (!child) {
		execl("./my-server", "./my-server", NULL);
		_exit(127);
	}
	for (int i = 0; i < 500 && strcmp(name, "my-server"); i++) {
		usleep(10000);
		proc_name(child, name, sizeof(name));
	}
	end(child);
	unlink("my-server");
	assert_int_equal(chdir("/"), 0);
	rmdir(directory);
	assert_string_equal(name, "my-server");
}

static void user_and_namespace_are_our_own(void **state)
{
	uint64_t inode;
	struct stat st;
	uid_t uid;

	(void)state;
	assert_int_equal(procs_uid(getpid(), &uid), 0);
	assert_int_equal(uid, geteuid());
	assert_int_equal(stat("/proc/self/ns/net", &st), 0);
	assert_int_equal(procs_netns(getpid(), &inode), 0);
	assert_int_equal(inode, st.st_ino);
}

static void ended_process_is_esrch(void **state)
{
	pid_t child = spawn();
	char name[PROC_NAME_BYTES];
	uint64_t number;
	uid_t uid;

	(void)state;
	end(child);
	assert_int_equal(proc_name(child, name, sizeof(name)), -ESRCH);
	assert_int_equal(procs_start_time(child, &number), -ESRCH);
	assert_int_equal(procs_netns(child, &number), -ESRCH);
	assert_int_equal(procs_uid(child, &uid), -ESRCH);
}

static void why_unseen_names_the_cause(void **state)
{
	const struct procs_list refused = { .unreadable = 2 },
				late = { .unreadable = 2, .late = 47 };
	char why[PROCS_WHY_BYTES];

	(void)state;
	procs_why_unseen(&refused, why);
	assert_non_null(strstr(why, "CAP_SYS_PTRACE is missing"));
	assert_non_null(strstr(why, "run as root"));
	procs_why_unseen(&late, why);
	assert_non_null(strstr(why, "process 47 was not looked at"));
	assert_null(strstr(why, "CAP_"));
	assert_non_null(strstr(why, "end who has so many"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(socket_is_held_then_polled),
		cmocka_unit_test(only_the_polled_one_of_two_is_marked),
		cmocka_unit_test(duplicates_are_one_holder),
		cmocka_unit_test(parent_and_child_hold_it),
		cmocka_unit_test(who_polls_comes_first),
		cmocka_unit_test(only_restricts_to_one_process),
		cmocka_unit_test(nothing_wanted_is_nothing_found),
		cmocka_unit_test(many_epoll_entries_are_read),
		cmocka_unit_test(no_descriptor_is_left_open),
		cmocka_unit_test(name_and_start_survive_a_strange_name),
		cmocka_unit_test(name_is_that_of_the_program),
		cmocka_unit_test(name_is_harmless),
		cmocka_unit_test(name_of_a_script_is_its_own),
		cmocka_unit_test(user_and_namespace_are_our_own),
		cmocka_unit_test(ended_process_is_esrch),
		cmocka_unit_test(why_unseen_names_the_cause),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
