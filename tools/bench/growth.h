/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How lbctl's cost grows: attach and detach, start, reload and stop with the number of workers;
 * attach and a decision with the number of services on the host. Run it inside of world_enter()'s
 * world; functions return EXIT_DONE or the status of *trouble.
 */
#ifndef BENCH_GROWTH_H
#define BENCH_GROWTH_H

#include <stdbool.h>

#include "figures.h"
#include "world.h"

#define GROWTH_MAX_ROUNDS 100

/* Low and high are the smallest and the largest. */
struct growth_workers {
	unsigned int workers;
	struct interval attach_ms, detach_ms;
};

struct growth_run {
	unsigned int workers;
	bool listen; /* with --listen; else each worker binds the port itself */
	double online_s, reload_s, stop_s;
	double online_cpu_s, reload_cpu_s; /* of lbctl run alone, without its children */
	double memory_mb;		   /* that it has after the reload */
};

struct growth_services {
	unsigned int services;	/* attached, four workers each */
	double attach_ms;	/* the median of those attached since the last step */
	struct interval one_ns; /* of a decision, all for one service; 10th to 90th percentile */
	struct interval in_turn_ns; /* for all of them in turn, which finds less in the caches */
	struct interval connect_us; /* of a whole connect() to the one */
};

/* `lbctl attach` and `lbctl detach` of so many listeners, as whole processes. */
int growth_attach(const struct world *world, unsigned int workers, unsigned int rounds,
		  struct growth_workers *out, struct trouble *trouble);

/* `lbctl run` of so many workers: until all are online, a reload of all, the end of all. */
int growth_run(const struct world *world, struct growth_run *run, struct trouble *trouble);

/* lbctl with these arguments, at most six. Returns the milliseconds, negative when it failed. */
double growth_lbctl_ms(const struct world *world, const char *const args[]);

/* For each of `n` rising numbers of services, at most GROWTH_MAX_SERVICES. */
#define GROWTH_MAX_SERVICES 64
int growth_services(const struct world *world, const unsigned int *numbers, size_t n,
		    struct growth_services *out, struct trouble *trouble);

#endif
