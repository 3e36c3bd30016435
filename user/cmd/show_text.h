/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A service as a table for people. */
#ifndef SHOW_TEXT_H
#define SHOW_TEXT_H

#include <stdbool.h>
#include <stdio.h>

#include "cmd/view.h"

/* In 80 columns; `wide`: all that is known, a line for each worker however long it gets. */
void show_text(FILE *out, const struct view *view, bool wide);

#endif
