/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a run of the load generator found, as text and as JSON. */
#ifndef BENCH_LOAD_REPORT_H
#define BENCH_LOAD_REPORT_H

#include <jansson.h>
#include <stdio.h>

#include "load.h"

/* Siege's fields, percentiles, connections per worker, failures. */
void load_report_text(FILE *out, const struct load_plan *plan, const struct load_result *result);

/* The same as an object, to be json_decref()ed; NULL without memory. */
json_t *load_report_json(const struct load_plan *plan, const struct load_result *result);

/* The largest by the mean of the connections per worker. */
double load_report_spread(const struct load_result *result);

#endif
