/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A terminal that a program runs in, with keys and what is on it: tmux's. */
#ifndef HARNESS_SCREENS_H
#define HARNESS_SCREENS_H

#include <stdbool.h>

#include "harness/world.h"

#define SCREEN_MS 20000 /* others may keep the CPUs busy */

/* Runs a shell's command in a terminal of this size, of UTF-8. screen_close() is to follow. */
void screen_start(unsigned int columns, unsigned int lines, const char *command);
/* The terminal goes away, as that of a closed window does. */
void screen_end(void);
/* The end of all of it, of what still runs there, too. */
void screen_close(void);
void screen_resize(unsigned int columns, unsigned int lines);

/* Keys by tmux's names, as "Down" and "C-c", with spaces between them. */
void screen_press(const char *keys);

/* What is on it now, line by line, with `colours` its escape sequences, too; to be freed. */
char *screen_read(bool colours);
/* Until these words are on it, or are not; fails the test with what is there. */
void screen_expect(const char *words);
void screen_expect_none(const char *words);

#endif
