/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Moves the connections that wait in a stuck worker's accept queue to the others. The kernel does
 * that with a listener's queue when it is shut down; listening again at once, while the worker is
 * held still, puts it back without the worker knowing. What the worker accepted stays with it.
 */
#ifndef RESCUE_H
#define RESCUE_H

#include <stdint.h>
#include <sys/types.h>

#include "service/stall.h"
#include "service/state.h"

/*
 * A handshake that ends just while its listener closes is reset. So a slot gets no new ones for so
 * long first: those under way end, and a client that is silent must not block.
 */
#define HANDSHAKES_MS 50

/* X(IDENTIFIER, "what to say of it") */
#define RESCUE_RESULTS(X)                                                                          \
	X(DONE, "what waited has moved")                                                           \
	X(NOTHING_WAITS, "nothing waits there")                                                    \
	X(DATAGRAMS, "its service is UDP, of which nothing can be moved")                          \
	X(NO_OTHER, "no other worker accepts")                                                     \
	X(KERNEL, "this kernel can't move a queue (needs 5.14)")                                   \
	X(NOT_PERMITTED, "not permitted; it takes CAP_SYS_PTRACE, CAP_BPF and CAP_PERFMON")        \
	X(SEVERAL_SLOTS, "its process serves several workers and runs, so it can't be held still") \
	X(NOT_STILL, "its process could not be held still")                                        \
	X(GONE, "its socket is gone")                                                              \
	X(FAILED, "failed")                                                                        \
	X(KILLED, "the rescue was killed, and what it had begun was ended")

enum rescue_result {
#define X(id, text) RESCUE_##id,
	RESCUE_RESULTS(X)
#undef X
};

/*
 * Begins to rescue a slot's queues in a process of its own, which takes the service's lock.
 * `keeper` is the lbctl that keeps the service, 0 = none: it is no worker. A sampler of the service
 * saves the time to make one; NULL = none. Returns the process, to be waited for, or -errno.
 */
pid_t rescue_start(const char *service, uint32_t slot, pid_t keeper, struct sampler *sampler);

/* What became of it: `status` as of waitpid(2). After RESCUE_KILLED a rescue_repair() is due. */
enum rescue_result rescue_result(int status);

/* The same, with the repair, for which it takes the service's lock. */
enum rescue_result rescue_end(const char *service, int status);

/* A sentence without capital and full stop. */
const char *rescue_text(enum rescue_result result);

/*
 * Ends what a killed lbctl had begun: its listener listens again and is back in its slot. Cheap if
 * there is nothing to do. The state must be locked.
 */
void rescue_repair(struct state *state);

#endif
