/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What stands out of a service, and which command would help: facts in, findings out. Nothing is
 * read or printed here and there is no clock, so a test can make up any service.
 */
#ifndef EXPLAIN_H
#define EXPLAIN_H

#include "cmd/explain_facts.h"

/*
 * Finds what stands out, most telling first; a worker has at most one finding, and what follows
 * from something that was found is left out. Returns how many, at most `most`, which are written
 * to out. Facts may be any; without memory nothing is found.
 */
size_t explain(const struct explain_facts *facts, struct explain_finding *out, size_t most);

/* So many are enough: one for each worker, and one of each kind. */
#define EXPLAIN_MOST(nr_workers) ((size_t)(nr_workers) + EXPLAIN_NR_KINDS)

const char *explain_kind_name(enum explain_kind kind);

#endif
