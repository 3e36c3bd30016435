/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Load generators that others know, and ours, as programs: how each is told to load a URL, and what
 * its output says. All are asked for the same closed loop.
 */
#ifndef BENCH_TOOL_H
#define BENCH_TOOL_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "world.h"

#define TOOL_MAX_ARGS 24
#define TOOL_MAX_S 60

/* What they say. X(id, key, name, digits); NAN where one does not say it. */
#define TOOL_FIGURES(X)                                                                            \
	X(RATE, "rate", "req/s", 0)                                                                \
	X(MEAN, "mean_ms", "mean ms", 2)                                                           \
	X(P50, "p50_ms", "p50 ms", 2)                                                              \
	X(P99, "p99_ms", "p99 ms", 2)                                                              \
	X(REQUESTS, "requests", "requests", 0)                                                     \
	X(FAILED, "failed", "failed", 0)

enum tool_figure {
#define X(id, key, name, digits) TOOL_##id,
	TOOL_FIGURES(X)
#undef X
		TOOL_FIGURE_COUNT
};

struct tool_load {
	const char *url, *dir; /* dir: for files of the tool */
	unsigned int users, seconds;
	bool keep_alive;
};

struct tool_command {
	const char *argv[TOOL_MAX_ARGS];
	char texts[TOOL_MAX_ARGS][PATH_MAX]; /* what argv points to */
	size_t nr_texts;
};

struct tool {
	const char *name;
	const char *package; /* of Debian */
	/* Returns 0 or -errno: a file that it needs can't be written. */
	int (*prepare)(const struct tool_load *load, const struct world *world,
		       struct tool_command *command);
	/* Of all that it printed. Returns 0 or -EBADMSG. */
	int (*parse)(const char *output, double figures[TOOL_FIGURE_COUNT]);
};

#define TOOL_COUNT 4
extern const struct tool tools[TOOL_COUNT]; /* ours is the first */

extern const char *const tool_figure_keys[TOOL_FIGURE_COUNT];
extern const char *const tool_figure_names[TOOL_FIGURE_COUNT];
extern const int tool_figure_digits[TOOL_FIGURE_COUNT];

#endif
