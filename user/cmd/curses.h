/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * ncurses, loaded when it is wanted: lbctl is copied to hosts that may lack it, and no other
 * command needs it.
 */
#ifndef CURSES_LOADED_H
#define CURSES_LOADED_H

#define NCURSES_NOMACROS
#include <curses.h>

#define CURSES_FILE "libncursesw.so.6"

#define CURSES_CALLS(X)                                                                            \
	X(newterm)                                                                                 \
	X(delscreen)                                                                               \
	X(endwin)                                                                                  \
	X(isendwin)                                                                                \
	X(cbreak)                                                                                  \
	X(noecho)                                                                                  \
	X(nonl)                                                                                    \
	X(keypad)                                                                                  \
	X(nodelay)                                                                                 \
	X(set_escdelay)                                                                            \
	X(curs_set)                                                                                \
	X(has_colors)                                                                              \
	X(start_color)                                                                             \
	X(use_default_colors)                                                                      \
	X(init_pair)                                                                               \
	X(resizeterm)                                                                              \
	X(clearok)                                                                                 \
	X(werase)                                                                                  \
	X(wmove)                                                                                   \
	X(waddstr)                                                                                 \
	X(wattr_set)                                                                               \
	X(wrefresh)                                                                                \
	X(wgetch)

/* curses.wmove() is wmove(), once curses_load() has returned 0. */
struct curses {
#define X(call) __typeof__(call) *call;
	CURSES_CALLS(X)
#undef X
	WINDOW **screen; /* stdscr */
};
extern struct curses curses;

/* Returns 0, or -ENOENT with *why what the loader says (static memory). */
int curses_load(const char **why);

#endif
