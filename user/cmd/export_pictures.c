// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See export_pictures.h. */
#include "cmd/export_pictures.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "cmd/plot_record.h"

#define LEAST_SECONDS 0.9

struct picture {
	char service[LB_NAME_MAX + 1];
	struct plot_record *record;
	double looked; /* last */
	bool there;
};

static struct picture *find(const struct pictures *pictures, const char *service)
{
	for (size_t i = 0; i < pictures->count; i++) {
		if (!strcmp(pictures->items[i].service, service))
			return &pictures->items[i];
	}
	return NULL;
}

/* NULL without memory: then there is one picture less. */
static struct picture *add(struct pictures *pictures, const char *service)
{
	struct picture *more =
		reallocarray(pictures->items, pictures->count + 1, sizeof(*pictures->items));
	struct picture *new;

	if (!more)
		return NULL;
	pictures->items = more;
	new = &more[pictures->count];
	*new = (struct picture){ .record = plot_record_new(PICTURES_LOOKS) };
	if (!new->record)
		return NULL;
	strcpy(new->service, service);
	pictures->count++;
	return new;
}

static void look(struct pictures *pictures, const struct view *view, double time)
{
	struct picture *picture = find(pictures, view->name);

	if (!picture)
		picture = add(pictures, view->name);
	if (!picture)
		return;
	picture->there = true;
	/* a clock that was set back is no reason to wait */
	if (time >= picture->looked && time - picture->looked < LEAST_SECONDS)
		return;
	picture->looked = time;
	plot_record_add(picture->record, view, time);
}

void pictures_look(struct pictures *pictures, const struct view *views, size_t n, double time)
{
	for (size_t i = 0; i < pictures->count; i++)
		pictures->items[i].there = false;
	for (size_t i = 0; i < n; i++)
		look(pictures, &views[i], time);
	for (size_t i = 0; i < pictures->count;) {
		struct picture *picture = &pictures->items[i];

		if (picture->there) {
			i++;
			continue;
		}
		plot_record_free(picture->record);
		*picture = pictures->items[--pictures->count];
	}
}

void pictures_events(struct pictures *pictures, const json_t *events)
{
	for (size_t i = 0; i < json_array_size(events); i++) {
		const json_t *event = json_array_get(events, i);
		const char *service = json_string_value(json_object_get(event, "service"));
		struct picture *picture = service ? find(pictures, service) : NULL;

		if (picture)
			plot_record_event(picture->record, event);
	}
}

int pictures_write(const struct pictures *pictures, const char *service, FILE *out)
{
	const struct picture *picture = find(pictures, service);

	return picture ? plot_record_write(picture->record, out) : -ENOENT;
}

void pictures_free(struct pictures *pictures)
{
	for (size_t i = 0; i < pictures->count; i++)
		plot_record_free(pictures->items[i].record);
	free(pictures->items);
	*pictures = (struct pictures){ 0 };
}
