/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How every command of lb-bench reads its command line: a table of options, each of which says what
 * value it takes and which field of the command's own structure that goes to.
 */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

#include "base/trouble.h"

#define OPTIONS_MAX 32 /* rows of a table */

enum options_kind {
	OPTIONS_FLAG,  /* takes no value; bool, becomes true */
	OPTIONS_HELP,  /* the same, and the rest is not read */
	OPTIONS_TEXT,  /* const char * */
	OPTIONS_COUNT, /* uint64_t, from min to max */
	OPTIONS_UINT,  /* unsigned int, the same */
	OPTIONS_REAL,  /* double, above min and at most max */
	OPTIONS_OTHER, /* set() has it */
};

struct options_row {
	const char *name; /* without its dashes */
	int letter;	  /* 0 = none */
	enum options_kind kind;
	size_t offset; /* of the field */
	uint64_t min, max;
	/* Returns EXIT_DONE or the status of *trouble. */
	int (*set)(void *fields, const char *text, struct trouble *trouble);
};

/*
 * Reads all options of argv into *fields, by a table that ends with a row without a name. `help`
 * is the command that shows them, for the error. What is left begins at argv[*rest]. Returns
 * EXIT_DONE, or EXIT_USAGE with *trouble set.
 */
int options_read(const struct options_row *rows, void *fields, int argc, char **argv,
		 const char *help, int *rest, struct trouble *trouble);

/*
 * The same for a command that takes nothing but options: what is left is refused, unless help was
 * asked for.
 */
int options_read_all(const struct options_row *rows, void *fields, int argc, char **argv,
		     const char *help, struct trouble *trouble);

/* A number with a fraction, larger than min and at most max: "0.5", "20". */
int options_real(const char *option, const char *text, double min, double max, double *value,
		 struct trouble *trouble);
/* A whole number. */
int options_count(const char *option, const char *text, uint64_t min, uint64_t max, uint64_t *value,
		  struct trouble *trouble);

#endif
