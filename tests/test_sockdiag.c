/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sockets of this process, found again in the kernel's list; and the reading of odd messages. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "check.h"
#include "host/sockdiag.h"

#define BACKLOG 7
#define DEADLINE_MS 5000

static uint64_t inode_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return st.st_ino;
}

static uint64_t cookie_of(int fd)
{
	uint64_t cookie;
	socklen_t len = sizeof(cookie);

	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len), 0);
	return cookie;
}

static uint16_t port_of(int fd)
{
	struct sockaddr_in6 addr; /* sin_port and sin6_port are in the same place */
	socklen_t len = sizeof(addr);

	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	return ntohs(addr.sin6_port);
}

/* A socket on 127.0.0.1 and a free port; TCP and MPTCP sockets listen. -1: no such protocol. */
static int serve(int type, int proto)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001) };
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, proto);

	if (fd < 0)
		return -1;
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, BACKLOG), 0);
	return fd;
}

/* As serve(), but on [::], with or without IPv4. -1: this host has no IPv6. */
static int serve_ipv6(int v6only)
{
	struct sockaddr_in6 addr = { .sin6_family = AF_INET6 };
	_cleanup_close_ int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof(v6only)), 0);
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)))
		return -1;
	assert_int_equal(listen(fd, BACKLOG), 0);
	return fd_steal(&fd);
}

static int connect_to(int type, uint16_t port)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(0x7f000001),
		.sin_port = htons(port),
	};
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		assert_int_equal(errno, ENETUNREACH);
		skip(); /* a network namespace whose loopback is down */
	}
	return fd;
}

static struct sockdiag_socket only_listener(uint8_t proto, uint16_t port)
{
	struct sockdiag_socket found;
	struct sockdiag_list list;

	assert_int_equal(sockdiag_listeners(proto, port, &list), 0);
	assert_int_equal(list.count, 1);
	found = list.items[0];
	sockdiag_free(&list);
	return found;
}

static struct sockdiag_socket only_connection(uint16_t port)
{
	struct sockdiag_socket found;
	struct sockdiag_list list;

	assert_int_equal(sockdiag_connections(port, &list), 0);
	assert_int_equal(list.count, 1);
	found = list.items[0];
	sockdiag_free(&list);
	return found;
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000ULL + now.tv_nsec / 1000000;
}

static void listener_is_found_by_port(void **state)
{
	_cleanup_close_ int fd = serve(SOCK_STREAM, 0);
	static const uint8_t loopback[16] = { 127, 0, 0, 1 };
	static const uint8_t nobody[16];
	struct sockdiag_socket found;

	(void)state;
	found = only_listener(IPPROTO_TCP, port_of(fd));
	assert_int_equal(found.family, AF_INET);
	assert_int_equal(found.proto, IPPROTO_TCP);
	assert_int_equal(found.state, TCP_LISTEN);
	assert_int_equal(found.v6only, 0);
	assert_int_equal(found.mptcp, 0);
	assert_int_equal(found.port, port_of(fd));
	assert_int_equal(found.peer_port, 0);
	assert_memory_equal(found.addr, loopback, sizeof(loopback));
	assert_memory_equal(found.peer, nobody, sizeof(nobody));
	assert_int_equal(found.uid, geteuid());
	assert_int_equal(found.ifindex, 0);
	assert_int_equal(found.queued, 0);
	assert_int_equal(found.queue_max, BACKLOG);
	assert_int_equal(found.inode, inode_of(fd));
	assert_int_equal(found.cookie, cookie_of(fd));
}

static void waiting_connection_is_in_the_queue(void **state)
{
	_cleanup_close_ int fd = serve(SOCK_STREAM, 0);
	_cleanup_close_ int client = connect_to(SOCK_STREAM, port_of(fd));
	uint64_t deadline = now_ms() + DEADLINE_MS;

	(void)state;
	while (only_listener(IPPROTO_TCP, port_of(fd)).queued != 1) {
		if (now_ms() > deadline)
			fail_msg("no connection in the accept queue after %d ms", DEADLINE_MS);
	}
	assert_int_equal(only_connection(port_of(fd)).inode, 0);
	assert_int_equal(only_connection(port_of(client)).inode, inode_of(client));
}

static void connection_is_found_by_local_port(void **state)
{
	_cleanup_close_ int fd = serve(SOCK_STREAM, 0);
	_cleanup_close_ int other = serve(SOCK_STREAM, 0);
	_cleanup_close_ int client = connect_to(SOCK_STREAM, port_of(fd));
	_cleanup_close_ int stranger = connect_to(SOCK_STREAM, port_of(other));
	_cleanup_close_ int accepted = accept(fd, NULL, NULL);
	struct sockdiag_socket found;

	(void)state;
	assert_true(accepted >= 0 && stranger >= 0);
	found = only_connection(port_of(fd));
	assert_int_equal(found.state, TCP_ESTABLISHED);
	assert_int_equal(found.port, port_of(fd));
	assert_int_equal(found.peer_port, port_of(client));
	assert_int_equal(found.inode, inode_of(accepted));
	assert_int_equal(found.cookie, cookie_of(accepted));
}

static void half_closed_connection_still_counts(void **state)
{
	_cleanup_close_ int fd = serve(SOCK_STREAM, 0);
	_cleanup_close_ int client = connect_to(SOCK_STREAM, port_of(fd));
	_cleanup_close_ int accepted = accept(fd, NULL, NULL);
	uint64_t deadline = now_ms() + DEADLINE_MS;

	(void)state;
	assert_true(accepted >= 0);
	assert_int_equal(shutdown(client, SHUT_WR), 0);
	while (only_connection(port_of(fd)).state != TCP_CLOSE_WAIT) {
		if (now_ms() > deadline)
			fail_msg("not in CLOSE_WAIT after %d ms", DEADLINE_MS);
	}
}

static void port_0_is_every_port_in_cookie_order(void **state)
{
	_cleanup_close_ int one = serve(SOCK_STREAM, 0);
	_cleanup_close_ int two = serve(SOCK_STREAM, 0);
	struct sockdiag_list list;
	int seen = 0;

	(void)state;
	assert_int_equal(sockdiag_listeners(IPPROTO_TCP, 0, &list), 0);
	for (size_t i = 0; i < list.count; i++) {
		seen += list.items[i].inode == inode_of(one) ||
			list.items[i].inode == inode_of(two);
		if (i)
			assert_true(list.items[i - 1].cookie < list.items[i].cookie);
	}
	assert_int_equal(seen, 2);
	sockdiag_free(&list);
	assert_null(list.items);
	assert_int_equal(list.count, 0);
}

/* More sockets than fit into one message buffer: the list comes in several rounds. */
static void long_list_is_complete(void **state)
{
	int fds[600];
	size_t count = ARRAY_SIZE(fds), seen = 0;
	struct sockdiag_list list;

	(void)state;
	for (size_t i = 0; i < count; i++)
		fds[i] = serve(SOCK_STREAM, 0);
	assert_int_equal(sockdiag_listeners(IPPROTO_TCP, 0, &list), 0);
	for (size_t i = 0; i < count; i++) {
		uint64_t inode = inode_of(fds[i]);

		for (size_t j = 0; j < list.count; j++)
			seen += list.items[j].inode == inode;
		close(fds[i]);
	}
	sockdiag_free(&list);
	assert_int_equal(seen, count);
}

static void v6only_is_told(void **state)
{
	(void)state;
	for (int v6only = 0; v6only <= 1; v6only++) {
		_cleanup_close_ int fd = serve_ipv6(v6only);
		struct sockdiag_socket found;

		if (fd < 0)
			skip();
		found = only_listener(IPPROTO_TCP, port_of(fd));
		assert_int_equal(found.family, AF_INET6);
		assert_int_equal(found.v6only, v6only);
		assert_int_equal(found.inode, inode_of(fd));
	}
}

static void ipv4_client_of_a_dual_stack_listener_is_mapped(void **state)
{
	static const uint8_t mapped[16] = { [10] = 0xff, 0xff, 127, 0, 0, 1 };
	_cleanup_close_ int fd = serve_ipv6(0);
	_cleanup_close_ int client = -1;
	struct sockdiag_socket found;

	(void)state;
	if (fd < 0)
		skip();
	client = connect_to(SOCK_STREAM, port_of(fd));
	found = only_connection(port_of(fd));
	assert_int_equal(found.family, AF_INET6);
	assert_memory_equal(found.peer, mapped, sizeof(mapped));
}

static void udp_sockets_are_listed_connected_or_not(void **state)
{
	_cleanup_close_ int fd = serve(SOCK_DGRAM, 0);
	_cleanup_close_ int client = connect_to(SOCK_DGRAM, port_of(fd));
	struct sockdiag_socket found;
	socklen_t len = sizeof(int);
	int room;

	(void)state;
	found = only_listener(IPPROTO_UDP, port_of(fd));
	assert_int_equal(found.proto, IPPROTO_UDP);
	assert_return_code(getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, &len), errno);
	assert_int_equal(found.queue_max, room);
	assert_int_equal(found.state, TCP_CLOSE);
	assert_int_equal(found.inode, inode_of(fd));
	found = only_listener(IPPROTO_UDP, port_of(client));
	assert_int_equal(found.state, TCP_ESTABLISHED);
	assert_int_equal(found.peer_port, port_of(fd));
}

static void mptcp_listener_has_the_inode_of_its_descriptor(void **state)
{
	_cleanup_close_ int fd = serve(SOCK_STREAM, IPPROTO_MPTCP);
	struct sockdiag_socket found;

	(void)state;
	if (fd < 0)
		skip();
	found = only_listener(IPPROTO_TCP, port_of(fd));
	assert_int_equal(found.inode, inode_of(fd));
	assert_int_equal(found.queue_max, BACKLOG);
	assert_int_not_equal(found.cookie, cookie_of(fd));
	if (geteuid() == 0)
		assert_int_equal(found.mptcp, 1);
}

static void other_protocols_are_refused(void **state)
{
	struct sockdiag_list list = { .count = 1 };

	(void)state;
	assert_int_equal(sockdiag_listeners(IPPROTO_SCTP, 0, &list), -EINVAL);
	assert_int_equal(list.count, 0);
}

static void no_descriptor_is_left_open(void **state)
{
	int before = dup(0), after;
	struct sockdiag_list list;

	(void)state;
	close(before);
	assert_int_equal(sockdiag_listeners(IPPROTO_TCP, 0, &list), 0);
	sockdiag_free(&list);
	assert_int_equal(sockdiag_connections(0, &list), 0);
	sockdiag_free(&list);
	after = dup(0);
	close(after);
	assert_int_equal(after, before);
}

#define ATTR(type, bytes) 4 + (bytes), 0, (type), 0
#define ULP_INFO INET_DIAG_ULP_INFO
#define CGROUP INET_DIAG_CGROUP_ID

static const struct {
	const char *name;
	uint8_t attrs[32];
	size_t len;
	uint8_t v6only, mptcp;
	uint64_t cgroup_id;
} attribute_rows[] = {
	{ "none", {}, 0, 0, 0, 0 },
	{ "v6only", { ATTR(INET_DIAG_SKV6ONLY, 1), 1 }, 8, 1, 0, 0 },
	{ "v6only without data", { ATTR(INET_DIAG_SKV6ONLY, 0) }, 4, 0, 0, 0 },
	{ "unpadded at the end", { ATTR(INET_DIAG_SKV6ONLY, 1), 1 }, 5, 1, 0, 0 },
	{ "cgroup", { ATTR(CGROUP, 8), 1, 2 }, 12, 0, 0, 0x201 },
	{ "cgroup of four bytes", { ATTR(CGROUP, 4), 1 }, 8, 0, 0, 0 },
	{ "cgroup cut short", { ATTR(CGROUP, 8), 1 }, 8, 0, 0, 0 },
	{ "second attribute",
	  { ATTR(INET_DIAG_TOS, 1), 9, 0, 0, 0, ATTR(INET_DIAG_SKV6ONLY, 1), 1 },
	  16,
	  1,
	  0,
	  0 },
	{ "length 0", { 0, 0, INET_DIAG_SKV6ONLY, 0, 1 }, 8, 0, 0, 0 },
	{ "half a header", { 8, 0 }, 2, 0, 0, 0 },
	{ "mptcp", { ATTR(ULP_INFO, 12), ATTR(1, 6), 'm', 'p', 't', 'c', 'p' }, 16, 0, 1, 0 },
	{ "mptcp, nested flag",
	  { 16, 0, ULP_INFO, 0x80, ATTR(1, 6), 'm', 'p', 't', 'c', 'p' },
	  16,
	  0,
	  1,
	  0 },
	{ "tls", { ATTR(ULP_INFO, 8), ATTR(1, 4), 't', 'l', 's' }, 12, 0, 0, 0 },
	{ "mptcp without NUL",
	  { ATTR(ULP_INFO, 12), ATTR(1, 5), 'm', 'p', 't', 'c', 'p' },
	  16,
	  0,
	  0,
	  0 },
	{ "name longer than its nest",
	  { ATTR(ULP_INFO, 4), ATTR(1, 6), 'm', 'p', 't', 'c', 'p' },
	  16,
	  0,
	  0,
	  0 },
};

static void attributes_are_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(attribute_rows); i++) {
		struct inet_diag_msg msg = { .idiag_family = AF_INET6 };
		uint32_t payload[(sizeof(msg) + sizeof(attribute_rows[i].attrs)) / 4];
		struct sockdiag_socket got;
		int err;

		memcpy(payload, &msg, sizeof(msg));
		memcpy((char *)payload + sizeof(msg), attribute_rows[i].attrs,
		       sizeof(attribute_rows[i].attrs));
		err = sockdiag_parse(payload, sizeof(msg) + attribute_rows[i].len, &got);
		if (!err && got.v6only == attribute_rows[i].v6only &&
		    got.mptcp == attribute_rows[i].mptcp &&
		    got.cgroup_id == attribute_rows[i].cgroup_id)
			continue;
		fail_msg("%s: got %d, v6only %d, mptcp %d, cgroup %llu; want 0, %d, %d, %llu",
			 attribute_rows[i].name, err, got.v6only, got.mptcp,
			 (unsigned long long)got.cgroup_id, attribute_rows[i].v6only,
			 attribute_rows[i].mptcp, (unsigned long long)attribute_rows[i].cgroup_id);
	}
}

#define STORAGES INET_DIAG_SK_BPF_STORAGES
#define STORAGE SK_DIAG_BPF_STORAGE
#define MAP_ID ATTR(SK_DIAG_BPF_STORAGE_MAP_ID, 4), 7, 0, 0, 0
#define MARK_OF(bytes) ATTR(SK_DIAG_BPF_STORAGE_MAP_VALUE, bytes), 5, 0, 0, 0, 2, 0, 0, 0, 1

static const struct {
	const char *name;
	uint8_t attrs[52];
	size_t len;
	bool marked;
} mark_rows[] = {
	{ "no map has it", { ATTR(STORAGES, 0) }, 4, false },
	{ "marked", { ATTR(STORAGES, 40), ATTR(STORAGE, 36), MAP_ID, MARK_OF(24) }, 44, true },
	{ "nested flags",
	  { 44, 0, STORAGES, 0x80, 40, 0, STORAGE, 0x80, MAP_ID, MARK_OF(24) },
	  44,
	  true },
	{ "longer than ours",
	  { ATTR(STORAGES, 48), ATTR(STORAGE, 44), MAP_ID, MARK_OF(32) },
	  52,
	  true },
	{ "too short", { ATTR(STORAGES, 32), ATTR(STORAGE, 28), MAP_ID, MARK_OF(16) }, 36, false },
	{ "cut short", { ATTR(STORAGES, 40), ATTR(STORAGE, 36), MAP_ID, MARK_OF(24) }, 40, false },
	{ "longer than its nest",
	  { ATTR(STORAGES, 32), ATTR(STORAGE, 28), MAP_ID, MARK_OF(24) },
	  44,
	  false },
};

static void marks_are_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(mark_rows); i++) {
		struct inet_diag_msg msg = { .idiag_family = AF_INET };
		uint32_t payload[(sizeof(msg) + sizeof(mark_rows[i].attrs)) / 4];
		struct sockdiag_socket got;
		int err;

		memcpy(payload, &msg, sizeof(msg));
		memcpy((char *)payload + sizeof(msg), mark_rows[i].attrs,
		       sizeof(mark_rows[i].attrs));
		err = sockdiag_parse(payload, sizeof(msg) + mark_rows[i].len, &got);
		if (err || got.marked != mark_rows[i].marked)
			fail_msg("%s: got %d, marked %d", mark_rows[i].name, err, got.marked);
		if (got.marked &&
		    (got.mark.slot != 5 || got.mark.generation != 2 || got.mark.counted != 1))
			fail_msg("%s: slot %u, generation %u, counted %u", mark_rows[i].name,
				 got.mark.slot, got.mark.generation, got.mark.counted);
	}
}

static void broken_messages_are_refused(void **state)
{
	struct inet_diag_msg msg = { .idiag_family = AF_INET };
	struct sockdiag_socket got;

	(void)state;
	assert_int_equal(sockdiag_parse(&msg, sizeof(msg), &got), 0);
	assert_int_equal(sockdiag_parse(&msg, sizeof(msg) - 1, &got), -EBADMSG);
	assert_int_equal(sockdiag_parse(&msg, 0, &got), -EBADMSG);
	msg.idiag_family = AF_UNIX;
	assert_int_equal(sockdiag_parse(&msg, sizeof(msg), &got), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(listener_is_found_by_port),
		cmocka_unit_test(waiting_connection_is_in_the_queue),
		cmocka_unit_test(connection_is_found_by_local_port),
		cmocka_unit_test(half_closed_connection_still_counts),
		cmocka_unit_test(port_0_is_every_port_in_cookie_order),
		cmocka_unit_test(long_list_is_complete),
		cmocka_unit_test(v6only_is_told),
		cmocka_unit_test(ipv4_client_of_a_dual_stack_listener_is_mapped),
		cmocka_unit_test(udp_sockets_are_listed_connected_or_not),
		cmocka_unit_test(mptcp_listener_has_the_inode_of_its_descriptor),
		cmocka_unit_test(other_protocols_are_refused),
		cmocka_unit_test(no_descriptor_is_left_open),
		cmocka_unit_test(attributes_are_read),
		cmocka_unit_test(marks_are_read),
		cmocka_unit_test(broken_messages_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
