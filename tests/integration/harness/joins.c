// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See joins.h. */
#include "harness/events.h"
#include "harness/joins.h"

#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "harness/commands.h"
#include "harness/netns.h"
#include "harness/pins.h"
#include "harness/servers.h"
#include "harness/world.h"
#include "host/sockdiag.h"
#include "send_fds.h"

int joins_begin(void **state)
{
	(void)state;
	setenv("LBCTL_SERVICE", "web", 1);
	/* so that the keeper alone can give a load page */
	setenv("LBCTL_BPF_DIR", "/nowhere", 1);
	return 0;
}

/*
 * --group mounted a bpffs among the files that are removed then; a keeper that a test left behind
 * would mount it again.
 */
int joins_end(void **state)
{
	harness_reset(state);
	umount2(FILES_DIR "/bpf", MNT_DETACH);
	return runs_reset(state);
}

int joins_listen(const char *host, uint16_t port, const char *device)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	assert_int_equal(inet_pton(AF_INET, host, &at.sin_addr), 1);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)), 0);
	if (device)
		assert_int_equal(
			setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, strlen(device)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 64), 0);
	return fd;
}

int joins_listen_elsewhere(void)
{
	int back, fd;

	netns_add("far");
	back = netns_join("far");
	fd = joins_listen("0.0.0.0", 8080, NULL);
	netns_leave(back);
	netns_delete("far");
	return fd;
}

void joins_demo(struct demo *demo, int worker)
{
	demo_start(demo, worker, "--listen", ":8080", "--user", "nobody", "--join", "--load",
		   "10,20,30,40", NULL);
}

void joins_keep(struct run *run)
{
	run_start_verb(run, "web", "watch", "--group", "nogroup", "web", NULL);
	run_expect_keeper(run);
	wait_until(!access(JOINS_SOCKET, F_OK), RUN_MS);
}

void joins_watch(struct run *run, struct demo *demo, const char *policy)
{
	demo_start(demo, 0, "--listen", ":8080", NULL);
	lbctl_ok("attach", "--name", "web", "--policy", policy, ":8080", NULL);
	joins_keep(run);
}

void joins_end_watch(struct run *run)
{
	kill(run->pid, SIGTERM);
	assert_int_equal(run_wait(run), 0);
	lbctl_ok("detach", "web", NULL);
	assert_true(pins_are_gone());
}

size_t joins_listening(void)
{
	struct sockdiag_list list;
	size_t n;

	assert_int_equal(sockdiag_listeners(IPPROTO_TCP, 8080, &list), 0);
	n = list.count;
	sockdiag_free(&list);
	return n;
}

void joins_refuse(const char *name, int fd, int err, const char *words)
{
	struct lbctl_worker *handle = lbctl_worker_join(NULL, fd);

	if (handle)
		fail_msg("%s: joined as worker %d", name, lbctl_worker_number(handle));
	if (errno != err || !strstr(lbctl_join_error(), words))
		fail_msg("%s: errno %d, want %d with \"%s\"; it said: %s", name, errno, err, words,
			 lbctl_join_error());
}

struct lbctl_worker *joins_take(int fd)
{
	uint64_t end_ns = now_ns() + scaled_ms(RUN_MS) * 1000000;
	struct lbctl_worker *handle = lbctl_worker_join(NULL, fd);

	/* the library's patience is for machines that are not that busy */
	while (!handle && errno == ETIMEDOUT && now_ns() < end_ns)
		handle = lbctl_worker_join(NULL, fd);
	if (!handle)
		fail_msg("join: %s", lbctl_join_error());
	return handle;
}

int joins_connect(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX, .sun_path = JOINS_SOCKET };
	const struct timeval patience = { .tv_sec = 5 };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

/* The keeper may have hung up, or not have read for a while. */
void joins_send(int fd, const void *bytes, size_t len, const int *fds, size_t n)
{
	if (send_fds(fd, bytes, len, fds, n) < 0)
		assert_true(errno == EPIPE || errno == EAGAIN || errno == ECONNRESET);
}

int joins_ask(const char *packet, const int *fds, size_t n)
{
	int fd = joins_connect(), status = -1;
	char answer[4096];
	ssize_t len;
	json_t *json;

	joins_send(fd, packet, strlen(packet), fds, n);
	len = recv(fd, answer, sizeof(answer), 0);
	close(fd);
	json = len > 0 ? json_loadb(answer, len, 0, NULL) : NULL;
	if (json)
		status = json_integer_value(json_object_get(json, "status"));
	json_decref(json);
	return status;
}
