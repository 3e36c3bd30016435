/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Looks at a service that are kept, for a picture of them: its spread, and how long it takes. */
#ifndef PLOT_RECORD_H
#define PLOT_RECORD_H

#include <jansson.h>
#include <stdio.h>

#include "cmd/view.h"

struct plot_record;

/* Keeps the last so many looks, 2 or more. NULL without memory; plot_record_free() is to follow. */
struct plot_record *plot_record_new(size_t most);
void plot_record_free(struct plot_record *record);

/* One more look, at so many seconds since 1970. Copies what it needs. 0 or -ENOMEM. */
int plot_record_add(struct plot_record *record, const struct view *view, double time);

/* What its keeper told, as lbctl-json(5) has an event: one that is a mark is kept, once. */
void plot_record_event(struct plot_record *record, const json_t *event);

/*
 * Draws it: connections a second of each worker; with latency=on the first byte, else open
 * connections of each worker, and what waits. 0 or -ENOMEM.
 */
int plot_record_write(const struct plot_record *record, FILE *out);

#endif
