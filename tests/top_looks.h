/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Looks at services that are made up, for the tests of lbctl top. */
#ifndef TOP_LOOKS_H
#define TOP_LOOKS_H

#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "cmd/top_model.h"
#include "lb_policies.h"

#define SECOND 1000000000ULL

/* A look that has so many services, as look_add() adds them. */
static inline struct views look_of(size_t most)
{
	struct views look = { .at = calloc(most + 1, sizeof(*look.at)),
			      .unreadable = calloc(1, sizeof(*look.unreadable)) };

	assert_non_null(look.at);
	return look;
}

/* Each worker has decided so many more than the one before, the first `selected`. */
static inline struct view *look_add(struct views *look, const char *name, uint32_t workers,
				    uint64_t selected, uint64_t step)
{
	struct view *view = &look->at[look->count++];

	snprintf(view->name, sizeof(view->name), "%s", name);
	view->policy = LB_POLICY_LEAST_CONN;
	view->workers = calloc(workers + 1, sizeof(*view->workers));
	view->nr_workers = workers;
	for (uint32_t i = 0; i < workers; i++) {
		struct view_worker *w = &view->workers[i];

		w->worker = i;
		w->state = "up";
		w->pid = 100 + i;
		w->weight = 1;
		w->selected = selected + i * step;
		view->selected += w->selected;
		view->decisions += w->selected;
	}
	return view;
}

/* One service, now and a second later. */
static inline void take_two(struct top *top, uint32_t workers, uint64_t step)
{
	struct views look = look_of(1);

	look_add(&look, "web", workers, 0, 0);
	top_take(top, &look, SECOND);
	look = look_of(1);
	look_add(&look, "web", workers, step, step);
	top_take(top, &look, 2 * SECOND);
}

#endif
