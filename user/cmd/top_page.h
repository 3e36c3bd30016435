/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The screen of lbctl top, line by line, for a size. No terminal. */
#ifndef TOP_PAGE_H
#define TOP_PAGE_H

#include "cmd/top_keys.h"
#include "cmd/top_text.h"

#define TOP_LEAST_WIDTH 40
#define TOP_LEAST_HEIGHT 10

struct top_page {
	size_t first_service, first_worker; /* how far each part is scrolled */
	size_t lines; /* of the part that the arrows move in: what page up and down go by */
};

/* A line of the screen, from 0; lines that are not put are empty. */
typedef void (*top_put_fn)(void *arg, size_t row, enum top_look look, const char *text);

/*
 * Puts all lines of a screen of this height; one that is too small says so. `only` is the service
 * that was asked for, NULL = all.
 */
void top_page(struct top_page *page, const struct top *top, const struct top_keys *keys,
	      const struct top_style *style, size_t height, const char *only, top_put_fn put,
	      void *arg);

#endif
