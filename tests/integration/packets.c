// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Look-ups that are not new connections: SYN cookies look up twice, netfilter looks up with
 * another header, and anybody may send a stray segment. None of them may move a counter of the
 * policy.
 */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/counters.h"
#include "harness/kernel.h"
#include "harness/servers.h"
#include "harness/world.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define WORKERS 4
/* No client's port: what meets a TIME-WAIT socket is looked up no further. */
#define FIRST_STRAY_PORT 10000

static const unsigned int hundreds[] = { 100, 100, 100, 100 };
static struct demo demos[WORKERS];
static struct clients clients;

static void start_service(void)
{
	demo_start_many(demos, WORKERS, ":8080");
	lbctl_ok("attach", "--policy", "rr", "--name", "web", ":8080", NULL);
}

/*
 * What was accepted counts, not only what was selected. A SYN whose port pair lingers in TIME-WAIT
 * goes on from there, with a half-open request as ever and no cookie. Where two CPUs take a
 * client's ACK and its request at once, both are the end of the handshake, for the kernel and in
 * the counters.
 */
static void expect_exact_with_cookies(const char *to)
{
	uint64_t cookies = kernel_counter("TcpExtSyncookiesRecv");
	struct counters before;

	counters_read("web", &before);
	clients_run(&clients, (struct client_plan){ .to = to, .connections = 400 });
	clients_expect(&clients, WORKERS, hundreds);
	cookies = kernel_counter("TcpExtSyncookiesRecv") - cookies;
	assert_true(cookies >= 300);
	counters_expect("web", &before, .cursor = 400, .selected = { 100, 100, 100, 100 },
			.ack_recent = cookies);
}

static void test_syn_cookies(void **state)
{
	(void)state;
	kernel_set("net/ipv4/tcp_syncookies", "2");
	for (int i = 0; i < WORKERS; i++)
		demo_start(&demos[i], i, "--dual", "--listen", "[::]:8080", NULL);
	lbctl_ok("attach", "--policy", "rr", "--name", "web", ":8080", NULL);
	expect_exact_with_cookies("127.0.0.1");
	expect_exact_with_cookies("::1");
}

static void test_syn_cookies_ipv4(void **state)
{
	(void)state;
	kernel_set("net/ipv4/tcp_syncookies", "2");
	start_service();
	expect_exact_with_cookies("127.0.0.1");
}

/*
 * 1. an nft rule looks every packet's socket up in prerouting, with the data at the IP header
 * 2. from 127.2.0.1, whose address has the SYN bit where flags would be: exact, and counted
 */
static void test_netfilter_socket_match(void **state)
{
	struct counters before, after;

	(void)state;
	start_service();
	command_ok("nft", "add", "table", "inet", "lb", NULL);
	command_ok("nft", "add chain inet lb pre { type filter hook prerouting priority -150; }",
		   NULL);
	command_ok("nft", "add rule inet lb pre socket wildcard 0 counter accept", NULL);
	counters_read("web", &before);
	clients_run(&clients, (struct client_plan){ .connections = 400, .from = "127.2.0.1" });
	command_ok("nft", "delete", "table", "inet", "lb", NULL);
	clients_expect(&clients, WORKERS, hundreds);
	counters_read("web", &after);
	/* a SYN whose port pair lingers in TIME-WAIT finds that, and no listener */
	assert_in_range(after.not_header - before.not_header, 300, 400);
	counters_expect("web", &before, .cursor = 400, .selected = { 100, 100, 100, 100 },
			.not_header = after.not_header - before.not_header);
}

static uint16_t checksum(const void *data, size_t bytes, uint32_t sum)
{
	const uint8_t *at = data;

	for (size_t i = 0; i + 1 < bytes; i += 2)
		sum += at[i] << 8 | at[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons(~sum);
}

/* A TCP header without a connection, from 127.0.0.1 to port 8080. */
static void send_stray(int fd, uint16_t from_port, uint8_t flags)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	/* the pseudo header: two addresses, the protocol, the length */
	const uint32_t pseudo = 2 * (0x7f00 + 0x0001) + IPPROTO_TCP + sizeof(struct tcphdr);
	struct tcphdr tcp = {
		.th_sport = htons(from_port),
		.th_dport = htons(8080),
		.th_seq = htonl(1000),
		.th_ack = htonl(2000),
		.th_off = 5,
		.th_flags = flags,
		.th_win = htons(1000),
	};

	tcp.th_sum = checksum(&tcp, sizeof(tcp), pseudo);
	assert_int_equal(sendto(fd, &tcp, sizeof(tcp), 0, (struct sockaddr *)&to, sizeof(to)),
			 sizeof(tcp));
}

static uint64_t strays_since(const struct counters *before)
{
	struct counters after;

	counters_read("web", &after);
	return after.ack_stray - before->ack_stray;
}

/*
 * 1. 100 each of ACK, RST, FIN+ACK, SYN+ACK, FIN, RST+ACK and of no flag at all
 * 2. all are counted as strays, and nothing else has moved
 */
static void test_stray_segments(void **state)
{
	static const uint8_t flags[] = {
		TH_ACK, TH_RST, TH_FIN | TH_ACK, TH_SYN | TH_ACK, TH_FIN, TH_RST | TH_ACK, 0
	};
	static const unsigned int one[] = { 1, 1, 1, 1 };
	int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_TCP);
	struct counters before;

	(void)state;
	assert_true(fd >= 0);
	start_service();
	counters_read("web", &before);
	for (int i = 0; i < 100; i++) {
		for (size_t f = 0; f < sizeof(flags); f++)
			send_stray(fd, FIRST_STRAY_PORT + 10 * i + f, flags[f]);
	}
	close(fd);
	wait_until(strays_since(&before) >= 100 * sizeof(flags), 5000);
	counters_expect("web", &before, .ack_stray = 100 * sizeof(flags));
	clients_run(&clients, (struct client_plan){ .connections = 4 });
	clients_expect(&clients, WORKERS, one);
	for (int i = 0; i < 4; i++)
		assert_int_equal(clients.worker[i], i);
}

/*
 * A client that leaves before it is answered disturbs nobody's turn. A segment of its that comes
 * after the worker's reset is looked up as the end of a handshake would be.
 */
static void test_clients_that_leave(void **state)
{
	static const unsigned int one[] = { 1, 1, 1, 1 };
	struct counters before, after;

	(void)state;
	start_service();
	counters_read("web", &before);
	for (int i = 0; i < 40; i++) {
		clients_begin(&clients, (struct client_plan){ .connections = 1 });
		clients_abandon(&clients);
	}
	clients_run(&clients, (struct client_plan){ .connections = 4 });
	clients_expect(&clients, WORKERS, one);
	counters_read("web", &after);
	assert_in_range(after.ack_recent - before.ack_recent, 0, 40);
	counters_expect("web", &before, .cursor = 44, .selected = { 11, 11, 11, 11 },
			.ack_recent = after.ack_recent - before.ack_recent);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		harness_test(test_syn_cookies),
		harness_test(test_syn_cookies_ipv4),
		harness_test(test_netfilter_socket_match),
		harness_test(test_stray_segments),
		harness_test(test_clients_that_leave),
	};

	(void)argc;
	return harness_run(argv[0], tests);
}
