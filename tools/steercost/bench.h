/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What steercost measures: one reuseport group with a service that steers it, and the programs
 * (variants) that take turns on it. No function prints; each that may fail returns EXIT_DONE or
 * the status of *trouble.
 */
#ifndef STEERCOST_BENCH_H
#define STEERCOST_BENCH_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/trouble.h"
#include "lb_policies.h"
#include "service/state.h"

struct floor;

enum variant_id {
	VARIANT_EMPTY, /* bpf/floor.bpf.c: leaves the choice to the kernel */
	VARIANT_FIXED, /* bpf/floor.bpf.c: always slot 0 */
#define X(number, id, name, summary) VARIANT_##id,
	LB_POLICIES(X)
#undef X
		VARIANT_ALL_STALE, /* least-load with no believable report: a scan, then the table */
	VARIANTS,
};

struct variant {
	const char *name;
	uint32_t policy; /* 0 = a floor */
};

extern const struct variant bench_variants[VARIANTS];

struct bench {
	uint32_t workers;
	struct sockaddr_in addr;
	int *listeners;
	bool has_state;
	struct state state;
	struct floor *floor;
	double *ns[VARIANTS]; /* per decision, by batch */
};

/* Moves the process into a network and a mount namespace of its own, with a BPF file system. */
int bench_isolate(struct trouble *trouble);

/* Descriptors that a bench keeps open. */
uint32_t bench_descriptors(uint32_t workers);

/* Opens the listeners and brings their service up, with room for the figures of all batches. */
int bench_open(struct bench *bench, uint32_t workers, uint16_t port, uint32_t batches,
	       struct trouble *trouble);
/* A bench that is all zero, or that failed to open, may be closed too. */
void bench_close(struct bench *bench);

/*
 * Runs one batch: the mean time of a decision goes to bench->ns[id][batch]. The kernel must count
 * run times (bpf_enable_stats()) meanwhile.
 */
int bench_measure(struct bench *bench, enum variant_id id, uint32_t batch, uint32_t connections,
		  struct trouble *trouble);

/* Did every decision take the way that it was measured for? */
int bench_check(const struct bench *bench, struct trouble *trouble);

#endif
