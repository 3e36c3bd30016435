/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The public calls: a handle counts, finds its lb_load entry, and stores reports there until lbctl
 * gives the entry up.
 */
#include "lbctl.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "find.h"
#include "join.h"
#include "report.h"

#define LOOK_INTERVAL_NS 1000000000ULL
#define JOIN_PATIENCE_MS 5000
#define CONTROL_PATH "/run/lbctl/%s.sock"

static __thread char join_error[LBCTL_WHY_BYTES];

/*
 * The window is one page of address space that stays ours as long as the handle lives. Steered, it
 * shows a page of lb_load, else anonymous memory. Either is put over the other in one step, so a
 * thread that is in the middle of a report while another one lets go still stores into memory that
 * is there. For its store to land in a wrong entry it would have to sleep through the second
 * until the next look, between two instructions; the entry's owner corrects it by its next report.
 */
struct lbctl_worker {
	struct lbctl_counts counts;
	struct lb_load *entry; /* in window; NULL while not steered */
	char *window;
	size_t window_bytes;
	uint64_t cookie;
	uint64_t next_look_ns;
	uint32_t slot;			  /* valid while entry is set */
	int number;			  /* that the keeper gave; -1 = did not join */
	bool looking;			  /* a thread finds or lets go of the entry */
	char service[LBCTL_NAME_MAX + 1]; /* "" = not given */
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int window_show(struct lbctl_worker *worker, int fd, off_t offset)
{
	int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
	void *shown = mmap(worker->window, worker->window_bytes, PROT_READ | PROT_WRITE,
			   flags | MAP_FIXED, fd, offset);

	return shown == MAP_FAILED ? -errno : 0;
}

static bool try_lock(struct lbctl_worker *worker)
{
	return !__atomic_exchange_n(&worker->looking, true, __ATOMIC_ACQUIRE);
}

static void unlock(struct lbctl_worker *worker)
{
	__atomic_store_n(&worker->looking, false, __ATOMIC_RELEASE);
}

/* Returns the entry shown in the window, or NULL if it can't be had. */
static struct lb_load *show_entry(struct lbctl_worker *worker, const struct lbctl_found *found)
{
	uint64_t at = (uint64_t)found->slot * sizeof(struct lb_load);
	uint64_t page = at & ~(uint64_t)(worker->window_bytes - 1);
	struct lb_load *entry = (struct lb_load *)(worker->window + (at - page));

	if (window_show(worker, found->load_fd, page))
		return NULL;
	if (lbctl_report_is_closed(entry)) {
		window_show(worker, -1, 0);
		return NULL;
	}
	return entry;
}

static void look(struct lbctl_worker *worker)
{
	struct lbctl_search search = {
		.service = worker->service[0] ? worker->service : NULL,
		.cookie = worker->cookie,
	};
	int saved_errno = errno;
	struct lbctl_found found;
	struct lb_load *entry;

	if (!lbctl_find(&search, &found)) {
		entry = show_entry(worker, &found);
		if (!found.inherited)
			close(found.load_fd);
		__atomic_store_n(&worker->slot, found.slot, __ATOMIC_RELAXED);
		__atomic_store_n(&worker->entry, entry, __ATOMIC_RELEASE);
	}
	errno = saved_errno;
}

static void look_if_due(struct lbctl_worker *worker, uint64_t now)
{
	if (now < __atomic_load_n(&worker->next_look_ns, __ATOMIC_RELAXED) || !try_lock(worker))
		return;
	if (!__atomic_load_n(&worker->entry, __ATOMIC_RELAXED)) {
		look(worker);
		__atomic_store_n(&worker->next_look_ns, now + LOOK_INTERVAL_NS, __ATOMIC_RELAXED);
	}
	unlock(worker);
}

/* The service is gone: its map is freed when the last of its workers has unmapped it. */
static void let_go(struct lbctl_worker *worker, uint64_t now)
{
	int saved_errno = errno;

	if (!try_lock(worker))
		return;
	__atomic_store_n(&worker->entry, NULL, __ATOMIC_RELAXED);
	__atomic_store_n(&worker->next_look_ns, now + LOOK_INTERVAL_NS, __ATOMIC_RELAXED);
	window_show(worker, -1, 0);
	unlock(worker);
	errno = saved_errno;
}

/* The entry to store into at `now`, or NULL while nothing steers the worker. */
static struct lb_load *current_entry(struct lbctl_worker *worker, uint64_t now)
{
	struct lb_load *entry = __atomic_load_n(&worker->entry, __ATOMIC_ACQUIRE);

	if (!entry) {
		look_if_due(worker, now);
		return __atomic_load_n(&worker->entry, __ATOMIC_ACQUIRE);
	}
	if (lbctl_report_is_closed(entry)) {
		let_go(worker, now);
		return NULL;
	}
	return entry;
}

static void report(struct lbctl_worker *worker)
{
	uint64_t now = now_ns();
	struct lb_load *entry = current_entry(worker, now);

	if (!__atomic_load_n(&worker->counts.reported, __ATOMIC_RELAXED))
		__atomic_store_n(&worker->counts.reported, true, __ATOMIC_RELAXED);
	if (entry)
		lbctl_report_store(entry, &worker->counts, now);
}

static int socket_cookie(int fd, uint64_t *cookie)
{
	socklen_t len = sizeof(*cookie);

	return getsockopt(fd, SOL_SOCKET, SO_COOKIE, cookie, &len) ? -errno : 0;
}

static struct lbctl_worker *worker_new(const char *service, uint64_t cookie)
{
	struct lbctl_worker *worker = calloc(1, sizeof(*worker));

	if (!worker)
		return NULL;
	worker->cookie = cookie;
	worker->number = -1;
	if (service)
		strcpy(worker->service, service);
	worker->window_bytes = sysconf(_SC_PAGESIZE);
	worker->window = mmap(NULL, worker->window_bytes, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (worker->window == MAP_FAILED) {
		free(worker);
		return NULL;
	}
	return worker;
}

struct lbctl_worker *lbctl_worker_open(const char *service, int listen_fd)
{
	struct lbctl_worker *worker;
	uint64_t cookie;

	if ((service && !lbctl_find_is_name(service)) || socket_cookie(listen_fd, &cookie)) {
		errno = EINVAL;
		return NULL;
	}
	worker = worker_new(service, cookie);
	if (!worker) {
		errno = ENOMEM;
		return NULL;
	}
	look_if_due(worker, now_ns());
	return worker;
}

static struct lbctl_worker *join_failed(int err, const char *why)
{
	if (why != join_error)
		snprintf(join_error, sizeof(join_error), "%s", why);
	errno = -err;
	return NULL;
}

/* Shows the page that the keeper gave. Return: 0 or -errno. */
static int move_in(struct lbctl_worker *worker, const struct lbctl_joined *joined)
{
	const struct lbctl_found found = { .load_fd = joined->load_fd, .slot = joined->slot };
	struct lb_load *entry = NULL;

	if (lbctl_find_may_be_load(found.load_fd, found.slot))
		entry = show_entry(worker, &found);
	if (!entry)
		return -EPROTO;
	worker->number = joined->worker;
	worker->slot = found.slot;
	worker->entry = entry;
	return 0;
}

struct lbctl_worker *lbctl_worker_join(const char *service, int listen_fd)
{
	char path[sizeof(CONTROL_PATH) + LBCTL_NAME_MAX];
	struct lbctl_joining joining = {
		.service = service ? service : getenv("LBCTL_SERVICE"),
		.path = path,
		.worker = -1,
		.listen_fd = listen_fd,
		.patience_ms = JOIN_PATIENCE_MS,
	};
	struct lbctl_worker *worker;
	struct lbctl_joined joined;
	uint64_t cookie;
	int err;

	if (!joining.service || !lbctl_find_is_name(joining.service))
		return join_failed(-EINVAL, "no name of a service was given, by LBCTL_SERVICE "
					    "neither, or it is none");
	if (socket_cookie(listen_fd, &cookie))
		return join_failed(-EINVAL, "the descriptor is not a socket");
	if (lbctl_find_is_own(service))
		joining.worker = lbctl_find_env_number("LBCTL_WORKER", LB_MAX_WORKERS - 1);
	snprintf(path, sizeof(path), CONTROL_PATH, joining.service);
	err = lbctl_join(&joining, &joined, join_error);
	if (err)
		return join_failed(err, join_error);
	worker = worker_new(joining.service, cookie);
	err = worker ? move_in(worker, &joined) : -ENOMEM;
	close(joined.load_fd);
	if (!err)
		return worker;
	lbctl_worker_close(worker);
	return join_failed(err, err == -ENOMEM ? "out of memory" :
						 "what the keeper sent is no load page");
}

const char *lbctl_join_error(void)
{
	return join_error;
}

int lbctl_worker_number(struct lbctl_worker *worker)
{
	return worker ? worker->number : -1;
}

void lbctl_worker_close(struct lbctl_worker *worker)
{
	int saved_errno = errno;

	if (!worker)
		return;
	munmap(worker->window, worker->window_bytes);
	free(worker);
	errno = saved_errno;
}

int lbctl_worker_slot(struct lbctl_worker *worker)
{
	if (!worker || !current_entry(worker, now_ns()))
		return -1;
	return (int)__atomic_load_n(&worker->slot, __ATOMIC_RELAXED);
}

void lbctl_report_load(struct lbctl_worker *worker, uint64_t load)
{
	if (!worker)
		return;
	__atomic_store_n(&worker->counts.base, load, __ATOMIC_RELAXED);
	report(worker);
}

void lbctl_heartbeat(struct lbctl_worker *worker)
{
	struct lb_load *entry;
	uint64_t now;

	if (!worker)
		return;
	now = now_ns();
	entry = current_entry(worker, now);
	if (entry)
		lbctl_report_heartbeat(entry, &worker->counts, now);
}

void lbctl_connection_opened(struct lbctl_worker *worker)
{
	if (!worker)
		return;
	__atomic_fetch_add(&worker->counts.opened, 1, __ATOMIC_RELAXED);
	report(worker);
}

void lbctl_connection_closed(struct lbctl_worker *worker)
{
	if (!worker)
		return;
	__atomic_fetch_add(&worker->counts.ended, 1, __ATOMIC_RELEASE);
	report(worker);
}
