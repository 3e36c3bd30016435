/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What was measured of workers' latency, in JSON and for Prometheus. */
#ifndef LATENCY_OUT_H
#define LATENCY_OUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "cmd/view.h"

/* Of one worker; the caller's. */
json_t *latency_json(const struct lb_latency *latency);

/*
 * Of all workers, for metrics_print(): a histogram for each of LB_LATENCY_TIMES with two
 * buckets for each power of two, and a counter for each of LB_LATENCY_SUMS. Services without
 * latency=on have no samples.
 */
void latency_print_metrics(FILE *out, bool openmetrics, const struct view *views, size_t n);

#endif
