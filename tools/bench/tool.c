// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See tool.h. */
#include "tool.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* More than there will be: ab takes a number beside the time, and keeps 40 bytes for each. */
#define AB_REQUESTS_PER_S 50000UL

const char *const tool_figure_keys[TOOL_FIGURE_COUNT] = {
#define X(id, key, name, digits) [TOOL_##id] = key,
	TOOL_FIGURES(X)
#undef X
};

const char *const tool_figure_names[TOOL_FIGURE_COUNT] = {
#define X(id, key, name, digits) [TOOL_##id] = name,
	TOOL_FIGURES(X)
#undef X
};

const int tool_figure_digits[TOOL_FIGURE_COUNT] = {
#define X(id, key, name, digits) [TOOL_##id] = digits,
	TOOL_FIGURES(X)
#undef X
};

__attribute__((format(printf, 2, 3))) static void add(struct tool_command *command,
						      const char *format, ...)
{
	char *text = command->texts[command->nr_texts];
	va_list args;

	if (command->nr_texts + 1 >= TOOL_MAX_ARGS) /* the last one stays NULL */
		return;
	va_start(args, format);
	vsnprintf(text, PATH_MAX, format, args);
	va_end(args);
	command->argv[command->nr_texts++] = text;
}

static int prepare_ours(const struct tool_load *load, const struct world *world,
			struct tool_command *command)
{
	add(command, "%.*s/lb-bench", PATH_MAX - 16, world->build);
	add(command, "load");
	add(command, "-c%u", load->users);
	add(command, "-t%uS", load->seconds);
	add(command, "--json");
	add(command, "-q");
	if (load->keep_alive)
		add(command, "-k");
	add(command, "%s", load->url);
	return 0;
}

/* Its own settings would come from a file in the user's home. */
static int prepare_siege(const struct tool_load *load, const struct world *world,
			 struct tool_command *command)
{
	char path[PATH_MAX];
	FILE *file;
	int err;

	(void)world;
	snprintf(path, sizeof(path), "%s/siegerc", load->dir);
	file = fopen(path, "we");
	if (!file)
		return -errno;
	err = fprintf(file,
		      "connection = %s\nlimit = %u\njson_output = true\nverbose = false\n"
		      "quiet = true\nlogging = false\nparser = false\ncache = false\n",
		      load->keep_alive ? "keep-alive" : "close", load->users) < 0;
	if (fclose(file) || err)
		return -EIO;
	add(command, "siege");
	add(command, "-R");
	add(command, "%s", path);
	add(command, "-b");
	add(command, "-c%u", load->users);
	add(command, "-t%uS", load->seconds);
	add(command, "%s", load->url);
	return 0;
}

/* One thread, as all of them have one but siege, which has one for each user. */
static int prepare_wrk(const struct tool_load *load, const struct world *world,
		       struct tool_command *command)
{
	(void)world;
	add(command, "wrk");
	add(command, "-t1");
	add(command, "-c%u", load->users);
	add(command, "-d%us", load->seconds);
	add(command, "--latency");
	if (!load->keep_alive)
		add(command, "-HConnection: close");
	add(command, "%s", load->url);
	return 0;
}

/* -l: answers differ in length. Percentiles with a fraction are in the table of -e only. */
static int prepare_ab(const struct tool_load *load, const struct world *world,
		      struct tool_command *command)
{
	(void)world;
	add(command, "ab");
	add(command, "-q");
	add(command, "-l");
	add(command, "-c%u", load->users);
	add(command, "-t%u", load->seconds);
	add(command, "-n%lu", load->seconds * AB_REQUESTS_PER_S);
	add(command, "-e/dev/stdout");
	if (load->keep_alive)
		add(command, "-k");
	add(command, "%s", load->url);
	return 0;
}

static void forget(double figures[TOOL_FIGURE_COUNT])
{
	for (int i = 0; i < TOOL_FIGURE_COUNT; i++)
		figures[i] = NAN;
}

/* What every tool says. */
static int check(const double figures[TOOL_FIGURE_COUNT])
{
	return isnan(figures[TOOL_RATE]) || isnan(figures[TOOL_REQUESTS]) ? -EBADMSG : 0;
}

static double json_at(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return json_is_number(value) ? json_number_value(value) : NAN;
}

/* The object that begins at the first brace; NULL = there is none. */
static json_t *load_json(const char *output)
{
	const char *brace = strchr(output, '{');

	return brace ? json_loads(brace, JSON_DISABLE_EOF_CHECK, NULL) : NULL;
}

static int parse_ours(const char *output, double figures[TOOL_FIGURE_COUNT])
{
	json_t *object = load_json(output);
	const json_t *percentiles = json_object_get(object, "percentiles_ms");

	forget(figures);
	figures[TOOL_RATE] = json_at(object, "transaction_rate");
	figures[TOOL_MEAN] = json_at(object, "response_ms");
	figures[TOOL_P50] = json_at(percentiles, "p50");
	figures[TOOL_P99] = json_at(percentiles, "p99");
	figures[TOOL_REQUESTS] = json_at(object, "transactions");
	figures[TOOL_FAILED] = json_at(object, "failed");
	json_decref(object);
	return check(figures);
}

/*
 * Its response time has steps of 10 ms. By Little's law it is concurrency by rate, and both of
 * those are printed with more digits.
 */
static int parse_siege(const char *output, double figures[TOOL_FIGURE_COUNT])
{
	json_t *object = load_json(output);

	forget(figures);
	figures[TOOL_RATE] = json_at(object, "transaction_rate");
	figures[TOOL_MEAN] = json_at(object, "concurrency") / figures[TOOL_RATE] * 1e3;
	figures[TOOL_REQUESTS] = json_at(object, "transactions");
	figures[TOOL_FAILED] = json_at(object, "failed_transactions");
	json_decref(object);
	return check(figures);
}

/* The number behind the first `label` in the output, NAN without one; *end is behind it. */
static double number_behind(const char *output, const char *label, const char **end)
{
	const char *found = strstr(output, label);
	char *rest = NULL;
	double value;

	if (!found)
		return NAN;
	found += strlen(label);
	value = strtod(found, &rest);
	*end = rest;
	return rest == found ? NAN : value;
}

static double number(const char *output, const char *label)
{
	const char *end;

	return number_behind(output, label, &end);
}

/* "0.92ms", as wrk has it. */
static double wrk_ms(const char *output, const char *label)
{
	static const struct {
		const char *name;
		double ms;
	} units[] = { { "us", 1e-3 }, { "ms", 1 }, { "s", 1e3 }, { "m", 60e3 }, { "h", 3600e3 } };
	const char *unit;
	double value = number_behind(output, label, &unit);

	for (size_t i = 0; !isnan(value) && i < sizeof(units) / sizeof(units[0]); i++) {
		if (!strncmp(unit, units[i].name, strlen(units[i].name)))
			return value * units[i].ms;
	}
	return NAN;
}

/* 0 where the line is not there: wrk prints it when there is something to say. */
static double or_zero(double value)
{
	return isnan(value) ? 0 : value;
}

/* Its rate counts answers of any status: those that failed are taken out, as the others do. */
static int parse_wrk(const char *output, double figures[TOOL_FIGURE_COUNT])
{
	const char *line = strstr(output, " requests in ");
	const char *errors = strstr(output, "Socket errors:");
	double bad = or_zero(number(output, "Non-2xx or 3xx responses:")), all = NAN;

	while (line && line > output && line[-1] != '\n')
		line--;
	if (line)
		all = strtod(line, NULL);
	forget(figures);
	figures[TOOL_RATE] = number(output, "Requests/sec:") * (1 - bad / fmax(all, 1));
	figures[TOOL_MEAN] = wrk_ms(output, "Latency  ");
	figures[TOOL_P50] = wrk_ms(output, " 50%");
	figures[TOOL_P99] = wrk_ms(output, " 99%");
	figures[TOOL_REQUESTS] = all - bad;
	figures[TOOL_FAILED] = bad;
	if (errors)
		figures[TOOL_FAILED] +=
			or_zero(number(errors, "connect ")) + or_zero(number(errors, "read ")) +
			or_zero(number(errors, "write ")) + or_zero(number(errors, "timeout "));
	return check(figures);
}

static int parse_ab(const char *output, double figures[TOOL_FIGURE_COUNT])
{
	double failed = or_zero(number(output, "Failed requests:")) +
			or_zero(number(output, "Non-2xx responses:"));
	double all = number(output, "Complete requests:");

	forget(figures);
	figures[TOOL_RATE] = number(output, "Requests per second:") * (1 - failed / fmax(all, 1));
	figures[TOOL_MEAN] = number(output, "Time per request:");
	figures[TOOL_P50] = number(output, "\n50,");
	figures[TOOL_P99] = number(output, "\n99,");
	figures[TOOL_REQUESTS] = all - failed;
	figures[TOOL_FAILED] = failed;
	return check(figures);
}

const struct tool tools[TOOL_COUNT] = {
	{ "lb-bench", NULL, prepare_ours, parse_ours },
	{ "siege", "siege", prepare_siege, parse_siege },
	{ "wrk", "wrk", prepare_wrk, parse_wrk },
	{ "ab", "apache2-utils", prepare_ab, parse_ab },
};
