// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See attacks.h. */
#include "harness/attacks.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/runs.h"
#include "harness/world.h"
#include "send_fds.h"

#define NOBODY 65534
#define LINGER_S 300
#define WORKERS 4
#define FLOOD 3000

static int done[2];

void attack_goes_on(void)
{
	if (done[1] < 0)
		return;
	expect(write(done[1], "", 1) == 1, "write");
	close(done[1]);
	done[1] = -1;
}

pid_t attack(void (*how)(void))
{
	char byte;
	pid_t pid;

	assert_int_equal(pipe2(done, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) ||
		    setresuid(NOBODY, NOBODY, NOBODY))
			_exit(1);
		how();
		attack_goes_on();
		for (;;)
			pause();
	}
	close(done[1]);
	if (read(done[0], &byte, 1) != 1)
		fail_msg("the attack failed");
	close(done[0]);
	return pid;
}

void end_attack(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

void expect(bool works, const char *what)
{
	if (works)
		return;
	perror(what);
	_exit(1);
}

int connect_to(const char *path, int type)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	strcpy(at.sun_path, path);
	expect(!connect(fd, (struct sockaddr *)&at, sizeof(at)), path);
	return fd;
}

/* Unsent data that nobody takes: whoever closes it last waits until the time is over. */
int spoiled_socket(void)
{
	const struct linger linger = { .l_onoff = 1, .l_linger = LINGER_S };
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);
	static const char bytes[65536];
	socklen_t len = sizeof(at);

	expect(!bind(listener, (struct sockaddr *)&at, len) && !listen(listener, 1), "listen");
	getsockname(listener, (struct sockaddr *)&at, &len);
	expect(!connect(fd, (struct sockaddr *)&at, len), "connect");
	expect(accept(listener, NULL, NULL) >= 0, "accept");
	expect(!setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), "SO_LINGER");
	while (send(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		continue;
	return fd;
}

static void on_alarm(int number)
{
	(void)number;
}

/*
 * So that none of `n` is left here; those that were not sent stay open. Where the keeper was rid of
 * them sooner, we would be who waits: until the signal.
 */
void send_spoiled(int to, const char *text, size_t n)
{
	int fds[] = { spoiled_socket(), spoiled_socket() };
	const struct sigaction action = { .sa_handler = on_alarm };

	if (send_fds(to, text, strlen(text), fds, n) < 0)
		return;
	sigaction(SIGALRM, &action, NULL);
	for (size_t i = 0; i < n; i++) {
		alarm(1);
		close(fds[i]);
	}
	alarm(0);
}

void spoil_request(void)
{
	int fd = connect_to(FILES_DIR "/web.sock", SOCK_SEQPACKET);

	send_spoiled(fd, "{\"verb\":\"hello\"}", 2);
}

/* It is gone before the keeper has read all of it, or is not let in at all. */
void spoil_many_requests(void)
{
	for (int i = 0; i < 20; i++) {
		int fd = connect_to(FILES_DIR "/web.sock", SOCK_SEQPACKET);

		send_spoiled(fd, "{\"verb\":\"hello\"}", 2);
		send_spoiled(fd, "{", 1);
		if (i % 2)
			close(fd);
	}
}

void spoil_notice(void)
{
	send_spoiled(connect_to(FILES_DIR "/web.notify", SOCK_DGRAM), "READY=1", 2);
}

void flood_requests(void)
{
	for (int i = 0; i < FLOOD; i++) {
		int fd = connect_to(FILES_DIR "/web.sock", SOCK_SEQPACKET);

		send(fd, "{\"verb\":", 8, MSG_DONTWAIT | MSG_NOSIGNAL);
		close(fd);
	}
}

void flood_notices(void)
{
	int fd = connect_to(FILES_DIR "/web.notify", SOCK_DGRAM);

	for (int i = 0; i < FLOOD; i++)
		send(fd, "READY=1\nWATCHDOG=1\nSTATUS=x", 28, MSG_DONTWAIT);
}

void stop_everybody(void)
{
	for (int i = 0; i < 20; i++) {
		kill(-1, SIGSTOP);
		usleep(2000);
		kill(-1, SIGCONT);
		usleep(2000);
	}
}

void ask_to_join(void)
{
	static const char text[] = "{\"verb\":\"join\",\"worker\":1}";
	int own = socket(AF_INET, SOCK_STREAM, 0);
	int fd = connect_to(FILES_DIR "/web.sock", SOCK_SEQPACKET);

	expect(!listen(own, 1), "listen");
	/* who asked too much is hung up on */
	expect(send_fds(fd, text, strlen(text), &own, 1) > 0 || errno == EPIPE ||
		       errno == ECONNRESET,
	       "join");
	close(own);
}

int member_of_group(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(8080) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	expect(!setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) &&
		       !bind(fd, (struct sockaddr *)&at, sizeof(at)) && !listen(fd, 64),
	       "a socket of the group");
	return fd;
}

/* The last socket that came is the thief's. */
void put_classic(int fd)
{
	struct sock_filter last = { .code = BPF_RET | BPF_K, .k = WORKERS };
	const struct sock_fprog program = { .len = 1, .filter = &last };

	expect(!setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof(program)),
	       "SO_ATTACH_REUSEPORT_CBPF");
}

void steal_once(void)
{
	put_classic(member_of_group());
}

void take_off_once(void)
{
	int fd = member_of_group(), zero = 0;

	expect(!setsockopt(fd, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, &zero, sizeof(zero)),
	       "SO_DETACH_REUSEPORT_BPF");
}
