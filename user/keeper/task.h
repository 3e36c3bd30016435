/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Work that may have to wait (for a lock, for the kernel, for what a worker does with its
 * descriptors) runs in a child of its own with a deadline, so that the loop never does. A
 * descriptor that a worker may have spoiled is closed by the end of that child: a socket that
 * lingers holds up whoever closes it last, but not a process that ends.
 *
 * A child ends with its keeper: what that leaves is as whole as what any lbctl leaves that is
 * killed, and nothing of the keeper (lock, control socket) lives on in it.
 */
#ifndef TASK_H
#define TASK_H

#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

struct task;

/* What all tasks of one kind have in common. */
struct task_spec {
	/* In the child: its exit status. `shared` is memory that both see, of `shared_bytes`. */
	int (*run)(void *shared);
	/*
	 * In the loop, once: `status` is the exit status, -EINTR when the child was killed, or
	 * -ETIMEDOUT. `shared` goes with the return.
	 */
	void (*done)(void *arg, int status, void *shared);
	size_t shared_bytes;  /* 0 = there is none */
	uint64_t deadline_ms; /* TASK_NO_DEADLINE: it runs until it is cancelled */
};
#define TASK_NO_DEADLINE 0

/*
 * `shared` is what is in that memory at the beginning, NULL = zeros; `arg` is for done(). Returns
 * 0, and *task is for task_cancel() until done() is called; or -errno, and *task is NULL.
 */
int task_start(sd_event *loop, const struct task_spec *spec, const void *shared, void *arg,
	       struct task **task);

/* Ends it; `done` is not called. NULL is fine. */
void task_cancel(struct task *task);

/*
 * Closes descriptors that a worker gave us, or may have spoiled, without ever waiting for it; each
 * becomes -1, which is fine before, too. Where no child can be made they stay open.
 */
void task_drop_fds(int *fds, size_t n);
void task_drop_fd(int *fd);
#define _cleanup_drop_ __attribute__((cleanup(task_drop_fd)))

#endif
