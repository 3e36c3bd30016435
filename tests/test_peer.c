// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A duplicate of a descriptor of whoever is at the other end of a connection, or none. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "host/procs.h"
#include "keeper/peer.h"

#define NUMBER 18 /* that the socket has in the other process, */
#define CLOSED 19 /* and one that has nothing */

static int socket_fd, connection;
static pid_t other;
static struct peer peer;

/* Without a name the kernel gives one. */
static int listen_anywhere(struct sockaddr_un *at, socklen_t *len)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	*at = (struct sockaddr_un){ .sun_family = AF_UNIX };
	*len = sizeof(*at);
	assert_int_equal(bind(fd, (struct sockaddr *)at, sizeof(sa_family_t)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)at, len), 0);
	return fd;
}

/* Another process connects; descriptor NUMBER of it is our socket_fd. */
static int begin(void **state)
{
	struct sockaddr_un at;
	socklen_t len;
	int listener = listen_anywhere(&at, &len);

	(void)state;
	socket_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	other = fork();
	assert_true(other >= 0);
	if (!other) {
		int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(fd, 30);
		if (dup2(socket_fd, NUMBER) < 0 || connect(30, (struct sockaddr *)&at, len))
			_exit(1);
		close(CLOSED);
		for (;;)
			pause();
	}
	connection = accept(listener, NULL, NULL);
	assert_true(connection >= 0);
	close(listener);
	assert_int_equal(peer_read(connection, &peer), 0);
	assert_int_equal(peer.pid, other);
	assert_int_equal(peer.uid, getuid());
	return 0;
}

static void end_other(void)
{
	if (other > 0) {
		kill(other, SIGKILL);
		assert_int_equal(waitpid(other, NULL, 0), other);
	}
	other = 0;
}

static int end(void **state)
{
	(void)state;
	end_other();
	close(connection);
	close(socket_fd);
	return 0;
}

/* Must be refused. */
static void refused(int number, int status, const char *words)
{
	struct trouble trouble = { 0 };
	int fd = peer_fetch(&peer, connection, number, &trouble);

	if (fd >= 0 || trouble.status != status || !strstr(trouble.text, words))
		fail_msg("fd %d: %d, status %d, want %d with \"%s\": %s", number, fd,
			 trouble.status, status, words, trouble.text);
}

static void test_fetched(void **state)
{
	struct trouble trouble = { 0 };
	struct stat ours, got;
	int fd = peer_fetch(&peer, connection, NUMBER, &trouble);

	(void)state;
	if (fd < 0 && trouble.status == EXIT_NOT_ABLE)
		skip(); /* some sandboxes let nobody look into another process */
	if (fd < 0)
		fail_msg("%s", trouble.text);
	assert_int_equal(fstat(fd, &got), 0);
	assert_int_equal(fstat(socket_fd, &ours), 0);
	assert_int_equal(got.st_ino, ours.st_ino);
	close(fd);
	refused(CLOSED, EXIT_USAGE, "no descriptor 19");
	refused(1 << 30, EXIT_USAGE, "no descriptor");
	refused(-1, EXIT_USAGE, "no descriptor");
}

/* It has the number no more, whoever has it. */
static void test_ended(void **state)
{
	(void)state;
	end_other();
	refused(NUMBER, EXIT_FAILED, "has ended");
	peer.pid = getpid();
	refused(NUMBER, EXIT_FAILED, "has ended");
}

/* It has become somebody else since it connected. */
static void test_another_user(void **state)
{
	const struct peer was = peer;

	(void)state;
	peer.uid++;
	refused(NUMBER, EXIT_NOT_ABLE, "user and group");
	peer = was;
	peer.gid++;
	refused(NUMBER, EXIT_NOT_ABLE, "user and group");
}

static void test_unseen(void **state)
{
	(void)state;
	peer.pid = 0;
	refused(NUMBER, EXIT_NOT_ABLE, "another pid namespace");
}

/* Where the number is all there is: who began after the peer had come is not the peer. */
static void test_by_pid_alone(void **state)
{
	int pidfd = peer_open_by_pid(&peer);

	(void)state;
	assert_true(pidfd >= 0);
	close(pidfd);
	peer.came_ticks = 1;
	assert_int_equal(peer_open_by_pid(&peer), -ESRCH);
	peer.came_ticks = UINT64_MAX;
	end_other();
	assert_int_equal(peer_open_by_pid(&peer), -ESRCH);
}

/* --- whom a process may act as --- */

#define STATUS(uids, gids) "Name:\tx\nUmask:\t0022\nUid:" uids "\nGid:" gids "\nFDSize:\t64\n"

static const struct {
	const char *name, *text;
	int want;
	uid_t uid;
	gid_t gid;
} ids_rows[] = {
	{ "as it is", STATUS("\t1\t2\t3\t4", "\t5\t6\t7\t8"), 0, 1, 5 },
	{ "largest", STATUS("\t4294967295\t0\t0\t0", "\t0\t0\t0\t0"), 0, (uid_t)-1, 0 },
	{ "three", STATUS("\t1\t2\t3", "\t5\t6\t7\t8"), -EBADMSG, 0, 0 },
	{ "no groups", "Name:\tx\nUid:\t1\t2\t3\t4\n", -EBADMSG, 0, 0 },
	{ "a name like it", "Name:\tUid:\t0\t0\t0\t0\n", -EBADMSG, 0, 0 },
	{ "nothing", "", -EBADMSG, 0, 0 },
};

static void test_ids(void **state)
{
	struct procs_ids ids;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ids_rows); i++) {
		int got = procs_parse_ids(ids_rows[i].text, &ids);

		check("returns", ids_rows[i].name, got, ids_rows[i].want);
		if (got)
			continue;
		check("uid", ids_rows[i].name, ids.uid[0], ids_rows[i].uid);
		check("gid", ids_rows[i].name, ids.gid[0], ids_rows[i].gid);
	}
	assert_int_equal(procs_ids(getpid(), &ids), 0);
	assert_int_equal(ids.uid[1], geteuid());
	assert_int_equal(ids.gid[1], getegid());
}

#define peer_test(function) cmocka_unit_test_setup_teardown(function, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		peer_test(test_fetched),    peer_test(test_ended),  peer_test(test_another_user),
		cmocka_unit_test(test_ids), peer_test(test_unseen), peer_test(test_by_pid_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
