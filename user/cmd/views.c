// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See views.h. */
#include "cmd/views.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

typedef char service_name[LB_NAME_MAX + 1];

/* --- what stays open --- */

static void close_one(struct views_open *open, size_t i)
{
	pins_free(open->pins[i]);
	open->pins[i] = NULL;
}

void views_close(struct views_open *open)
{
	for (size_t i = 0; i < VIEWS_OPEN; i++)
		close_one(open, i);
}

/* Lets go of those that are not there any more. */
static void close_gone(struct views_open *open, const service_name *names, size_t n)
{
	for (size_t i = 0; i < VIEWS_OPEN; i++) {
		bool there = false;

		for (size_t k = 0; open->pins[i] && k < n && !there; k++)
			there = !strcmp(open->names[i], names[k]);
		if (!there)
			close_one(open, i);
	}
}

/* NULL where it can't be opened, or there is no room for it to stay open. */
static const struct state *open_one(struct views_open *open, const char *name)
{
	size_t place = VIEWS_OPEN;

	for (size_t i = 0; i < VIEWS_OPEN; i++) {
		bool same = open->pins[i] && !strcmp(open->names[i], name);

		if (same || (!open->pins[i] && place == VIEWS_OPEN))
			place = i;
		if (same)
			break;
	}
	if (place == VIEWS_OPEN)
		return NULL;
	if (!open->pins[place]) {
		snprintf(open->names[place], sizeof(open->names[place]), "%s", name);
		open->pins[place] = pins_new(name);
	}
	if (!open->pins[place])
		return NULL;
	pins_check(open->pins[place]);
	return pins_state(open->pins[place]);
}

/* --- a look --- */

static int load(const char *name, struct views_open *open, struct census *census, struct view *view)
{
	const struct state *state = open ? open_one(open, name) : NULL;

	return state ? view_load_by(state, census, view) : view_load_name(name, census, view);
}

static void add(struct views *views, const char *name, struct views_open *open,
		struct census *census)
{
	struct view *view = &views->at[views->count];
	int err = load(name, open, census, view);

	if (!err) {
		view_load_usage(view);
		views->count++;
	} else if (err != -ENOENT) {
		struct views_trouble *one = &views->unreadable[views->nr_unreadable++];

		snprintf(one->name, sizeof(one->name), "%s", name);
		state_trouble(&one->trouble, name, err);
	}
}

int views_load(struct views *views, const char *only, struct views_open *open)
{
	_cleanup_free_ service_name *names = NULL;
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
	if (open)
		close_gone(open, names, n);
	for (size_t i = 0; i < n; i++) {
		if (!only || !strcmp(only, names[i]))
			add(views, names[i], open, &census);
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
