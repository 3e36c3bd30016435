// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See top_page.h. */
#include "cmd/top_page.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

#define MARK_WIDTH 2  /* "> " */
#define OTHER_LINES 5 /* summary, titles, the service's own line, titles, the last line */

struct out {
	const struct top_style *style; /* of the whole screen */
	top_put_fn put;
	void *arg;
	size_t row;
};

static void put(struct out *out, enum top_look look, const char *mark, const char *text)
{
	char line[TOP_LINE_BYTES + MARK_WIDTH];

	snprintf(line, sizeof(line), "%s%s", mark, text);
	for (char *at = line; *at && !out->style->utf8; at++) {
		if (*at & 0x80)
			*at = '?';
	}
	out->put(out->arg, out->row++, look, line);
}

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* How many lines the services have: as many as there are, unless the workers need the room more. */
static size_t service_lines(const struct top *top, size_t room)
{
	const struct top_service *selected = top_selected(top);
	size_t workers = selected ? selected->view.nr_workers : 0;
	size_t least = room / 3, left = workers < room ? room - workers : 0;

	return smaller(top->nr_services, left > least ? left : least);
}

static void put_services(struct out *out, struct top_page *page, const struct top *top,
			 const struct top_style *style, size_t lines)
{
	char text[TOP_LINE_BYTES];

	top_service_line(style, NULL, text);
	put(out, TOP_TITLE, "  ", text);
	page->first_service =
		top_scroll(page->first_service, top->service, lines, top->nr_services);
	for (size_t i = page->first_service; i < page->first_service + lines; i++) {
		bool selected = i == top->service;

		top_service_line(style, &top->services[i], text);
		put(out, selected && !top->in_workers ? TOP_SELECTED : TOP_PLAIN,
		    selected ? "> " : "  ", text);
	}
}

static void put_workers(struct out *out, struct top_page *page, const struct top *top,
			const struct top_style *style, size_t room)
{
	const struct top_service *service = top_selected(top);
	size_t lines = smaller(service->view.nr_workers, room);
	char text[TOP_LINE_BYTES];

	top_service_head(service, text);
	text_cut(text, out->style->width);
	put(out, TOP_PLAIN, "", text);
	top_worker_line(style, service, TOP_TITLES, text);
	put(out, TOP_TITLE, "  ", text);
	page->first_worker =
		top_scroll(page->first_worker, top->worker, lines, service->view.nr_workers);
	for (uint32_t i = page->first_worker; i < page->first_worker + lines; i++) {
		bool selected = top->in_workers && i == top->worker;

		top_worker_line(style, service, i, text);
		put(out, selected ? TOP_SELECTED : top_worker_look(service, i),
		    selected ? "> " : "  ", text);
	}
	page->lines = top->in_workers ? lines : page->lines;
}

static void put_unreadable(struct out *out, const struct top *top, size_t lines)
{
	char text[TOP_LINE_BYTES];

	for (size_t i = 0; i < lines; i++) {
		text_format(text, sizeof(text), "%s: %s", top->unreadable[i].name,
			    top->unreadable[i].trouble.text);
		text_cut(text, out->style->width - MARK_WIDTH);
		put(out, TOP_BAD, "  ", text);
	}
}

static void put_looks(struct out *out, struct top_page *page, const struct top *top, size_t height,
		      const char *only)
{
	struct top_style style = *out->style;
	size_t unreadable = smaller(top->nr_unreadable, 2), services;
	size_t room = height - OTHER_LINES - unreadable;

	style.width -= MARK_WIDTH;
	services = service_lines(top, room);
	page->lines = services;
	if (services)
		put_services(out, page, top, &style, services);
	else if (only)
		put(out, TOP_CAREFUL, "no service ", only);
	else if (!unreadable)
		put(out, TOP_CAREFUL, "",
		    "there is no service; lbctl run or lbctl attach makes one");
	put_unreadable(out, top, unreadable);
	if (services)
		put_workers(out, page, top, &style, room - services);
}

void top_page(struct top_page *page, const struct top *top, const struct top_keys *keys,
	      const struct top_style *style, size_t height, const char *only, top_put_fn put_line,
	      void *arg)
{
	struct out out = { .style = style, .put = put_line, .arg = arg };
	char text[TOP_LINE_BYTES];

	if (style->width < TOP_LEAST_WIDTH || height < TOP_LEAST_HEIGHT) {
		snprintf(text, sizeof(text), "too small");
		text_cut(text, style->width);
		put(&out, TOP_PLAIN, "", text);
		return;
	}
	top_summary(top, text);
	text_cut(text, style->width);
	put(&out, TOP_PLAIN, "", text);
	if (keys->mode == TOP_HELPS) {
		for (size_t i = 0; top_help[i] && out.row < height - 1; i++) {
			snprintf(text, sizeof(text), "%s", top_help[i]);
			text_cut(text, style->width);
			put(&out, TOP_PLAIN, "", text);
		}
	} else {
		put_looks(&out, page, top, height, only);
	}
	out.row = height - 1;
	top_bottom(keys, text, sizeof(text));
	text_cut(text, style->width - 1);
	put(&out, keys->mode == TOP_LOOKS && !*keys->message ? TOP_PLAIN : TOP_SELECTED, "", text);
}
