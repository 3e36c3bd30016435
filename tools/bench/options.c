// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See options.h. */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"

#define FIRST_LONG 256 /* what getopt_long() returns for row 0 where it has no letter */

int options_real(const char *option, const char *text, double min, double max, double *value,
		 struct trouble *trouble)
{
	char *end;
	double number;

	errno = 0;
	number = strtod(text, &end);
	if (errno || *end || text[strspn(text, "0123456789.")] || !*text || number <= min ||
	    number > max)
		return trouble_set(trouble, EXIT_USAGE,
				   "%s: '%s' is not a number above %g and at most %g", option, text,
				   min, max);
	*value = number;
	return EXIT_DONE;
}

int options_count(const char *option, const char *text, uint64_t min, uint64_t max, uint64_t *value,
		  struct trouble *trouble)
{
	if (parse_u64(text, min, max, value))
		return trouble_set(trouble, EXIT_USAGE,
				   "%s: '%s' is not a number from %llu to %llu", option, text,
				   (unsigned long long)min, (unsigned long long)max);
	return EXIT_DONE;
}

static bool takes_value(const struct options_row *row)
{
	return row->kind != OPTIONS_FLAG && row->kind != OPTIONS_HELP;
}

static int value_of(const struct options_row *rows, size_t i)
{
	return rows[i].letter ? rows[i].letter : FIRST_LONG + (int)i;
}

/* The same table as getopt_long() wants it. */
static void translate(const struct options_row *rows, struct option *all, char *letters)
{
	size_t i;

	*letters++ = ':'; /* a missing value is told apart from an unknown option */
	for (i = 0; i < OPTIONS_MAX && rows[i].name; i++) {
		all[i] = (struct option){
			.name = rows[i].name,
			.has_arg = takes_value(&rows[i]) ? required_argument : no_argument,
			.val = value_of(rows, i),
		};
		if (!rows[i].letter)
			continue;
		*letters++ = rows[i].letter;
		if (takes_value(&rows[i]))
			*letters++ = ':';
	}
	all[i] = (struct option){ 0 };
	*letters = '\0';
}

static int set(const struct options_row *row, void *fields, const char *text,
	       struct trouble *trouble)
{
	char *field = (char *)fields + row->offset, name[32];
	uint64_t count = 0;
	int status;

	if (row->letter)
		snprintf(name, sizeof(name), "-%c", row->letter);
	else
		snprintf(name, sizeof(name), "--%s", row->name);
	switch (row->kind) {
	case OPTIONS_FLAG:
	case OPTIONS_HELP:
		*(bool *)field = true;
		break;
	case OPTIONS_TEXT:
		*(const char **)field = text;
		break;
	case OPTIONS_COUNT:
		return options_count(name, text, row->min, row->max, (uint64_t *)field, trouble);
	case OPTIONS_UINT:
		status = options_count(name, text, row->min, row->max, &count, trouble);
		if (!status)
			*(unsigned int *)field = count;
		return status;
	case OPTIONS_REAL:
		return options_real(name, text, row->min, row->max, (double *)field, trouble);
	case OPTIONS_OTHER:
		return row->set(fields, text, trouble);
	}
	return EXIT_DONE;
}

/* A letter may stand in the middle of others: -bx. */
static int refuse(int why, char **argv, const char *help, struct trouble *trouble)
{
	const char letter[] = { '-', optopt, '\0' };

	return trouble_set(trouble, EXIT_USAGE, "%s '%s'; see %s",
			   why == ':' ? "no value after" : "unknown option",
			   optopt > 0 && optopt < FIRST_LONG ? letter : argv[optind - 1], help);
}

static int read_options(const struct options_row *rows, void *fields, int argc, char **argv,
			const char *help, bool *helps, struct trouble *trouble)
{
	struct option all[OPTIONS_MAX + 1];
	char letters[2 * OPTIONS_MAX + 2];
	int option, status = EXIT_DONE;
	size_t i;

	translate(rows, all, letters);
	opterr = 0;
	optind = 0;
	*helps = false;
	while (!status && !*helps && (option = getopt_long(argc, argv, letters, all, NULL)) != -1) {
		if (option == ':' || option == '?')
			return refuse(option, argv, help, trouble);
		for (i = 0; value_of(rows, i) != option; i++)
			continue;
		status = set(&rows[i], fields, optarg, trouble);
		*helps = rows[i].kind == OPTIONS_HELP;
	}
	return status;
}

int options_read(const struct options_row *rows, void *fields, int argc, char **argv,
		 const char *help, int *rest, struct trouble *trouble)
{
	bool helps;
	int status = read_options(rows, fields, argc, argv, help, &helps, trouble);

	*rest = optind;
	return status;
}

int options_read_all(const struct options_row *rows, void *fields, int argc, char **argv,
		     const char *help, struct trouble *trouble)
{
	bool helps;
	int status = read_options(rows, fields, argc, argv, help, &helps, trouble);

	if (!status && !helps && optind < argc)
		return trouble_set(trouble, EXIT_USAGE, "what is '%s'? see %s", argv[optind], help);
	return status;
}
