// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * SYNs and datagrams from addresses that were made up, as many as LB_TEST_FLOOD (environment) says,
 * from a network namespace of their own: the maps take no more memory, and who has a service is
 * served. Prints requests/s before, during and after.
 */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/datagrams.h"
#include "harness/kernel.h"
#include "harness/load.h"
#include "harness/netns.h"
#include "harness/pins.h"
#include "harness/servers.h"
#include "harness/show.h"
#include "harness/world.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define FLOOD 3000 /* in `make test` */
#define HERE "10.9.0.1"
#define GATEWAY "10.9.0.2"  /* where what is made up seems to come from */
#define MADE_UP 0xc6120000u /* 198.18.0.0/15 */
#define BURST 64
#define BURST_US 1000
#define PHASE_S 1 /* of load before, during and after */

static struct demo demos[WORKERS];
static struct show show;

static unsigned int amount(void)
{
	return load_asked("LB_TEST_FLOOD", scaled_load(FLOOD));
}

/* --- who floods --- */

struct packet {
	struct iphdr ip;
	union {
		struct tcphdr tcp;
		struct udphdr udp;
	};
};

static uint16_t sum_of(const void *bytes, size_t len, uint32_t sum)
{
	const uint16_t *words = bytes;

	for (size_t i = 0; i < len / 2; i++)
		sum += words[i];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static size_t packet_make(struct packet *packet, int proto, uint32_t number)
{
	const size_t len = proto == IPPROTO_TCP ? sizeof(packet->tcp) : sizeof(packet->udp);
	uint32_t pseudo;

	*packet = (struct packet){
		.ip = { .version = 4,
			.ihl = 5,
			.ttl = 64,
			.protocol = proto,
			.tot_len = htons(sizeof(packet->ip) + len),
			.saddr = htonl(MADE_UP + (number * 2654435761u >> 15)),
			.daddr = inet_addr(HERE) },
	};
	if (proto == IPPROTO_UDP) {
		packet->udp.source = htons(1024 + rand() % 60000);
		packet->udp.dest = htons(PORT);
		packet->udp.len = htons(len);
		return sizeof(packet->ip) + len;
	}
	packet->tcp.source = htons(1024 + rand() % 60000);
	packet->tcp.dest = htons(PORT);
	packet->tcp.seq = rand();
	packet->tcp.doff = len / 4;
	packet->tcp.syn = 1;
	packet->tcp.window = htons(64240);
	pseudo = sum_of(&packet->ip.saddr, 8, htons(proto) + htons(len));
	packet->tcp.check = ~sum_of(&packet->tcp, len, pseudo);
	return sizeof(packet->ip) + len;
}

static pid_t flood_start(int proto)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr = { inet_addr(HERE) } };
	unsigned int n = amount();
	struct packet packet;
	pid_t pid = fork();
	int fd;

	assert_true(pid >= 0);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	netns_join("flood");
	fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
	srand(20261129);
	for (unsigned int i = 0; i < n; i++) {
		size_t len = packet_make(&packet, proto, i);

		if (sendto(fd, &packet, len, 0, (void *)&to, sizeof(to)) != (ssize_t)len)
			_exit(1);
		if (i % BURST == BURST - 1)
			usleep(BURST_US);
	}
	_exit(0);
}

static void flood_wait(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* Answers to what was made up go to the namespace that floods, which drops them. */
static void network_up(void)
{
	int back;

	netns_add("flood");
	command_ok("ip", "link", "add", "flood0", "type", "veth", "peer", "name", "flood1", "netns",
		   "flood", NULL);
	command_ok("ip", "address", "add", HERE "/24", "dev", "flood0", NULL);
	command_ok("ip", "link", "set", "flood0", "up", NULL);
	command_ok("ip", "route", "add", "198.18.0.0/15", "via", GATEWAY, NULL);
	back = netns_join("flood");
	command_ok("ip", "address", "add", GATEWAY "/24", "dev", "flood1", NULL);
	command_ok("ip", "link", "set", "flood1", "up", NULL);
	netns_leave(back);
	kernel_set("net/core/somaxconn", "65535");
	kernel_set("net/ipv4/tcp_max_syn_backlog", "65535");
}

static void network_down(void)
{
	command_ok("ip", "link", "delete", "flood0", NULL);
	netns_delete("flood");
}

/* --- the service --- */

/* Of all maps that are pinned, as the kernel counts it. */
static unsigned long map_bytes(void)
{
	char *pins = pins_list(), *rest = pins, *path;
	unsigned long sum = 0;

	while ((path = strsep(&rest, "\n"))) {
		int fd = *path ? bpf_obj_get(path) : -1;
		char about[64], *text, *at;

		if (fd < 0)
			continue;
		snprintf(about, sizeof(about), "/proc/self/fdinfo/%d", fd);
		text = file_read(about);
		at = strstr(text, "memlock:");
		if (strstr(text, "map_type:") && at)
			sum += strtoul(at + 8, NULL, 10);
		free(text);
		close(fd);
	}
	free(pins);
	return sum;
}

static void served(const char *policy, const char *when, unsigned int half_open)
{
	struct wrk wrk;
	struct job load;

	wrk_start(&load, "http://127.0.0.1:8080/", "8", PHASE_S);
	wrk_wait(&load, &wrk);
	wrk_expect_no_failure(&wrk);
	print_message("%s, %s: %lu requests/s, the slowest took %lu ms, none failed; %u half-open, "
		      "maps of %lu bytes\n",
		      policy, when, wrk.requests / PHASE_S, wrk.longest_us / 1000, half_open,
		      map_bytes());
}

static unsigned int half_open(void)
{
	unsigned int sum = 0;

	show_read("web", &show);
	for (int i = 0; i < WORKERS; i++)
		sum += show.worker[i].half_open;
	return sum;
}

/* What nobody will finish stays half-open for as long as the kernel sends SYN-ACKs again. */
static void flood_under(const char *policy)
{
	unsigned long bytes = map_bytes();
	pid_t pid;

	lbctl_ok("set-policy", "web", policy, NULL);
	served(policy, "before", half_open());
	pid = flood_start(IPPROTO_TCP);
	wait_until(half_open() > amount() / 8, 30000);
	served(policy, "during", half_open());
	flood_wait(pid);
	served(policy, "after", half_open());
	assert_int_equal(map_bytes(), bytes);
}

static void test_syns(void **state)
{
	static const char *const policies[] = { "hash", "rr", "least-conn" };

	(void)state;
	network_up();
	for (size_t i = 0; i < ARRAY_SIZE(policies); i++) {
		for (int worker = 0; worker < WORKERS; worker++)
			demo_start(&demos[worker], worker, "--listen", ":8080", "--backlog",
				   "32768", NULL);
		lbctl_ok("attach", "--name", "web", ":8080", NULL);
		flood_under(policies[i]);
		lbctl_ok("detach", "web", NULL);
		for (int worker = 0; worker < WORKERS; worker++)
			demo_kill(&demos[worker], SIGKILL);
	}
	network_down();
}

/* Each datagram is a flow of its own; asked for much, they are more than the map has room for. */
static void test_flows(void **state)
{
	unsigned int asked = 0, answered = 0;
	unsigned long bytes;
	pid_t pid;

	(void)state;
	network_up();
	udp_start(ONLY4, "rr");
	lbctl_ok("set", "dns", "flow_ms=30000", NULL);
	bytes = map_bytes();
	pid = flood_start(IPPROTO_UDP);
	do {
		asked++;
		answered += udp_ask(false) >= 0;
	} while (!waitpid(pid, NULL, WNOHANG));
	print_message("flows: %u datagrams, %u answered; maps of %lu bytes\n", asked, answered,
		      map_bytes());
	assert_int_equal(answered, asked);
	assert_int_equal(map_bytes(), bytes);
	network_down();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		harness_test(test_syns),
		harness_test(test_flows),
	};

	(void)argc;
	return harness_run(argv[0], tests);
}
