/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A world for the plan of keeper/reconcile.h: processes that do as they are told, or not, a clock,
 * and the promises that hold at every moment. It stands for all that the keeper has around it.
 */
#ifndef RECONCILE_WORLD_H
#define RECONCILE_WORLD_H

#include "check.h"
#include "keeper/plan.h"

#define WORLD_WORKERS 6
#define WORLD_MS 1000ULL

/* How a process behaves; times in microseconds, from its start or from what it answers. */
struct habit {
	uint64_t exec_us;  /* until the program runs, PLAN_NEVER = it is stuck before */
	uint64_t ready_us; /* then until READY=1, or it accepts */
	uint64_t in_us;	   /* then until its sockets are registered */
	uint64_t dies_us;  /* from its start to its end, unasked */
	uint64_t ends_us;  /* from SIGTERM to its end; PLAN_NEVER: it ignores it */
	uint64_t reads_us; /* until it has read all, once drained */
	uint64_t works_us; /* until it has answered all, from then or from the stop on */
	int start_error;   /* it can't be executed */
	int status;	   /* that it ends with */
	bool cant_be_killed;
	bool is_wrapped;    /* its main process ends at once, and hands the signal to nobody */
	uint64_t renews_us; /* until it has made others, once told to; PLAN_NEVER: it does not */
	bool unseen;	    /* of --listen: what it waits for is not seen */
	bool alone;	    /* has a port for itself: the next process would die beside it */
};

struct fake {
	uint32_t worker, generation;
	bool alive, executed, ready, in, exited;
	bool in_table; /* connections come to it */
	bool main_ended, rest_told;
	enum lifecycle mark;
	struct habit habit;
	uint64_t start_us, drained_us, ends_us;
	uint64_t told_us;  /* since when it is to end: it was drained, or told so; 0 = it was not */
	uint64_t asked_us; /* since when it is seen to be at work */
	uint64_t renew_us; /* when it was told to make others */
};

/* Sockets of --listen, which outlive their process. */
struct fake_sockets {
	uint32_t worker, generation; /* whose they are; 0 = none */
	bool in_table;		     /* connections come to them */
	uint64_t drained_us;
};

struct world {
	struct plan plan;
	struct worker workers[WORLD_WORKERS];
	struct plan_options options;
	struct habit habit;	 /* of processes that start from now on */
	struct habit next_habit; /* of the next one alone, where `nexts` says so */
	unsigned int nexts;
	struct fake fakes[4 * WORLD_WORKERS];
	struct fake_sockets sockets[WORLD_WORKERS * ROLES];
	uint64_t now_us;
	uint64_t drain_takes_us; /* until the table is published */
	bool ended;
	bool faultless; /* no process does what it should not: then nobody is ever missed */
	unsigned int steps, starts, renews, kills, retired, finished, told[WHY_DONE + 1];
	enum plan_why finish; /* of the last operation */
	struct action last_finish;
	enum plan_why last_signal;
	uint64_t last_backoff_us;
	unsigned int stop_after; /* steps; then world_run() returns */
};

/* Ready at once, ends within 20 ms. */
extern const struct habit good_habit;

/* As `lbctl run` without an option, but that nobody is waited for. */
extern const struct plan_options world_options;

void world_begin(struct world *world, const struct plan_options *options, uint32_t wanted);
/* ... and until all are online. */
void world_come_up(struct world *world, const struct plan_options *options, uint32_t wanted);
/* Goes on until nothing happens any more, or `stop_after` passes with actions were made. */
void world_run(struct world *world);
/* ... or until this time. */
void world_run_until(struct world *world, uint64_t until_us);
/* A new keeper, which knows what is left on the processes, and how many are wanted. */
void world_kill_keeper(struct world *world);

struct fake *world_fake(struct world *world, uint32_t worker, uint32_t generation);
struct fake *world_role(struct world *world, uint32_t worker, enum plan_role role);
/* It says STOPPING=1, and ends 30 ms later. */
void world_stop_by_itself(struct world *world, struct fake *fake);
uint32_t world_serving(const struct world *world);
/* Successors of wanted workers that have nobody's place yet. */
uint32_t world_on_their_way(const struct world *world);
/* `wanted` workers are online, one process each, and nothing else lives. */
void world_expect_promised(struct world *world, const char *name);

#endif
