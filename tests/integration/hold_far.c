// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Clients far away, as a relay has each packet wait: who is idle at their SYN need not be when the
 * handshake ends, so it is then that they get a worker.
 */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/counters.h"
#include "harness/events.h"
#include "harness/holding.h"
#include "harness/maps.h"
#include "harness/obey.h"
#include "harness/runs.h"
#include "harness/world.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lb_hold.h"

#define FAR "10.99.0.2" /* from there, and to there: both ends are here */
#define ONE_WAY_NS 30000000ULL
#define ROUND_TRIP_NS (2 * ONE_WAY_NS)
#define SLOW_NS 2000000000ULL
#define CLIENTS 10
#define MOST_PACKETS 4096
#define PACKET_BYTES 2048

static struct run run;
static struct clients clients;

/* --- the relay --- */

static struct packet {
	uint64_t due_ns;
	ssize_t bytes;
	char data[PACKET_BYTES];
} packets[MOST_PACKETS];

static int open_tun(void)
{
	struct ifreq request = { .ifr_flags = IFF_TUN | IFF_NO_PI, .ifr_name = "far" };
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0 || ioctl(fd, TUNSETIFF, &request)) {
		close(fd);
		return -1;
	}
	command_ok("ip", "addr", "add", "10.99.0.1/24", "dev", "far", NULL);
	command_ok("ip", "link", "set", "far", "up", NULL);
	return fd;
}

/* What is sent to there comes from there: the checksums are the same. */
static void turn_round(char *data)
{
	char *from = data + 12, *to = data + 16, saved[4];

	memcpy(saved, from, 4);
	memcpy(from, to, 4);
	memcpy(to, saved, 4);
}

__attribute__((noreturn)) static void relay(int tun)
{
	struct pollfd readable = { .fd = tun, .events = POLLIN };
	size_t first = 0, end = 0;

	for (;;) {
		struct packet *next = &packets[end % MOST_PACKETS];

		poll(&readable, 1, first == end ? -1 : 1);
		while (end - first < MOST_PACKETS &&
		       (next->bytes = read(tun, next->data, PACKET_BYTES)) > 0) {
			next->due_ns = now_ns() + ONE_WAY_NS;
			turn_round(next->data);
			next = &packets[++end % MOST_PACKETS];
		}
		for (; first != end && packets[first % MOST_PACKETS].due_ns <= now_ns(); first++) {
			next = &packets[first % MOST_PACKETS];
			/* one that the kernel does not take is lost, as packets are */
			if (write(tun, next->data, next->bytes) < 0)
				continue;
		}
	}
}

static pid_t relay_start(void)
{
	int tun = open_tun();
	pid_t pid;

	if (tun < 0) {
		print_message("needs /dev/net/tun\n");
		skip();
	}
	pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		relay(tun);
	close(tun);
	return pid;
}

static void relay_stop(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* --- the tests --- */

/* The service and its clients, who have shown how far away they are. Returns the relay. */
static pid_t start_far(void)
{
	pid_t pid;

	needs(hold);
	pid = relay_start();
	run_start(&run, "web", "-n", "2", "--policy", "least-conn", "--", run_demo(), "-n", "1",
		  "--listen", "0.0.0.0:8080", "--sleep-us", "40000", NULL);
	run_expect_up(&run, 2);
	stalls_forgive();
	lbctl_ok("set", "web", "rescue_ms=0", "hold_ms=20000", NULL);
	wait_until(is_holding(), RUN_MS);
	clients_run(&clients, (struct client_plan){ .connections = 80, .at_once = 8, .to = FAR });
	return pid;
}

static uint64_t held(void)
{
	struct counters now;

	counters_read("web", &now);
	return now.held + now.unanswered;
}

static void expect_held(const char *to, bool all)
{
	uint64_t before = held();

	clients_run(&clients, (struct client_plan){ .connections = 20, .to = to });
	assert_int_equal(held() - before, all ? 20 : 0);
}

/*
 * 1. clients far away: once that is known each waits for the end of its handshake, with idle
 *    workers, too
 * 2. those of one host again: one after another they find an idle worker, and none waits
 */
static void test_who_waits(void **state)
{
	pid_t pid = start_far();

	(void)state;
	assert_true(holding_now().rtt_ns >= ROUND_TRIP_NS * 9 / 10);
	expect_held(FAR, true);
	clients_run(&clients, (struct client_plan){ .connections = 100 });
	expect_held("127.0.0.1", false);
	relay_stop(pid);
	run_stop(&run);
}

static void ask(int fd, const char *path)
{
	char request[64];
	int len = snprintf(request, sizeof(request), "GET %s HTTP/1.0\r\n\r\n", path);

	client_wait(fd);
	assert_int_equal(send(fd, request, len, MSG_NOSIGNAL), len);
}

static void expect_answer(int fd)
{
	struct pollfd ready = { fd, POLLIN, 0 };
	char answer[256] = "";

	assert_int_equal(poll(&ready, 1, scaled_ms(10000)), 1);
	assert_true(read(fd, answer, sizeof(answer) - 1) > 0 && strstr(answer, " 200 "));
	close(fd);
}

/*
 * 1. both workers are idle when ten SYNs come from far away
 * 2. before their handshakes end one worker gets a long request
 * 3. the other one has them all, so nobody waits for that
 */
static void test_choice_at_the_ack(void **state)
{
	int far[CLIENTS], slow;
	uint64_t begun_ns;
	pid_t pid = start_far();

	(void)state;
	begun_ns = now_ns();
	for (int i = 0; i < CLIENTS; i++)
		far[i] = client_socket(FAR);
	usleep((ONE_WAY_NS + ONE_WAY_NS / 2) / 1000);
	slow = client_socket("127.0.0.1");
	ask(slow, "/busy?us=2000000");
	for (int i = 0; i < CLIENTS; i++)
		ask(far[i], "/");
	for (int i = 0; i < CLIENTS; i++)
		expect_answer(far[i]);
	assert_true(now_ns() - begun_ns < SLOW_NS / 2);
	close(slow);
	relay_stop(pid);
	run_stop(&run);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_who_waits),
		runs_test(test_choice_at_the_ack),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
