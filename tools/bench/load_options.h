/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The command line of `lb-bench load`: siege's letters where siege has them. */
#ifndef BENCH_LOAD_OPTIONS_H
#define BENCH_LOAD_OPTIONS_H

#include <stdbool.h>

#include "base/trouble.h"
#include "load.h"

struct load_options {
	struct load_plan plan; /* its targets are set by whoever runs it */
	const char *file;      /* of URLs; NULL = url */
	const char *url;
	bool benchmark; /* no delay, whatever -d says */
	bool json, quiet, help;
};

extern const char load_options_help[];

/* Returns EXIT_DONE or the status of *trouble. Nothing is opened or looked up. */
int load_options_parse(struct load_options *options, int argc, char **argv,
		       struct trouble *trouble);

/* "10S", "2M", "1h" as siege has it: without a unit it is minutes. */
int load_options_time(const char *text, double *seconds, struct trouble *trouble);

#endif
