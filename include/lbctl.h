/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * liblbctl: how a worker joins the kernel's load balancer, and tells it how busy it is.
 *
 *	struct lbctl_worker *lb = lbctl_worker_open(NULL, listen_fd);
 *	...
 *	fd = accept4(listen_fd, ...);
 *	lbctl_connection_opened(lb);
 *	...
 *	close(fd);
 *	lbctl_connection_closed(lb);
 *
 * A report is a few plain stores into a page shared with the kernel, and one clock read; there is
 * no system call in it. Where nothing steers the listener every call is a clock read, and at most
 * once a second a look whether that has changed: the calls can stay in for good.
 *
 * A worker that joins, with lbctl_worker_join(), is given its place by the service's keeper, the
 * process of `lbctl run` or `lbctl watch`: it takes no privilege, on any kernel from 5.10 on.
 *
 * How the worker's place is found otherwise, first hit counts:
 *   LBCTL_LOAD_FD and LBCTL_SLOT in the environment: an inherited descriptor of the service's
 *	lb_load map, and the slot in it. Needs no bpf(2), so it works under a seccomp filter and
 *	without privileges on every kernel. The library does not close the descriptor.
 *   /run/lbctl/bpf/SERVICE/	for unprivileged workers of the group the service was made for
 *   /sys/fs/bpf/lbctl/SERVICE/	for root
 *	In these two the listener is looked up by its socket cookie. Without a name of the service
 *	the directory must be readable. LBCTL_BPF_DIR names one directory instead of both; it is
 *	ignored in setuid programs. bpf(2) is called only when a service's directory is there.
 *
 * Threads: any thread may make any call on the same handle at any time, except
 * lbctl_worker_close(), which must be the last. No call blocks on another thread, none changes
 * errno except lbctl_worker_open() and lbctl_worker_join(). They are not async-signal-safe.
 *
 * fork(): a child inherits handles that go on working, each with a copy of the counts, and writes
 * to the same slot. So open a handle in the process that serves its listener, after the last
 * fork(), or, if opened before, use it in one process only; the others close it. exec() lets go.
 */
#ifndef LBCTL_H
#define LBCTL_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LBCTL_EXPORT __attribute__((visibility("default")))

/* One worker of one service. Opaque; owned by who opened it. */
struct lbctl_worker;

/**
 * lbctl_worker_open() - begin to report as the worker that serves listen_fd
 * @service: name of the service; NULL takes LBCTL_SERVICE from the environment, and without it
 *	whichever service steers listen_fd
 * @listen_fd: a listening (or soon listening) socket of this worker. The library asks for its
 *	cookie here and never uses it again: it stays the caller's. A worker that listens on several
 *	addresses of one service has one slot: it opens one handle, with any of its sockets.
 *
 * That lbctl is not there, or does not steer this socket, is no error: the handle then does
 * nothing and looks again by itself when reports are made, at most once a second.
 *
 * Return: a handle for lbctl_worker_close(), or NULL with errno ENOMEM, or EINVAL: listen_fd is
 * not a socket, or service is not a name (a letter, then letters, digits, `-`, `_`; at most 63).
 */
LBCTL_EXPORT struct lbctl_worker *lbctl_worker_open(const char *service, int listen_fd);

/**
 * lbctl_worker_join() - hand the worker's socket to the service's keeper, and begin to report
 * @service: name of the service; NULL takes LBCTL_SERVICE from the environment
 * @listen_fd: a socket of this worker, TCP, bound to the service's address with SO_REUSEPORT and
 *	listening. A duplicate goes to the keeper, which puts the socket into the service and closes
 *	it again: the socket stays the caller's, and leaves the service when it is closed.
 *
 * On return the socket gets connections. Joining again with the same socket changes nothing and
 * gives one more handle, as a worker wants after a service was detached and attached again (then
 * lbctl_worker_slot() is -1). A worker that listens on several addresses of the service joins with
 * each socket, reports through one of the handles and closes the others.
 *
 * Who may: root, the keeper's user, members of its --group, and the user of `lbctl run --user`.
 * With `lbctl watch` any socket may join that is in a group of the service; it becomes worker
 * LBCTL_WORKER, if the environment has that, else the lowest number that is free. With `lbctl run`
 * a process that run has started joins as the worker that it is, and one started by that in
 * another cgroup (a container) by LBCTL_WORKER; nobody else does. With --wait-ready joining says
 * that the worker is ready.
 *
 * The call waits for the keeper, 5 s at most.
 *
 * Return: a handle for lbctl_worker_close(), or NULL; then nothing has joined (after ETIMEDOUT: it
 * may still), lbctl_join_error() says why in words, and errno is
 *   EINVAL	not a name, or a socket that can't be a worker's of this service
 *   ENOENT	nobody keeps such a service on this host (or /run/lbctl is not in our mounts)
 *   ECONNREFUSED	its keeper died
 *   EACCES, EPERM	this user is not admitted, or the keeper lacks a right
 *   EBUSY	the keeper can't take it now: two sockets of that worker are in, it is being stopped
 *   ETIMEDOUT	the keeper does not answer
 *   EPROTO	it answered what makes no sense
 *   ENOMEM, EMFILE ...	as of socket() and connect()
 * A worker that is to serve in any case goes on with lbctl_worker_open().
 */
LBCTL_EXPORT struct lbctl_worker *lbctl_worker_join(const char *service, int listen_fd);

/**
 * lbctl_join_error() - why the calling thread's last lbctl_worker_join() failed
 *
 * Return: a sentence without full stop, "" if none has failed; valid until the thread's next
 * lbctl_worker_join().
 */
LBCTL_EXPORT const char *lbctl_join_error(void);

/**
 * lbctl_worker_number() - which worker this is, as `lbctl show` counts them
 * @worker: from lbctl_worker_join(), or NULL
 *
 * Return: the number that the keeper gave, or -1 if the handle is from lbctl_worker_open().
 */
LBCTL_EXPORT int lbctl_worker_number(struct lbctl_worker *worker);

/**
 * lbctl_worker_close() - stop reporting and free the handle
 * @worker: from lbctl_worker_open() or lbctl_worker_join(), or NULL
 *
 * The socket stays in the service. Call it when the listening socket is closed, also if
 * connections are still being served: a slot whose socket is closed may get another owner. What
 * was reported last stays until it is stale.
 */
LBCTL_EXPORT void lbctl_worker_close(struct lbctl_worker *worker);

/**
 * lbctl_worker_slot() - where this worker is in the service's maps
 * @worker: from lbctl_worker_open() or lbctl_worker_join(), or NULL
 *
 * Looks again if that is due, as a report does.
 *
 * Return: the slot, or -1 while nothing steers the worker's socket.
 */
LBCTL_EXPORT int lbctl_worker_slot(struct lbctl_worker *worker);

/**
 * lbctl_report_load() - say how loaded this worker is
 * @worker: from lbctl_worker_open(), or NULL (does nothing)
 * @load: in any unit that is the same for all workers of the service and grows by about one per
 *	connection, such as open connections, queued requests or busy threads; policy least-load
 *	adds one per connection it has sent since the report. Cut at 2^40 when compared.
 *
 * Connections counted by lbctl_connection_opened() are added to it, now and in later reports;
 * a worker uses one of the two ways, or gives its other load here. Report at least twice within
 * the service's stale time (1 s by default): an older report is not believed.
 */
LBCTL_EXPORT void lbctl_report_load(struct lbctl_worker *worker, uint64_t load);

/**
 * lbctl_heartbeat() - say that the worker lives, and that its last report still holds
 * @worker: from lbctl_worker_open(), or NULL (does nothing)
 *
 * For the timer of an event loop: it renews the time of the last report, so that an idle worker's
 * report does not go stale. Before the first report it gives a sign of life only.
 */
LBCTL_EXPORT void lbctl_heartbeat(struct lbctl_worker *worker);

/**
 * lbctl_connection_opened() - count a connection that was accepted, and report
 * @worker: from lbctl_worker_open(), or NULL (does nothing)
 *
 * Reports the number of open connections, plus what lbctl_report_load() said last. It counts also
 * while nothing steers the worker, so that the first report after that is right.
 */
LBCTL_EXPORT void lbctl_connection_opened(struct lbctl_worker *worker);

/**
 * lbctl_connection_closed() - count a connection that was closed, and report
 * @worker: from lbctl_worker_open(), or NULL (does nothing)
 *
 * Once for each lbctl_connection_opened(), from any thread.
 */
LBCTL_EXPORT void lbctl_connection_closed(struct lbctl_worker *worker);

#ifdef __cplusplus
}
#endif

#endif
