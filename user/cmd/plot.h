/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Curves over time as one SVG: panels below each other with the same axis of time, and marks of
 * what happened. It needs no other program, and what it draws knows nothing of services.
 */
#ifndef PLOT_H
#define PLOT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define PLOT_NAME_BYTES 32
#define PLOT_MARK_BYTES 64

struct plot_curve {
	char name[PLOT_NAME_BYTES];
	double *values; /* one for each time, from 0; NAN = none, and the curve has a gap */
};

struct plot_panel {
	const char *title;
	const char *label; /* of the upright axis: what, and its unit */
	struct plot_curve *curves;
	size_t nr_curves;
};

struct plot_mark {
	double time;
	char text[PLOT_MARK_BYTES];
};

struct plot {
	const char *title, *subtitle;
	double *times; /* seconds since 1970, rising */
	size_t nr_times;
	struct plot_panel *panels;
	size_t nr_panels;
	const struct plot_mark
		*marks; /* those before the first time and after the last are left out */
	size_t nr_marks;
};

/* Draws whatever there is, also without a single value. Strings are any text. */
void plot_write(FILE *out, const struct plot *plot);

#endif
