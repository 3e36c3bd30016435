/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From several looks at a service to the facts that are explained: what has grown, what stays. */
#ifndef EXPLAIN_LOOKS_H
#define EXPLAIN_LOOKS_H

#include "cmd/explain_facts.h"
#include "cmd/view.h"

struct explain_looks;

/*
 * Begins with a first look, which is taken over, view_load_usage() included; also after an error.
 * NULL without memory.
 */
struct explain_looks *explain_looks_new(struct view *first);
void explain_looks_free(struct explain_looks *looks);

/* One more look, so many seconds after the first one; taken over as well. */
void explain_looks_add(struct explain_looks *looks, struct view *view, double seconds);

/*
 * The facts: they point into the looks, and are changed by the next one. Who keeps the service and
 * whether its latency could be measured no look tells; these are NOBODY and false.
 */
struct explain_facts *explain_looks_facts(struct explain_looks *looks);

/* The newest of them. */
const struct view *explain_looks_last(const struct explain_looks *looks);

#endif
