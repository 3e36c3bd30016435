/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* lbctl top on a terminal. */
#ifndef TOP_SCREEN_H
#define TOP_SCREEN_H

#include <stdint.h>

/*
 * Shows all services, or with `only`, not NULL, this one, anew every `interval_ms`, and does what
 * keys ask for, until q or a signal that ends, or until the terminal is gone. The terminal is left
 * as it was. Returns 0; -ENOENT where the library is missing, *why saying more; -ENOTTY where it
 * does not know the terminal; or -errno of looking, if that fails at once.
 */
int top_screen(const char *only, uint64_t interval_ms, const char **why);

#endif
