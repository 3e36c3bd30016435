// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See wake_listeners.h. */
#include "service/wake_listeners.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/cleanup.h"
#include "host/group.h"
#include "host/netns.h"
#include "host/procs.h"
#include "host/sockdiag.h"
#include "host/wake_probe.h"

/* --- is it needed --- */

static enum { UNKNOWN, NEEDED, NOT_NEEDED } known;

static bool is_forced(const char *how)
{
	const char *forced = getenv("LBCTL_WAKE");

	return forced && !strcmp(forced, how);
}

bool wake_listeners_needed(void)
{
	int result;

	if (is_forced("always"))
		return true;
	if (is_forced("never"))
		return false;
	if (known == UNKNOWN) {
		result = wake_probe();
		wake_listeners_know(result != 1 && result != -EOPNOTSUPP);
	}
	return known == NEEDED;
}

void wake_listeners_know(bool needed)
{
	known = needed ? NEEDED : NOT_NEEDED;
}

/* --- one look --- */

/* The sockets of one listener that have connections waiting. */
struct waiting {
	const struct lb_listener *listener;
	struct sockdiag_list list;
};

static bool is_waiting(const struct lb_listener *listener, const struct sockdiag_socket *socket)
{
	return socket->queued && socket->family == listener->family &&
	       !memcmp(socket->addr, listener->addr, listener->family == AF_INET ? 4 : 16);
}

/* Registered or not: what finds no worker goes to any of the group. Inside the namespace. */
static int list_waiting(void *arg)
{
	struct waiting *waiting = arg;
	struct sockdiag_list *list = &waiting->list;
	size_t n = 0;
	int err = sockdiag_listeners(IPPROTO_TCP, waiting->listener->port, list);

	for (size_t i = 0; !err && i < list->count; i++) {
		if (is_waiting(waiting->listener, &list->items[i]))
			list->items[n++] = list->items[i];
	}
	list->count = n;
	return err;
}

static int wake_by(const struct procs_holder *holder, uint64_t cookie)
{
	_cleanup_close_ int fd = holder_duplicate(holder, cookie);
	socklen_t len = sizeof(int);
	int listens = 0;

	if (fd < 0)
		return fd;
	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) || !listens)
		return -ESRCH;
	return shutdown(fd, SHUT_WR) ? -errno : 0;
}

/* Wakes those that these processes hold, and takes them off the list. */
static void wake_held(struct sockdiag_list *list, const struct procs_list *holders)
{
	size_t left = 0;

	for (size_t i = 0; i < list->count; i++) {
		const struct sockdiag_socket *socket = &list->items[i];
		int err = -ESRCH;

		for (size_t h = 0; err && h < holders->count; h++) {
			if (holders->items[h].inode == socket->inode)
				err = wake_by(&holders->items[h], socket->cookie);
		}
		if (err)
			list->items[left++] = *socket;
	}
	list->count = left;
}

static int compare_inodes(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* `pids`: who is asked first; NULL = all processes. */
static int wake_among(struct sockdiag_list *list, const pid_t *pids, size_t nr_pids)
{
	_cleanup_free_ uint64_t *inodes = calloc(list->count + 1, sizeof(*inodes));
	struct procs_list holders;
	size_t n = list->count;
	int err;

	if (!inodes)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		inodes[i] = list->items[i].inode;
	qsort(inodes, n, sizeof(*inodes), compare_inodes);
	err = pids ? procs_find_holders_among(inodes, n, pids, nr_pids, &holders) :
		     procs_find_holders(inodes, n, 0, &holders);
	if (err)
		return err;
	wake_held(list, &holders);
	procs_free(&holders);
	return 0;
}

static size_t list_pids(const struct state *state, uint32_t used, pid_t *pids)
{
	size_t n = 0;

	for (uint32_t slot = 0; slot < used; slot++) {
		pids[n] = state_worker(state, slot)->pid;
		n += pids[n] != 0;
	}
	return n;
}

/* The workers have most of them; the rest, say a master's, any process may have. */
static int wake_all(const struct state *state, struct sockdiag_list *list)
{
	uint32_t used = state_used_slots(state);
	_cleanup_free_ pid_t *pids = calloc(used + 1, sizeof(*pids));
	int err;

	if (!pids)
		return -ENOMEM;
	err = list->count ? wake_among(list, pids, list_pids(state, used, pids)) : 0;
	return err || !list->count ? err : wake_among(list, NULL, 0);
}

static int look_at(const struct state *state, const struct lb_listener *listener)
{
	struct waiting waiting = { .listener = listener };
	_cleanup_close_ int netns = -1;
	int err = netns_find(listener->netns, &netns), found;

	if (!err)
		err = netns_run(netns, list_waiting, &waiting);
	found = waiting.list.count;
	if (!err)
		err = wake_all(state, &waiting.list);
	sockdiag_free(&waiting.list);
	return err ? err : found;
}

static int look(const struct state *state)
{
	int waiting = 0, result;

	for (uint32_t i = 0; i < state->nr_listeners; i++) {
		if (state->config->listeners[i].proto != LB_PROTO_TCP)
			continue;
		result = look_at(state, &state->config->listeners[i]);
		if (result < 0)
			return result;
		waiting += result;
	}
	return waiting;
}

int wake_listeners(const struct state *state, unsigned int looks)
{
	struct timespec nap = { .tv_nsec = 1000 * 1000 };
	int result;

	if (!wake_listeners_needed())
		return 0;
	/* tests have workers that do not hear when the kernel wakes them, a moment before us */
	if (is_forced("always"))
		looks = WAKE_LOOKS + 1;
	result = look(state);
	while (--looks && result >= 0) {
		nanosleep(&nap, NULL);
		nap.tv_nsec *= 4;
		result = look(state);
	}
	return result;
}
