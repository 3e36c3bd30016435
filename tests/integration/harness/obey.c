// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See obey.h. */
#include "harness/counters.h"
#include "harness/obey.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/commands.h"
#include "harness/kernel.h"
#include "harness/maps.h"
#include "harness/world.h"
#include "host/cgroup.h"
#include "host/sockdiag.h"

struct lb_stats *stats;
char cgroup_root[PATH_MAX], own_cgroup[NAME_MAX];

/* --- cgroups --- */

static void cgroup_join(const char *name)
{
	char path[2 * PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s/cgroup.procs", cgroup_root, name);
	file_write(path, "0");
}

/* A child of the test's own cgroup, as a path from the root. */
const char *child_cgroup(const char *name)
{
	static char path[2 * NAME_MAX];

	snprintf(path, sizeof(path), "%s/%s", own_cgroup, name);
	return path;
}

void child_make(const char *name)
{
	int parent = cgroup_make(cgroup_root, own_cgroup), child;
	char path[2 * PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", cgroup_root, own_cgroup);
	child = cgroup_make(path, name);
	assert_true(parent >= 0 && child >= 0);
	close(parent);
	close(child);
}

bool child_remove(const char *name)
{
	return !cgroup_remove(cgroup_root, child_cgroup(name));
}

uint64_t id_of_cgroup(const char *path)
{
	int fd = cgroup_make(cgroup_root, path);
	uint64_t id = cgroup_id(fd);

	close(fd);
	return id;
}

/* The cgroup that the tracking program of the service is attached to. */
uint64_t tracked_cgroup(void)
{
	int fd = map_open("web", "lb_track_link");
	struct bpf_link_info info = { 0 };
	uint32_t len = sizeof(info);

	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &len), 0);
	close(fd);
	return info.cgroup.cgroup_id;
}

/* --- servers --- */

void unmap_stats(void)
{
	if (stats)
		munmap(stats, COUNTERS_SLOTS * sizeof(*stats));
	stats = NULL;
}

static int listen_on(int family)
{
	const struct sockaddr_in any4 = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	const struct sockaddr_in6 any6 = { .sin6_family = AF_INET6, .sin6_port = htons(PORT) };
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1, room = 64;

	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	setsockopt(fd, SOL_TCP, TCP_FASTOPEN, &room, sizeof(room));
	setsockopt(fd, SOL_IP, IP_TRANSPARENT, &on, sizeof(on));
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
		if (n == 1 && order == BUSY)
			usleep(OBEY_BUSY_MS * 1000);
	} while (n == 1 && (order == HOLD || order == BUSY));
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

static void poll_also(int epoll, int fd, uint64_t data)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.u64 = data };

	epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

static void accept_all(int epoll, int listener)
{
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0)
		poll_also(epoll, fd, fd);
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
void obey_serve(bool both_families)
{
	int listeners[2] = { listen_on(AF_INET), both_families ? listen_on(AF_INET6) : -1 };
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event;

	sigaction(SIGUSR1, &(const struct sigaction){ .sa_handler = note_signal }, NULL);
	sigaction(SIGUSR2, &(const struct sigaction){ .sa_handler = note_signal }, NULL);
	for (int i = 0; i < 2 && listeners[i] >= 0; i++)
		poll_also(epoll, listeners[i], listeners[i]);
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

size_t listeners(void)
{
	struct sockdiag_list list;
	size_t n;

	assert_int_equal(sockdiag_listeners(LB_PROTO_TCP, PORT, &list), 0);
	n = list.count;
	sockdiag_free(&list);
	return n;
}

uint32_t shortest_queue(void)
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

pid_t worker_start_as(const char *cgroup, bool both_families)
{
	size_t want = listeners() + 1 + both_families;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		unmap_stats();
		if (cgroup)
			cgroup_join(cgroup);
		obey_serve(both_families);
	}
	wait_until(listeners() == want, 5000);
	return pid;
}

pid_t worker_start(void)
{
	return worker_start_as(NULL, false);
}

void worker_kill(pid_t pid)
{
	kill(pid, SIGKILL);
	wait_until(waitpid(pid, NULL, WNOHANG) == pid, 5000);
}

void workers_start(pid_t pids[WORKERS])
{
	for (int i = 0; i < WORKERS; i++)
		pids[i] = worker_start();
}

void map_stats(void)
{
	unmap_stats();
	stats = map_mmap("web", "lb_stats", COUNTERS_SLOTS * sizeof(*stats));
}

void attach(const char *policy)
{
	lbctl_ok("attach", "--name", "web", "--policy", policy, ":8080", NULL);
	map_stats();
}

/* --- clients --- */

int open_fds[MANY];
size_t nr_open;

int client_socket(const char *to)
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

void client_wait(int fd)
{
	struct pollfd ready = { fd, POLLOUT, 0 };

	assert_int_equal(poll(&ready, 1, scaled_ms(5000)), 1);
	assert_false(ready.revents & (POLLERR | POLLHUP));
}

void open_one(const char *to)
{
	assert_true(nr_open < MANY);
	open_fds[nr_open] = client_socket(to);
	client_wait(open_fds[nr_open++]);
}

void open_many(size_t n)
{
	for (size_t i = 0; i < n; i++)
		open_one("127.0.0.1");
}

void forget(size_t i)
{
	close(open_fds[i]);
	open_fds[i] = open_fds[--nr_open];
}

void close_all(void)
{
	while (nr_open)
		forget(nr_open - 1);
}

void reset_one(size_t i)
{
	const struct linger at_once = { 1, 0 };

	setsockopt(open_fds[i], SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	forget(i);
}

void tell(int fd, enum order order)
{
	char byte = order;

	/* it may have been closed by the other side */
	send(fd, &byte, 1, MSG_NOSIGNAL);
}

/* Programs of ours that are attached to sockets' callbacks in this cgroup. */
unsigned int links_on(uint64_t cgroup)
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

/* --- the test's own cgroup --- */

int obey_begin(void **state)
{
	if (cgroup_mount(cgroup_root))
		return -1;
	snprintf(own_cgroup, sizeof(own_cgroup), "lbctl-test-%llx", (unsigned long long)now_ns());
	if (id_of_cgroup(own_cgroup) == 0)
		return -1;
	cgroup_join(own_cgroup);
	return harness_begin(state);
}

int obey_check_clean(void **state)
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
int obey_reset(void **state)
{
	close_all();
	unmap_stats();
	kernel_set("net/ipv4/tcp_fastopen", "1");
	return harness_reset(state);
}
