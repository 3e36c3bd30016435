// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See views.h. */
#include "cmd/views.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

static void add(struct views *views, const char *name, struct census *census)
{
	struct view *view = &views->at[views->count];
	int err = view_load_name(name, census, view);

	if (!err) {
		view_load_usage(view);
		views->count++;
	} else if (err != -ENOENT) {
		struct views_trouble *one = &views->unreadable[views->nr_unreadable++];

		snprintf(one->name, sizeof(one->name), "%s", name);
		state_trouble(&one->trouble, name, err);
	}
}

int views_load(struct views *views, const char *only)
{
	_cleanup_free_ char(*names)[LB_NAME_MAX + 1] = NULL;
	struct census census = { .of_all = !only };
	size_t n = 0;
	int err = state_names(&names, &n);

	*views = (struct views){ 0 };
	if (err && err != -ENODEV)
		return err;
	views->at = calloc(n + 1, sizeof(*views->at));
	views->unreadable = calloc(n + 1, sizeof(*views->unreadable));
	if (!views->at || !views->unreadable)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		if (!only || !strcmp(only, names[i]))
			add(views, names[i], &census);
	}
	census_free(&census);
	return 0;
}

void views_free(struct views *views)
{
	for (size_t i = 0; i < views->count; i++)
		view_free(&views->at[i]);
	free(views->at);
	free(views->unreadable);
	*views = (struct views){ 0 };
}
