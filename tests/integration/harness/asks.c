// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See asks.h. */
#include "harness/asks.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness/attacks.h"
#include "harness/commands.h"
#include "harness/joins.h"
#include "harness/world.h"

static pid_t first; /* has the socket of worker 0 */

void say(int fd, const char *text)
{
	expect(send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text), text);
}

/* The status of the next answer, -1 = the keeper has hung up, -2 = it makes no sense. */
int hear(int fd, char text[4096])
{
	ssize_t n = recv(fd, text, 4095, 0);
	json_t *answer;
	int status = -2;

	text[n > 0 ? n : 0] = '\0';
	if (n <= 0)
		return -1;
	answer = json_loads(text, 0, NULL);
	if (json_is_integer(json_object_get(answer, "status")))
		status = json_integer_value(json_object_get(answer, "status"));
	json_decref(answer);
	return status;
}

/* In an attack: the answer has this status and these words. */
void answered(int fd, int status, const char *words)
{
	char text[4096];
	int got = hear(fd, text);

	if (got == status && strstr(text, words))
		return;
	fprintf(stderr, "status %d, want %d with \"%s\": %s\n", got, status, words, text);
	_exit(1);
}

void asked(int fd, const char *request, int status, const char *words)
{
	say(fd, request);
	answered(fd, status, words);
}

/* An answer that does not come ends the attack. */
static int connect_patiently(const char *path, int type)
{
	const struct timeval patience = { .tv_sec = 30 };
	int fd = connect_to(path, type);

	expect(!setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), "patience");
	return fd;
}

int by_packets(void)
{
	return connect_patiently(JOINS_SOCKET, SOCK_SEQPACKET);
}

int by_lines(void)
{
	return connect_patiently(FILES_DIR "/web.stream", SOCK_STREAM);
}

/* As the socket of service "web", under this number. */
void be_listener(int number)
{
	int fd = member_of_group();

	expect(dup2(fd, number) == number, "dup2");
	close(fd);
}

void join_as_18(int fd)
{
	asked(fd, "{\"join\":{\"fd\":18}}", 0, "worker 1, listening on 0.0.0.0:8080");
}

void listen_only(void)
{
	be_listener(NUMBER);
}

/* Sockets of one group are of one user: that of the attacks. */
void asks_watch(struct run *run)
{
	first = attack(listen_only);
	lbctl_ok("attach", "--name", "web", "--policy", "rr", ":8080", NULL);
	joins_keep(run);
}

void asks_end_watch(struct run *run)
{
	end_attack(first);
	joins_end_watch(run);
}
