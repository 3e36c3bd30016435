// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See datagrams.h. */
#include "harness/datagrams.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/commands.h"
#include "harness/world.h"
#include "host/sockdiag.h"

#define MOST_BYTES 16384
#define STREAM_EVERY_US 4000

pid_t udp_pids[WORKERS];

/* --- workers --- */

static volatile sig_atomic_t ending;

static void note_end(int number)
{
	(void)number;
	ending = 1;
}

int udp_bound(int family, int type, bool v6only)
{
	const struct sockaddr_in any4 = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	const struct sockaddr_in6 any6 = { .sin6_family = AF_INET6, .sin6_port = htons(PORT) };
	const struct timeval pause = { .tv_usec = 50 * 1000 };
	int fd = socket(family, type | SOCK_CLOEXEC, 0), on = 1, only = v6only;

	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &pause, sizeof(pause));
	if (family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only));
	if (bind(fd, family == AF_INET ? (void *)&any4 : (void *)&any6,
		 family == AF_INET ? sizeof(any4) : sizeof(any6)) ||
	    (type == SOCK_STREAM && listen(fd, 64)))
		return -1;
	return fd;
}

/* SIGTERM: what has come is answered still. */
static void answer(int fd, char number)
{
	struct sockaddr_storage from;
	char bytes[MOST_BYTES];
	socklen_t len;
	ssize_t n;

	do {
		len = sizeof(from);
		n = recvfrom(fd, bytes, sizeof(bytes), 0, (void *)&from, &len);
		if (n >= 0)
			sendto(fd, &number, 1, 0, (void *)&from, len);
	} while (n >= 0 || !ending);
	_exit(0);
}

static void serve(char number, int kind)
{
	int room = 4096, fd;

	sigaction(SIGTERM, &(const struct sigaction){ .sa_handler = note_end }, NULL);
	if (kind & AND_TCP && udp_bound(AF_INET, SOCK_STREAM, false) < 0)
		_exit(1);
	if (kind & ONLY4 && kind & ONLY6 && !fork())
		answer(udp_bound(AF_INET6, SOCK_DGRAM, true), number);
	fd = udp_bound(kind & ONLY4 ? AF_INET : AF_INET6, SOCK_DGRAM, kind & ONLY6);
	if (kind & SHORT)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	answer(fd, number);
}

size_t udp_unconnected(void)
{
	struct sockdiag_list list;
	size_t n = 0;

	assert_int_equal(sockdiag_listeners(LB_PROTO_UDP, PORT, &list), 0);
	for (size_t i = 0; i < list.count; i++)
		n += list.items[i].state != TCP_ESTABLISHED;
	sockdiag_free(&list);
	return n;
}

void udp_worker_start(int number, int kind)
{
	size_t want = udp_unconnected() + 1 + ((kind & ONLY4) && (kind & ONLY6));

	udp_pids[number] = fork();
	assert_true(udp_pids[number] >= 0);
	if (!udp_pids[number])
		serve(number, kind);
	wait_until(udp_unconnected() == want, 5000);
}

void udp_worker_end(int number, int with)
{
	kill(udp_pids[number], with);
	wait_until(waitpid(udp_pids[number], NULL, WNOHANG) == udp_pids[number], 5000);
}

void udp_start(int kind, const char *policy)
{
	for (int i = 0; i < WORKERS; i++)
		udp_worker_start(i, kind);
	lbctl_ok("attach", "--name", "dns", "--policy", policy, "udp/:8080", NULL);
}

/* --- clients --- */

/* Bound to an address of its own (IPv4, host order) and port, if not 0. */
int udp_client(uint32_t address, uint16_t port)
{
	const struct sockaddr_in from = { .sin_family = AF_INET,
					  .sin_port = htons(port),
					  .sin_addr.s_addr = htonl(address) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_return_code(bind(fd, (void *)&from, sizeof(from)), errno);
	return fd;
}

static void say(int fd, bool v6, const void *data, size_t bytes)
{
	const struct sockaddr_in to4 = { .sin_family = AF_INET,
					 .sin_port = htons(PORT),
					 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const struct sockaddr_in6 to6 = { .sin6_family = AF_INET6,
					  .sin6_port = htons(PORT),
					  .sin6_addr = IN6ADDR_LOOPBACK_INIT };

	assert_int_equal(sendto(fd, data, bytes, 0, v6 ? (void *)&to6 : (void *)&to4,
				v6 ? sizeof(to6) : sizeof(to4)),
			 bytes);
}

void udp_say(int fd, bool v6, size_t bytes)
{
	static const char nothing[MOST_BYTES];

	say(fd, v6, nothing, bytes);
}

void udp_say_text(int fd, bool v6, const char *text)
{
	say(fd, v6, text, strlen(text));
}

/* The number of the worker that answers; -1: none does. */
int udp_hear(int fd)
{
	struct pollfd ready = { fd, POLLIN, 0 };
	char number;

	if (poll(&ready, 1, scaled_ms(ANSWER_MS)) != 1 || recv(fd, &number, 1, 0) != 1)
		return -1;
	return number;
}

int udp_ask_on(int fd)
{
	int number;

	udp_say(fd, false, 1);
	number = udp_hear(fd);
	if (number < 0 || number >= WORKERS)
		fail_msg("a datagram was not answered");
	return number;
}

int udp_ask(bool v6)
{
	int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), number;

	udp_say(fd, v6, 1);
	number = udp_hear(fd);
	close(fd);
	return number;
}

void udp_expect(unsigned int n, bool v6, const unsigned int want[WORKERS])
{
	unsigned int got[WORKERS] = { 0 };

	for (unsigned int i = 0; i < n; i++) {
		int number = udp_ask(v6);

		assert_in_range(number, 0, WORKERS - 1);
		got[number]++;
	}
	for (int i = 0; i < WORKERS; i++)
		assert_int_equal(got[i], want[i]);
}

/* --- a stream --- */

static void take_answers(struct udp_stream *stream, int fd, int wait_ms)
{
	struct pollfd ready = { fd, POLLIN, 0 };
	unsigned int number;
	char got[64];
	ssize_t n;

	while (poll(&ready, 1, wait_ms) == 1) {
		n = recv(fd, got, sizeof(got) - 1, 0);
		got[n > 0 ? n : 0] = '\0';
		if (sscanf(got, "%*d %u", &number) != 1 || number >= UDP_STREAM_MOST ||
		    stream->got[number])
			continue;
		stream->got[number] = true;
		if (++stream->answered == stream->sent && stream->stop)
			return;
	}
}

static void send_stream(struct udp_stream *stream)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char text[16];

	while (!stream->stop && stream->sent < UDP_STREAM_MOST) {
		snprintf(text, sizeof(text), "%u", stream->sent++);
		udp_say_text(fd, false, text);
		take_answers(stream, fd, 0);
		usleep(scaled_ms(1) * STREAM_EVERY_US);
	}
	if (stream->answered < stream->sent)
		take_answers(stream, fd, scaled_ms(ANSWER_MS));
	_exit(0);
}

struct udp_stream *udp_stream_start(void)
{
	struct udp_stream *stream = mmap(NULL, sizeof(*stream), PROT_READ | PROT_WRITE,
					 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	assert_ptr_not_equal(stream, MAP_FAILED);
	pid = fork();
	if (!pid)
		send_stream(stream);
	stream->pid = pid;
	wait_until(stream->answered > 20, 10000);
	return stream;
}

unsigned int udp_stream_stop(struct udp_stream *stream)
{
	unsigned int lost;

	stream->stop = true;
	waitpid(stream->pid, NULL, 0);
	lost = stream->sent - stream->answered;
	print_message("%u datagrams, %u not answered\n", stream->sent, lost);
	assert_true(stream->sent < UDP_STREAM_MOST);
	munmap(stream, sizeof(*stream));
	return lost;
}
