// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See curses.h. */
#include "cmd/curses.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>

struct curses curses;

/* A pointer to a function, which no void * is in C. */
static int find(void *library, const char *name, void *pointer)
{
	void *found = dlsym(library, name);

	memcpy(pointer, &found, sizeof(found));
	return found ? 0 : -ENOENT;
}

int curses_load(const char **why)
{
	void *library = dlopen(CURSES_FILE, RTLD_NOW | RTLD_LOCAL);
	int err = library ? 0 : -ENOENT;

#define X(call)                                                                                    \
	if (!err)                                                                                  \
		err = find(library, #call, &curses.call);
	CURSES_CALLS(X)
#undef X
	if (!err)
		err = find(library, "stdscr", &curses.screen);
	*why = err ? dlerror() : NULL;
	return err;
}
