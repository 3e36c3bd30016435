/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What tests of lb-bench share. */
#ifndef HARNESS_BENCHES_H
#define HARNESS_BENCHES_H

#include "harness/commands.h"
#include "harness/world.h"
/* Runs `lb-bench ARG...`, which must end within a minute. */
#define bench(output, ...)                                                                         \
	bench_run(output, (const char *const[]){ __VA_ARGS__ },                                    \
		  ARRAY_SIZE(((const char *const[]){ __VA_ARGS__ })))
void bench_run(struct output *output, const char *const *args, size_t n);

/* What it printed, to be json_decref()ed; fails the test if it is no JSON. */
json_t *bench_json(const struct output *output);

/* A number of an object, without its fraction; fails the test if there is none. */
long long bench_number(const json_t *object, const char *key);

#endif
