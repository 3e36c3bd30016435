/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What tests of `lbctl explain` share: load for service "web" on port 8080, and what is found. */
#ifndef HARNESS_EXPLAINS_H
#define HARNESS_EXPLAINS_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/runs.h"

/* `workers` demo workers, with one more option and its value, or NULL. */
void explain_run(struct run *run, const char *workers, const char *policy, const char *option,
		 const char *value);

/* From this address of the loopback (host order); -1 = it can't be had. */
int explain_connect(uint32_t from);
/* Some 50 requests a second each of four processes, from so many addresses in turn. */
void traffic_start(unsigned int addresses, const char *path);
void traffic_stop(void);
/* So many more connections that stay open; and none of them any more. */
void keep(size_t n);
void keep_none(void);
/* How many connections all workers have. */
unsigned int live_of_all(void);

/*
 * Looks for so many seconds at the only service. This alone is found, of this worker (-1: of all,
 * -2: of any), and what helps has these words; latency-off may follow. To be json_decref()ed.
 */
json_t *explain_expect(const char *seconds, const char *kind, int worker, const char *remedy);
/* Nothing stands out. */
void explain_nothing(const char *seconds);
/* Types what was found to help, which must be a command. Takes what was found. */
void explain_carry_out(json_t *found);

#endif
