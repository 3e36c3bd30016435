// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The kernel's own books of connections, and least-conn, which picks by them. `live` of every
 * worker must be what sock_diag says whenever nothing moves, after whatever happened.
 *
 * Servers are made here: a worker does with a connection what its first byte says. All runs in a
 * cgroup of its own, so that the tracking program sees nobody else's connections.
 */
#include "harness.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cgroup.h"
#include "group.h"

#define WORKERS 4
#define PORT 8080
#define MANY 2048
#define QUIET_MS 5000

static struct lb_stats *stats; /* of service web */
static struct show show;
static char cgroup_root[PATH_MAX], own_cgroup[NAME_MAX];

/* --- cgroups --- */

static void cgroup_join(const char *name)
{
	char path[2 * PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s/cgroup.procs", cgroup_root, name);
	file_write(path, "0");
}

/* A child of the test's own cgroup, as a path from the root. */
static const char *child_cgroup(const char *name)
{
	static char path[2 * NAME_MAX];

	snprintf(path, sizeof(path), "%s/%s", own_cgroup, name);
	return path;
}

static void child_make(const char *name)
{
	int parent = cgroup_make(cgroup_root, own_cgroup), child;
	char path[2 * PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", cgroup_root, own_cgroup);
	child = cgroup_make(path, name);
	assert_true(parent >= 0 && child >= 0);
	close(parent);
	close(child);
}

static bool child_remove(const char *name)
{
	return !cgroup_remove(cgroup_root, child_cgroup(name));
}

static uint64_t id_of_cgroup(const char *path)
{
	int fd = cgroup_make(cgroup_root, path);
	uint64_t id = cgroup_id(fd);

	close(fd);
	return id;
}

/* The cgroup that the tracking program of the service is attached to. */
static uint64_t tracked_cgroup(void)
{
	int fd = map_open("web", "lb_track_link");
	struct bpf_link_info info = { 0 };
	uint32_t len = sizeof(info);

	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &len), 0);
	close(fd);
	return info.cgroup.cgroup_id;
}

/* --- servers --- */

enum order {
	HOLD = 'h',
	CLOSE = 'c',
	RESET = 'r',
	HALF_CLOSE = 's',
};

static void unmap_stats(void)
{
	if (stats)
		munmap(stats, LB_MIN_SLOTS * sizeof(*stats));
	stats = NULL;
}

static int listen_on(int family)
{
	const struct sockaddr_in any4 = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	const struct sockaddr_in6 any6 = { .sin6_family = AF_INET6, .sin6_port = htons(PORT) };
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1, room = 64;

	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	setsockopt(fd, SOL_TCP, TCP_FASTOPEN, &room, sizeof(room));
	if (family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (bind(fd, family == AF_INET ? (void *)&any4 : (void *)&any6,
		 family == AF_INET ? sizeof(any4) : sizeof(any6)) ||
	    listen(fd, 1024))
		_exit(1);
	return fd;
}

static void obey(int fd)
{
	const struct linger at_once = { 1, 0 };
	char order;
	ssize_t n;

	do {
		n = recv(fd, &order, 1, MSG_DONTWAIT);
	} while (n == 1 && order == HOLD);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n == 1 && order == HALF_CLOSE) {
		shutdown(fd, SHUT_WR);
		return;
	}
	if (n == 1 && order == RESET)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	/* an end of the client's side alone is no reason to close: that makes CLOSE_WAIT */
	if (n == 1 || (n < 0 && errno != EAGAIN))
		close(fd);
}

static void watch(int epoll, int fd, uint64_t data)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.u64 = data };

	epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

static void accept_all(int epoll, int listener)
{
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0)
		watch(epoll, fd, fd);
}

static volatile sig_atomic_t no_listeners, short_queue;

static void note_signal(int number)
{
	if (number == SIGUSR1)
		no_listeners = 1;
	else
		short_queue = 1;
}

/*
 * SIGUSR1: close the listeners, keep the connections, as a graceful stop does. SIGUSR2: room for
 * two connections in the queue.
 */
static void serve(int both_families)
{
	int listeners[2] = { listen_on(AF_INET), both_families ? listen_on(AF_INET6) : -1 };
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event;

	sigaction(SIGUSR1, &(const struct sigaction){ .sa_handler = note_signal }, NULL);
	sigaction(SIGUSR2, &(const struct sigaction){ .sa_handler = note_signal }, NULL);
	for (int i = 0; i < 2 && listeners[i] >= 0; i++)
		watch(epoll, listeners[i], listeners[i]);
	for (;;) {
		if (no_listeners) {
			close(listeners[0]);
			close(listeners[1]);
			listeners[0] = listeners[1] = -1;
		}
		if (short_queue)
			listen(listeners[0], 1);
		if (epoll_wait(epoll, &event, 1, -1) != 1)
			continue;
		if (event.data.fd == listeners[0] || event.data.fd == listeners[1])
			accept_all(epoll, event.data.fd);
		else
			obey(event.data.fd);
	}
}

static size_t listeners(void)
{
	struct sockdiag_list list;
	size_t n;

	assert_int_equal(sockdiag_listeners(LB_PROTO_TCP, PORT, &list), 0);
	n = list.count;
	sockdiag_free(&list);
	return n;
}

static uint32_t shortest_queue(void)
{
	struct sockdiag_list list;
	uint32_t shortest = UINT32_MAX;

	assert_int_equal(sockdiag_listeners(LB_PROTO_TCP, PORT, &list), 0);
	for (size_t i = 0; i < list.count; i++) {
		if (list.items[i].queue_max < shortest)
			shortest = list.items[i].queue_max;
	}
	sockdiag_free(&list);
	return shortest;
}

static pid_t worker_start_as(const char *cgroup, bool both_families)
{
	size_t want = listeners() + 1 + both_families;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		unmap_stats();
		if (cgroup)
			cgroup_join(cgroup);
		serve(both_families);
	}
	wait_until(listeners() == want, 5000);
	return pid;
}

static pid_t worker_start(void)
{
	return worker_start_as(NULL, false);
}

static void worker_kill(pid_t pid)
{
	kill(pid, SIGKILL);
	wait_until(waitpid(pid, NULL, WNOHANG) == pid, 5000);
}

static void workers_start(pid_t pids[WORKERS])
{
	for (int i = 0; i < WORKERS; i++)
		pids[i] = worker_start();
}

static void attach(const char *policy)
{
	lbctl_ok("attach", "--name", "web", "--policy", policy, ":8080", NULL);
	unmap_stats();
	stats = map_mmap("web", "lb_stats", LB_MIN_SLOTS * sizeof(*stats));
}

/* --- clients --- */

static int open_fds[MANY];
static size_t nr_open;

static int client_socket(const char *to)
{
	struct sockaddr_in to4 = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	struct sockaddr_in6 to6 = { .sin6_family = AF_INET6, .sin6_port = htons(PORT) };
	bool v6 = !inet_pton(AF_INET, to, &to4.sin_addr);
	int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (v6)
		assert_int_equal(inet_pton(AF_INET6, to, &to6.sin6_addr), 1);
	if (connect(fd, v6 ? (void *)&to6 : (void *)&to4, v6 ? sizeof(to6) : sizeof(to4)) &&
	    errno != EINPROGRESS)
		fail_msg("connect: %s", strerror(errno));
	return fd;
}

static void client_wait(int fd)
{
	struct pollfd ready = { fd, POLLOUT, 0 };

	assert_int_equal(poll(&ready, 1, 5000), 1);
	assert_false(ready.revents & (POLLERR | POLLHUP));
}

static void open_one(const char *to)
{
	assert_true(nr_open < MANY);
	open_fds[nr_open] = client_socket(to);
	client_wait(open_fds[nr_open++]);
}

static void open_many(size_t n)
{
	for (size_t i = 0; i < n; i++)
		open_one("127.0.0.1");
}

static void forget(size_t i)
{
	close(open_fds[i]);
	open_fds[i] = open_fds[--nr_open];
}

static void close_all(void)
{
	while (nr_open)
		forget(nr_open - 1);
}

static void reset_one(size_t i)
{
	const struct linger at_once = { 1, 0 };

	setsockopt(open_fds[i], SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	forget(i);
}

static void tell(int fd, enum order order)
{
	char byte = order;

	/* it may have been closed by the other side */
	send(fd, &byte, 1, MSG_NOSIGNAL);
}

/* --- books --- */

static int64_t live_sum(void)
{
	int64_t sum = 0;

	for (int i = 0; i < LB_MIN_SLOTS; i++) {
		if (stats[i].live < 0)
			fail_msg("live of slot %d is %lld", i, (long long)stats[i].live);
		sum += stats[i].live;
	}
	return sum;
}

static uint64_t opened_sum(void)
{
	uint64_t sum = 0;

	for (int i = 0; i < LB_MIN_SLOTS; i++)
		sum += stats[i].opened;
	return sum;
}

/* What sock_diag and /proc say of the connections that each slot's process has accepted. */
static void ask_sock_diag(int64_t said[LB_MIN_SLOTS])
{
	struct lb_worker *rows = map_mmap("web", "lb_workers", LB_MIN_SLOTS * sizeof(*rows));
	struct groups groups;

	memset(said, 0, LB_MIN_SLOTS * sizeof(*said));
	assert_int_equal(groups_find(-1, PORT, 0, GROUP_LIVE, &groups), 0);
	for (size_t g = 0; g < groups.count; g++) {
		for (size_t i = 0; i < groups.items[g].nr_members; i++) {
			const struct member *member = &groups.items[g].members[i];

			for (int slot = 0; slot < LB_MIN_SLOTS; slot++) {
				if (rows[slot].pid && rows[slot].pid == (uint32_t)member->pid)
					said[slot] += member->live;
			}
		}
	}
	groups_free(&groups);
	munmap(rows, LB_MIN_SLOTS * sizeof(*rows));
}

static bool books_are_right(void)
{
	int64_t said[LB_MIN_SLOTS];

	ask_sock_diag(said);
	for (int slot = 0; slot < LB_MIN_SLOTS; slot++) {
		if (stats[slot].live != said[slot])
			return false;
	}
	return true;
}

static bool slot_is_right(int slot)
{
	int64_t said[LB_MIN_SLOTS];

	ask_sock_diag(said);
	return stats[slot].live == said[slot];
}

static int slot_of_process(pid_t pid)
{
	struct lb_worker *rows = map_mmap("web", "lb_workers", LB_MIN_SLOTS * sizeof(*rows));
	int slot = 0;

	while (slot < LB_MIN_SLOTS && rows[slot].pid != (uint32_t)pid)
		slot++;
	munmap(rows, LB_MIN_SLOTS * sizeof(*rows));
	assert_true(slot < LB_MIN_SLOTS);
	return slot;
}

/* Programs of ours that are attached to sockets' callbacks in this cgroup. */
static unsigned int links_on(uint64_t cgroup)
{
	struct bpf_link_info info;
	unsigned int n = 0;
	uint32_t id = 0, len;

	while (!bpf_link_get_next_id(id, &id)) {
		int fd = bpf_link_get_fd_by_id(id);

		info = (struct bpf_link_info){ 0 };
		len = sizeof(info);
		if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &len))
			n += info.type == BPF_LINK_TYPE_CGROUP &&
			     info.cgroup.attach_type == BPF_CGROUP_SOCK_OPS &&
			     info.cgroup.cgroup_id == cgroup;
		if (fd >= 0)
			close(fd);
	}
	return n;
}

static void expect_live(int64_t a, int64_t b, int64_t c, int64_t d)
{
	const int64_t want[] = { a, b, c, d };

	for (int i = 0; i < WORKERS; i++) {
		if (stats[i].live != want[i])
			fail_msg("live: got %lld/%lld/%lld/%lld, want %lld/%lld/%lld/%lld",
				 (long long)stats[0].live, (long long)stats[1].live,
				 (long long)stats[2].live, (long long)stats[3].live, (long long)a,
				 (long long)b, (long long)c, (long long)d);
	}
}

/* --- tests --- */

static uint32_t next_random(void)
{
	static uint64_t seed = 42;

	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return seed >> 33;
}

static void storm_step(void)
{
	uint32_t what = next_random() % 16;
	size_t which;

	if (!nr_open || (what < 8 && nr_open < 400)) {
		open_one(next_random() % 2 ? "127.0.0.1" : "::1");
		return;
	}
	which = next_random() % nr_open;
	switch (what) {
	case 8:
		shutdown(open_fds[which], SHUT_WR);
		break;
	case 9:
		tell(open_fds[which], HALF_CLOSE);
		break;
	case 10:
		tell(open_fds[which], CLOSE);
		forget(which);
		break;
	case 11:
		tell(open_fds[which], RESET);
		break;
	case 12:
		tell(open_fds[which], CLOSE);
		break;
	case 13:
		reset_one(which);
		break;
	default:
		tell(open_fds[which], HOLD);
		forget(which);
	}
}

/*
 * 1. 6,000 opens, closes, resets and half-closes from either side, IPv4 and IPv6, in any order
 * 2. at each of 20 quiet moments every worker's count is right; it is never below 0
 * 3. every client gone: connections left half-closed by them stay until the servers end
 */
static void test_storm(void **state)
{
	pid_t pids[WORKERS];

	(void)state;
	for (int i = 0; i < WORKERS; i++)
		pids[i] = worker_start_as(NULL, true);
	attach("least-conn");
	for (int i = 1; i <= 6000; i++) {
		storm_step();
		live_sum();
		if (i % 300 == 0)
			wait_until(books_are_right(), QUIET_MS);
	}
	assert_true(opened_sum() > 2000);
	close_all();
	wait_until(books_are_right(), QUIET_MS);
	for (int i = 0; i < WORKERS; i++)
		worker_kill(pids[i]);
	wait_until(live_sum() == 0, QUIET_MS);
}

/* The same with SYN cookies only: nothing is known of a connection before it is established. */
static void test_syn_cookies(void **state)
{
	pid_t pids[WORKERS];

	(void)state;
	kernel_set("net/ipv4/tcp_syncookies", "2");
	workers_start(pids);
	attach("least-conn");
	open_many(100);
	wait_until(books_are_right(), QUIET_MS);
	expect_live(25, 25, 25, 25);
	assert_int_equal(opened_sum(), 100);
	close_all();
	for (int i = 0; i < WORKERS; i++)
		worker_kill(pids[i]);
	wait_until(live_sum() == 0, QUIET_MS);
}

static int open_fast(void)
{
	const struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_port = htons(PORT),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(sendto(fd, "h", 1, MSG_FASTOPEN, (void *)&to, sizeof(to)), 1);
	return fd;
}

/* TCP Fast Open: established and accepted before the handshake ends. The first asks for a cookie. */
static void test_fast_open(void **state)
{
	pid_t pids[WORKERS];
	uint64_t fast;

	(void)state;
	kernel_set("net/ipv4/tcp_fastopen", "3");
	workers_start(pids);
	attach("least-conn");
	fast = kernel_counter("TcpExtTCPFastOpenPassive");
	for (int i = 0; i < 40; i++)
		open_fds[nr_open++] = open_fast();
	wait_until(books_are_right() && live_sum() == 40, QUIET_MS);
	/* each worker gives cookies of its own key, unless the host sets one for all */
	if (kernel_counter("TcpExtTCPFastOpenPassive") == fast)
		print_message("no connection was opened fast here\n");
	while (nr_open)
		reset_one(nr_open - 1);
	wait_until(live_sum() == 0, QUIET_MS);
}

static uint64_t selected_sum(void)
{
	uint64_t sum = 0;

	for (int i = 0; i < WORKERS; i++)
		sum += stats[i].selected;
	return sum;
}

static void expect_even(void)
{
	uint64_t least = stats[0].selected, most = least;

	for (int i = 1; i < WORKERS; i++) {
		least = stats[i].selected < least ? stats[i].selected : least;
		most = stats[i].selected > most ? stats[i].selected : most;
	}
	assert_in_range(most - least, 0, 2);
}

/* 100 at the same time on idle workers differ by 2 at most; and so do 100 more, ten times. */
static void test_burst_spreads(void **state)
{
	pid_t pids[WORKERS];

	(void)state;
	workers_start(pids);
	attach("least-conn");
	for (int round = 0; round < 10; round++) {
		for (int i = 0; i < 100; i++)
			open_fds[nr_open++] = client_socket("127.0.0.1");
		for (size_t i = nr_open - 100; i < nr_open; i++)
			client_wait(open_fds[i]);
		expect_even();
	}
	close_all();
}

/* The same from four processes at once. */
static void test_burst_from_many_sides(void **state)
{
	pid_t pids[WORKERS], clients[4];
	uint64_t before;

	(void)state;
	workers_start(pids);
	attach("least-conn");
	for (int round = 0; round < 10; round++) {
		before = selected_sum();
		for (int i = 0; i < 4; i++) {
			clients[i] = fork();
			for (int j = 0; !clients[i] && j < 25; j++)
				client_socket("127.0.0.1");
			if (!clients[i])
				pause();
		}
		wait_until(selected_sum() == before + 100, QUIET_MS);
		expect_even();
		for (int i = 0; i < 4; i++)
			worker_kill(clients[i]);
	}
}

/*
 * 1. worker 0 hangs; one connection at a time, ended by its server: worker 0 keeps what it gets, so
 *    it gets one, and others only when they tie
 * 2. worker 0 goes on: it ends its own and takes its share again
 */
static void test_slow_worker_gets_less(void **state)
{
	pid_t pids[WORKERS];
	uint64_t before;

	(void)state;
	workers_start(pids);
	attach("least-conn");
	kill(pids[0], SIGSTOP);
	for (int i = 0; i < 200; i++) {
		open_one("127.0.0.1");
		tell(open_fds[nr_open - 1], CLOSE);
		wait_until(stats[1].live + stats[2].live + stats[3].live == 0, QUIET_MS);
	}
	assert_in_range(stats[0].selected, 1, 2);
	kill(pids[0], SIGCONT);
	wait_until(live_sum() == 0, QUIET_MS);
	close_all();
	before = stats[0].selected;
	open_many(40);
	assert_int_equal(stats[0].selected - before, 10);
	close_all();
}

/*
 * A dead worker has no connections, and a hung one with a short queue has few: neither is taken
 * for the least busy, even while nobody has told lbctl.
 * 1. worker 3 dies: one connection finds out, and all are spread over the others
 * 2. worker 0 hangs, its queue takes two: the third finds out
 * 3. worker 0 goes on and is as good as the others
 */
static void test_dead_and_full_workers(void **state)
{
	struct books before, after;
	pid_t pids[WORKERS];

	(void)state;
	workers_start(pids);
	attach("least-conn");
	worker_kill(pids[3]);
	books_read("web", &before);
	open_many(30);
	wait_until(live_sum() == 30, QUIET_MS);
	expect_live(10, 10, 10, 0);
	/* its redraws are at random, and may name the dead one again */
	books_read("web", &after);
	assert_int_equal(after.cursor - before.cursor, 30);
	assert_in_range(after.skipped[3] - before.skipped[3], 1, LB_DRAWS);
	assert_int_equal(after.redraws - before.redraws, after.skipped[3] - before.skipped[3]);
	wait_until(slot_is_right(0), QUIET_MS);
	kill(pids[0], SIGUSR2);
	wait_until(shortest_queue() == 1, QUIET_MS);
	kill(pids[0], SIGSTOP);
	open_many(40);
	wait_until(live_sum() == 70, QUIET_MS);
	expect_live(12, 29, 29, 0);
	kill(pids[0], SIGCONT);
	for (int i = 0; i < 17; i++) {
		wait_until(slot_is_right(0), QUIET_MS);
		open_one("127.0.0.1");
	}
	wait_until(live_sum() == 87, QUIET_MS);
	expect_live(29, 29, 29, 0);
}

/* A weight of 3 counts as three times the room. */
static void test_weight(void **state)
{
	pid_t pids[WORKERS];

	(void)state;
	workers_start(pids);
	attach("least-conn");
	lbctl_ok("set-weight", "web", "0", "3", NULL);
	open_many(60);
	wait_until(live_sum() == 60, QUIET_MS);
	expect_live(30, 10, 10, 10);
	close_all();
}

/*
 * 1. 60 connections are open before attach, some of them unaccepted at a worker that hangs
 * 2. attach counts them in; as opened count only those that it sees opening
 * 3. the policy levels out what the kernel's hash had done
 * 4. their end counts too
 */
static void test_open_before_attach(void **state)
{
	pid_t pids[WORKERS];

	(void)state;
	workers_start(pids);
	kill(pids[0], SIGSTOP);
	open_many(60);
	for (int i = 0; i < 10; i++)
		shutdown(open_fds[i], SHUT_WR);
	attach("least-conn");
	assert_int_equal(live_sum(), 60);
	assert_int_equal(opened_sum(), 0);
	kill(pids[0], SIGCONT);
	wait_until(books_are_right(), QUIET_MS);
	open_many(140);
	wait_until(live_sum() == 200, QUIET_MS);
	expect_live(50, 50, 50, 50);
	assert_int_equal(opened_sum(), 140);
	show_read("web", &show);
	for (int i = 0; i < WORKERS; i++)
		assert_int_equal(show.worker[i].live, 50);
	close_all();
	for (int i = 0; i < WORKERS; i++)
		worker_kill(pids[i]);
	wait_until(live_sum() == 0, QUIET_MS);
}

/*
 * 1. worker 3 hangs with 10 of 40 connections in its queue, and is killed
 * 2. the 10 are the others' now, in the books as well
 * 3. one of these is killed in turn with everything, and again the books follow
 * 4. nothing is left when the clients end
 */
static void test_migrated_connections(void **state)
{
	pid_t pids[WORKERS];

	(void)state;
	workers_start(pids);
	attach("least-conn");
	kill(pids[3], SIGSTOP);
	open_many(40);
	wait_until(live_sum() == 40, QUIET_MS);
	expect_live(10, 10, 10, 10);
	for (int i = 0; i < 3; i++)
		wait_until(slot_is_right(i), QUIET_MS);
	kill(pids[2], SIGSTOP);
	worker_kill(pids[3]);
	wait_until(stats[3].live == 0, QUIET_MS);
	assert_int_equal(live_sum(), 40);
	assert_int_equal(stats[3].migrated_out, 10);
	/* worker 2 hangs, so what it got waits there; its first 10 it had accepted */
	assert_in_range(stats[2].live, 13, 14);
	worker_kill(pids[2]);
	wait_until(live_sum() == 30, QUIET_MS);
	wait_until(books_are_right(), QUIET_MS);
	expect_live(15, 15, 0, 0);
	for (int i = 0; i < 40; i++)
		tell(open_fds[i], CLOSE);
	wait_until(live_sum() == 0, QUIET_MS);
	close_all();
}

/*
 * 1. worker 0 closes its listener and serves its connections on
 * 2. its successor has the same number, and none of them in its books: first in a slot of its own,
 *    then, with both slots of the worker still in use, in the place of the last but one
 * 3. an old process ends: its successor's books stay right
 */
static void test_successor_starts_at_zero(void **state)
{
	pid_t pids[WORKERS], old[4];
	int slot;

	(void)state;
	workers_start(pids);
	attach("least-conn");
	open_many(40);
	wait_until(books_are_right() && live_sum() == 40, QUIET_MS);
	for (int generation = 0; generation < 4; generation++) {
		old[generation] = pids[0];
		kill(pids[0], SIGUSR1);
		wait_until(listeners() == WORKERS - 1, QUIET_MS);
		pids[0] = worker_start();
		lbctl_ok("attach", "--name", "web", ":8080", NULL);
		show_read("web", &show);
		assert_int_equal(show.nr_workers, WORKERS);
		assert_int_equal(show.worker[0].pid, pids[0]);
		slot = slot_of_process(pids[0]);
		assert_int_equal(stats[slot].live, 0);
		open_many(10);
		wait_until(stats[slot].live > 4 && slot_is_right(slot), QUIET_MS);
	}
	for (int generation = 0; generation < 4; generation++) {
		worker_kill(old[generation]);
		live_sum();
		assert_true(slot_is_right(slot));
	}
	close_all();
	for (int i = 0; i < WORKERS; i++)
		worker_kill(pids[i]);
	wait_until(live_sum() == 0, QUIET_MS);
}

/* Opens and closes one. */
static bool opening_is_seen(void)
{
	uint64_t before = opened_sum();

	open_one("127.0.0.1");
	reset_one(nr_open - 1);
	return opened_sum() != before;
}

/*
 * 1. counts are wrong by 7: attach puts them right
 * 2. the program is away for a while: 20 of 40 connections end, 30 others begin
 * 3. attach puts the program back, takes the 20 off and counts the 30 in; their end counts too
 */
static void test_drift_is_mended(void **state)
{
	struct books before;
	pid_t pids[WORKERS];
	uint64_t cgroup;
	int64_t live;

	(void)state;
	workers_start(pids);
	attach("least-conn");
	cgroup = tracked_cgroup();
	assert_int_equal(links_on(cgroup), 1);
	open_many(40);
	wait_until(books_are_right() && live_sum() == 40, QUIET_MS);
	__atomic_fetch_add(&stats[0].live, 7, __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&stats[1].live, -7, __ATOMIC_SEQ_CST);
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	expect_live(10, 10, 10, 10);

	assert_int_equal(unlink(HARNESS_PINS "/web/lb_track_link"), 0);
	wait_until(links_on(cgroup) == 0 && !opening_is_seen(), QUIET_MS);
	books_read("web", &before);
	live = live_sum();
	for (int i = 0; i < 20; i++)
		reset_one(nr_open - 1);
	open_many(30);
	assert_int_equal(live_sum(), live);
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	assert_int_equal(live_sum(), 50);
	assert_true(books_are_right());
	books_expect("web", &before, .cursor = 30, .unseen = 30,
		     .selected = { stats[0].selected - before.selected[0],
				   stats[1].selected - before.selected[1],
				   stats[2].selected - before.selected[2],
				   stats[3].selected - before.selected[3] });
	while (nr_open)
		reset_one(nr_open - 1);
	wait_until(live_sum() == 0, QUIET_MS);
}

/*
 * 1. the workers are in a cgroup, and so is the program
 * 2. a new set of workers in a new cgroup, as after a restart: attach follows
 * 3. workers in a third one: attach goes to the one above both, and no count is lost
 */
static void test_cgroup_is_followed(void **state)
{
	pid_t pids[WORKERS], more;
	uint64_t first;

	(void)state;
	child_make("first");
	for (int i = 0; i < WORKERS; i++)
		pids[i] = worker_start_as(child_cgroup("first"), false);
	attach("least-conn");
	first = id_of_cgroup(child_cgroup("first"));
	assert_int_equal(tracked_cgroup(), first);
	open_many(40);
	wait_until(live_sum() == 40, QUIET_MS);
	for (int i = 0; i < WORKERS; i++)
		worker_kill(pids[i]);
	close_all();
	wait_until(child_remove("first"), QUIET_MS);

	child_make("second");
	for (int i = 0; i < WORKERS; i++)
		pids[i] = worker_start_as(child_cgroup("second"), false);
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	assert_int_equal(tracked_cgroup(), id_of_cgroup(child_cgroup("second")));
	assert_int_equal(links_on(first), 0);
	open_many(40);
	wait_until(books_are_right() && live_sum() == 40, QUIET_MS);
	expect_live(10, 10, 10, 10);

	child_make("third");
	more = worker_start_as(child_cgroup("third"), false);
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	assert_int_equal(tracked_cgroup(), id_of_cgroup(own_cgroup));
	open_many(10);
	wait_until(books_are_right() && live_sum() == 50, QUIET_MS);
	assert_int_equal(stats[4].live, 10);
	close_all();
	worker_kill(more);
	for (int i = 0; i < WORKERS; i++)
		worker_kill(pids[i]);
	wait_until(live_sum() == 0, QUIET_MS);
	lbctl_ok("detach", "web", NULL);
	wait_until(child_remove("second") && child_remove("third"), QUIET_MS);
}

static bool policy_is_available(const char *policy)
{
	json_t *rows = lbctl_json("policies", "--json", NULL), *row;
	bool available = false;
	size_t i;

	json_array_foreach(rows, i, row) {
		if (!strcmp(json_string_value(json_object_get(row, "policy")), policy))
			available = json_is_true(json_object_get(row, "available"));
	}
	json_decref(rows);
	return available;
}

/*
 * 1. no cgroup v2 in sight: a service works, and `live` is what sock_diag says
 * 2. least-conn is refused with a reason, in each place where it can be asked for
 * 3. with cgroup v2 mounted, attach counts in what is open, and the policy is to be had
 */
static void test_without_cgroups(void **state)
{
	struct output output;
	pid_t pids[WORKERS];
	int64_t live = 0;

	(void)state;
	workers_start(pids);
	assert_true(policy_is_available("least-conn"));
	while (!umount2(cgroup_root, MNT_DETACH))
		continue;
	assert_false(policy_is_available("least-conn"));
	assert_true(policy_is_available("rr"));
	lbctl_run(&output, "attach", "--policy", "least-conn", ":8080", NULL);
	assert_int_equal(output.status, 4);
	assert_non_null(strstr(output.err, "cgroup"));
	output_free(&output);
	assert_true(pins_are_gone());
	attach("rr");
	open_many(40);
	for (int i = 0; i < 500 && live < 40; i++) {
		show_read("web", &show);
		live = 0;
		for (int j = 0; j < WORKERS; j++)
			live += show.worker[j].live;
	}
	assert_int_equal(live, 40);
	lbctl_run(&output, "set-policy", "web", "least-conn", NULL);
	assert_int_equal(output.status, 4);
	output_free(&output);

	assert_int_equal(mount("none", cgroup_root, "cgroup2", 0, NULL), 0);
	assert_true(policy_is_available("least-conn"));
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	assert_true(books_are_right());
	expect_live(10, 10, 10, 10);
	lbctl_ok("set-policy", "web", "least-conn", NULL);
	open_many(40);
	expect_live(20, 20, 20, 20);
	close_all();
}

#define OPS_FIELD(name) ((short)offsetof(struct bpf_sock_ops, name))
#define RTT_FLAG 8 /* BPF_SOCK_OPS_RTT_CB_FLAG */

/*
 * Somebody else's sockops program, which asks for round-trip times when a connection is
 * established, and counts how often it is told. Returns a descriptor of its link.
 */
static int count_round_trips(int map_fd, int cgroup_fd)
{
	const struct bpf_insn insns[] = {
		/* r6 = ops; r2 = op */
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 6, .src_reg = 1 },
		{ .code = BPF_LDX | BPF_MEM | BPF_W,
		  .dst_reg = 2,
		  .src_reg = 6,
		  .off = OPS_FIELD(op) },
		{ .code = BPF_JMP | BPF_JNE | BPF_K,
		  .dst_reg = 2,
		  .off = 4,
		  .imm = BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB },
		/* cb_flags_set(ops, ops->flags | RTT) */
		{ .code = BPF_LDX | BPF_MEM | BPF_W,
		  .dst_reg = 2,
		  .src_reg = 6,
		  .off = OPS_FIELD(bpf_sock_ops_cb_flags) },
		{ .code = BPF_ALU64 | BPF_OR | BPF_K, .dst_reg = 2, .imm = RTT_FLAG },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_sock_ops_cb_flags_set },
		{ .code = BPF_JMP | BPF_JA, .off = 9 },
		{ .code = BPF_JMP | BPF_JNE | BPF_K,
		  .dst_reg = 2,
		  .off = 8,
		  .imm = BPF_SOCK_OPS_RTT_CB },
		/* (*lookup(map, &0))++ */
		{ .code = BPF_ST | BPF_MEM | BPF_W, .dst_reg = 10, .off = -4 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 2, .src_reg = 10 },
		{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 2, .imm = -4 },
		{ .code = BPF_LD | BPF_IMM | BPF_DW,
		  .dst_reg = 1,
		  .src_reg = BPF_PSEUDO_MAP_FD,
		  .imm = map_fd },
		{ 0 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_map_lookup_elem },
		{ .code = BPF_JMP | BPF_JEQ | BPF_K, .off = 1 },
		{ .code = BPF_ST | BPF_MEM | BPF_DW, .imm = 1 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = 1 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int program = bpf_prog_load(BPF_PROG_TYPE_SOCK_OPS, "stranger", "GPL", insns,
				    ARRAY_SIZE(insns), NULL);
	int link = bpf_link_create(program, cgroup_fd, BPF_CGROUP_SOCK_OPS, NULL);

	assert_true(program >= 0 && link >= 0);
	close(program);
	return link;
}

static bool was_told(int map_fd)
{
	uint64_t value = 0, none = 0;
	uint32_t zero = 0;

	assert_int_equal(bpf_map_lookup_elem(map_fd, &zero, &value), 0);
	assert_int_equal(bpf_map_update_elem(map_fd, &zero, &none, BPF_ANY), 0);
	return value;
}

/*
 * 1. another program asks for more of a connection's events before ours does; it is told, and ours
 *    counts
 * 2. connections that only it had seen are counted in, and it is told of them still
 */
static void test_other_programs_are_heard(void **state)
{
	int map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "told", 4, 8, 1, NULL);
	int cgroup = cgroup_make(cgroup_root, own_cgroup);
	int link = count_round_trips(map, cgroup);
	pid_t pids[WORKERS];

	(void)state;
	workers_start(pids);
	open_many(40);
	attach("least-conn");
	assert_int_equal(live_sum(), 40);
	was_told(map);
	for (size_t i = 0; i < nr_open; i++)
		tell(open_fds[i], HALF_CLOSE);
	wait_until(was_told(map), QUIET_MS);
	wait_until(live_sum() == 0, QUIET_MS);
	close_all();
	open_many(40);
	was_told(map);
	for (size_t i = 0; i < nr_open; i++)
		tell(open_fds[i], HALF_CLOSE);
	wait_until(was_told(map), QUIET_MS);
	wait_until(live_sum() == 0, QUIET_MS);
	close_all();
	close(link);
	close(cgroup);
	close(map);
}

/* Connections outlive the service; a new one counts them as its own. */
static void test_detach_and_attach(void **state)
{
	pid_t pids[WORKERS];
	uint64_t cgroup;

	(void)state;
	workers_start(pids);
	attach("least-conn");
	cgroup = tracked_cgroup();
	open_many(40);
	wait_until(books_are_right() && live_sum() == 40, QUIET_MS);
	for (int i = 0; i < 5; i++) {
		lbctl_ok("detach", "web", NULL);
		assert_true(pins_are_gone());
		wait_until(links_on(cgroup) == 0, QUIET_MS);
		attach("least-conn");
		assert_int_equal(live_sum(), 40);
		assert_true(books_are_right());
	}
	lbctl_ok("detach", "web", NULL);
	unmap_stats();
	for (size_t i = 0; i < nr_open; i++)
		tell(open_fds[i], CLOSE);
	close_all();
	wait_until(pinned_objects_are_freed(), QUIET_MS);
}

/* --- the test's own cgroup --- */

static int begin(void **state)
{
	if (cgroup_mount(cgroup_root))
		return -1;
	snprintf(own_cgroup, sizeof(own_cgroup), "lbctl-test-%llx", (unsigned long long)now_ns());
	if (id_of_cgroup(own_cgroup) == 0)
		return -1;
	cgroup_join(own_cgroup);
	return harness_begin(state);
}

static int end(void **state)
{
	int err;

	err = harness_check_clean(state);
	cgroup_join("");
	for (int i = 0; i < 100 && cgroup_remove(cgroup_root, own_cgroup); i++)
		harness_nap();
	if (!cgroup_remove(cgroup_root, own_cgroup) || errno != ENOENT)
		return -1;
	return err;
}

/* A failed test leaves clients open. */
static int reset(void **state)
{
	close_all();
	unmap_stats();
	kernel_set("net/ipv4/tcp_fastopen", "1");
	return harness_reset(state);
}

#define test(function) cmocka_unit_test_teardown(function, reset)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		test(test_storm),
		test(test_syn_cookies),
		test(test_fast_open),
		test(test_burst_spreads),
		test(test_burst_from_many_sides),
		test(test_slow_worker_gets_less),
		test(test_dead_and_full_workers),
		test(test_weight),
		test(test_open_before_attach),
		test(test_migrated_connections),
		test(test_successor_starts_at_zero),
		test(test_drift_is_mended),
		test(test_cgroup_is_followed),
		test(test_without_cgroups),
		test(test_other_programs_are_heard),
		test(test_detach_and_attach),
	};

	(void)argc;
	harness_enter(argv[0]);
	return cmocka_run_group_tests(tests, begin, end);
}
