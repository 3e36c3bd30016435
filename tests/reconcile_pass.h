/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One plan and single passes over it, for tests that write the facts themselves: see keeper/plan.h.
 * Where what processes do is to follow by itself there is reconcile_world.h.
 */
#ifndef RECONCILE_PASS_H
#define RECONCILE_PASS_H

#include "check.h"
#include "keeper/reconcile.h"

#define PASS_WORKERS 4

extern struct plan plan;
extern struct worker workers[PASS_WORKERS];
/* What the last pass asked for, and when it was. */
extern struct action actions[64];
extern size_t nr_actions;
extern uint64_t now_us;

/* Nobody is late for an hour. */
extern const struct plan_options pass_options;

/* A pass now; or so much later. */
void pass(void);
void pass_after(uint64_t us);

/* The first action of that kind for the worker, of the last pass; NULL = there is none. */
const struct action *asked(enum action_kind kind, uint32_t worker);

struct process *current(uint32_t worker);
struct process *next(uint32_t worker);
struct process *leaving(uint32_t worker);

/* Its program runs and accepts, and its sockets are registered. */
void come_up(struct process *process);

/* A plan after its first pass: processes were asked for; and after a second one: all are online. */
void begin_starting(const struct plan_options *options, uint32_t wanted);
void begin(const struct plan_options *options, uint32_t wanted);

#endif
