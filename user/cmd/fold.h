/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Text for people, who may have 80 columns. */
#ifndef FOLD_H
#define FOLD_H

#include <stddef.h>
#include <stdio.h>

#define FOLD_COLUMNS 80
#define FOLD_NEVER 0

/*
 * Prints a line and its newline, broken at spaces so that no line is longer than `columns`
 * (FOLD_NEVER: one line), and what follows a break is indented. A word that is longer stays whole.
 */
void fold_print(FILE *out, const char *line, size_t indent, size_t columns);

#endif
