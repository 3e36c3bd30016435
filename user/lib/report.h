/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a worker counts, and how a report is stored into its lb_load entry. Pure memory: no system
 * call, no clock, so that it is tested on plain memory.
 */
#ifndef LBCTL_LIB_REPORT_H
#define LBCTL_LIB_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "lb_abi.h"

/* All fields are accessed atomically: any thread may count. */
struct lbctl_counts {
	uint64_t base; /* what lbctl_report_load() said */
	uint64_t opened;
	uint64_t ended;
	bool reported; /* there was a report */
};

/* The load to report: base + open connections, never below base, never wrapping. */
uint64_t lbctl_counts_load(const struct lbctl_counts *counts);

/*
 * Stores a report made at now_ns (CLOCK_MONOTONIC): load first, its time after it, so that a reader
 * who sees the new time sees at least that load.
 */
void lbctl_report_store(struct lb_load *entry, const struct lbctl_counts *counts, uint64_t now_ns);

/* Stores a sign of life; the last report's time too, if there was one. */
void lbctl_report_heartbeat(struct lb_load *entry, const struct lbctl_counts *counts,
			    uint64_t now_ns);

/* lbctl has given the entry up: let go of its page. */
bool lbctl_report_is_closed(const struct lb_load *entry);

#endif
