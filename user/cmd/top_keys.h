/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The keys of lbctl top: what each does, and what is asked before something is changed. No
 * terminal: a key in, a change to be made out.
 */
#ifndef TOP_KEYS_H
#define TOP_KEYS_H

#include "cmd/top_model.h"
#include "web/change.h"

/* Keys without a character of their own. */
enum top_key {
	TOP_KEY_UP = 256,
	TOP_KEY_DOWN,
	TOP_KEY_LEFT,
	TOP_KEY_RIGHT,
	TOP_KEY_PAGE_UP,
	TOP_KEY_PAGE_DOWN,
	TOP_KEY_HOME,
	TOP_KEY_END,
	TOP_KEY_ENTER,
	TOP_KEY_ERASE,
	TOP_KEY_ESCAPE,
};

struct top_keys {
	enum { TOP_LOOKS, TOP_HELPS, TOP_ASKS, TOP_CHOOSES_POLICY, TOP_TAKES_WEIGHT } mode;
	struct change change; /* that is asked about */
	char typed[8];	      /* a weight, so far */
	char message[256];    /* of the last line, "" = none */
};

enum top_wish {
	TOP_NOTHING,
	TOP_CHANGE, /* make keys->change */
	TOP_QUIT,
};

/* Takes a key. `page` is how many lines a page has. */
enum top_wish top_press(struct top_keys *keys, struct top *top, int key, size_t page);

/* The last line: a question, a message, or what there is to press. */
void top_bottom(const struct top_keys *keys, char *out, size_t bytes);

/* "drain worker 2 of web" */
void top_describe(const struct change *change, char *out, size_t bytes);

/* The lines of the help, ending with NULL. */
extern const char *const top_help[];

#endif
