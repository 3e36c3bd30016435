// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* lbctl stats: every counter by name, once or at an interval, for Prometheus, or as a picture. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "cmd/cmd.h"
#include "cmd/fold.h"
#include "cmd/interrupt.h"
#include "cmd/metrics.h"
#include "cmd/stats_plot.h"
#include "cmd/view.h"

/* Of stats --interval: a figure, and where those of the workers begin. */
#define RATE_WIDTH 8
#define RATES_INDENT 29
#define COUNTER_INDENT 31 /* where the meaning of a counter begins */

static int load_view_by(const struct cmd *cmd, const char *name, struct census *census,
			struct view *view)
{
	struct trouble trouble;
	struct state state;
	int err = state_open(&state, name, STATE_READ);

	if (err) {
		state_trouble(&trouble, name, err);
		return cmd_trouble(cmd, &trouble);
	}
	err = view_load_by(&state, census, view);
	state_close(&state);
	return err ? cmd_fail(cmd, EXIT_FAILED, "can't read its maps: %s", strerror(-err)) :
		     EXIT_DONE;
}

static int load_view(const struct cmd *cmd, const char *name, struct view *view)
{
	struct census census = { 0 };
	int status = load_view_by(cmd, name, &census, view);

	census_free(&census);
	return status;
}

static json_t *stats_json(const struct view *view)
{
	json_t *counters = json_object(), *workers = json_array();

	for (uint32_t i = 0; i < view->nr_workers; i++) {
		json_t *row = text_pack("{s:i}", "worker", i);

#define X(field, help) json_object_set_new(row, #field, json_integer(view->workers[i].field));
		LB_SLOT_COUNTERS(X)
#undef X
		json_array_append_new(workers, row);
	}
#define X(field, help) json_object_set_new(counters, #field, json_integer(view->counters.field));
	LB_COUNTERS(X)
#undef X
	return text_pack("{s:i, s:s, s:s, s:I, s:o, s:o}", "schema", 1, "service", view->name,
			 "policy", policy_name(view->policy), "decisions",
			 (json_int_t)view->decisions, "counters", counters, "workers", workers);
}

static void print_counter(const char *name, uint64_t value, const char *help)
{
	char line[256];

	snprintf(line, sizeof(line), "%-16s %12lu  %s", name, (unsigned long)value, help);
	fold_print(stdout, line, COUNTER_INDENT, FOLD_COLUMNS);
}

static void print_stats(const struct view *view)
{
	printf("%s  policy %s  %lu decisions\n", view->name, policy_name(view->policy),
	       (unsigned long)view->decisions);
	printf("%-6s %12s %12s %12s %12s\n", "WORKER", "selected", "skipped", "migrated in",
	       "migrated out");
	for (uint32_t i = 0; i < view->nr_workers; i++) {
		const struct view_worker *w = &view->workers[i];

		printf("%-6u %12lu %12lu %12lu %12lu\n", i, (unsigned long)w->selected,
		       (unsigned long)w->skipped, (unsigned long)w->migrated_in,
		       (unsigned long)w->migrated_out);
	}
#define X(field, help) print_counter(#field, view->counters.field, help);
	LB_COUNTERS(X)
#undef X
}

/* Without a name: all services, none being a fine answer for a scraper. */
static int run_prometheus(struct cmd *cmd)
{
	_cleanup_free_ char(*names)[LB_NAME_MAX + 1] = NULL;
	_cleanup_free_ struct view *views = NULL;
	struct census census = { .of_all = true };
	size_t n = 0, loaded = 0;
	int status = EXIT_DONE, err = 0;

	if (!cmd->nr_args) {
		err = state_names(&names, &n);
		if (err && err != -ENODEV)
			return cmd_fail(cmd, EXIT_NOT_ABLE, "can't read " STATE_ROOT ": %s",
					strerror(-err));
	}
	views = calloc(n + 1, sizeof(*views));
	if (!views)
		return cmd_fail(cmd, EXIT_FAILED, "out of memory");
	if (cmd->nr_args)
		status = load_view(cmd, cmd->args[0], &views[loaded++]);
	for (size_t i = 0; i < n; i++) {
		if (!load_view_by(cmd, names[i], &census, &views[loaded]))
			loaded++;
	}
	census_free(&census);
	for (size_t i = 0; i < loaded && !status; i++)
		view_load_usage(&views[i]);
	if (!status)
		metrics_print(stdout, METRICS_PROMETHEUS, views, loaded);
	for (size_t i = 0; i < loaded && !status; i++)
		view_free(&views[i]);
	return status;
}

/* A figure of RATE_WIDTH, on a further line of the workers' where it would not fit. */
static void print_rate(size_t *column, double rate)
{
	if (*column + RATE_WIDTH > FOLD_COLUMNS)
		*column = printf("\n%*s", RATES_INDENT, "") - 1;
	*column += printf("%*.0f", RATE_WIDTH, rate);
}

static void print_rates(const struct view *now, const struct view *before, double seconds)
{
	size_t column = printf("%*.0f %9lu %9lu ", RATE_WIDTH,
			       (now->decisions - before->decisions) / seconds,
			       (unsigned long)(now->fallback - before->fallback),
			       (unsigned long)(now->migrated - before->migrated));

	for (uint32_t i = 0; i < now->nr_workers; i++)
		print_rate(&column, i < before->nr_workers ? (now->workers[i].selected -
							      before->workers[i].selected) /
								     seconds :
							     0.0);
	putchar('\n');
	fflush(stdout);
}

static int run_interval(struct cmd *cmd, const char *name, uint64_t seconds)
{
	const struct timespec nap = { .tv_sec = seconds };
	struct view before, now;
	int status;

	status = load_view(cmd, name, &before);
	if (status)
		return status;
	interrupt_catch();
	if (!cmd->json)
		printf("%*s %9s %9s  %s/s of each worker\n", RATE_WIDTH, "total/s", "fallback",
		       "migrated", before.datagrams ? "datagrams" : "connections");
	while (!interrupt_came() && !ferror(stdout)) {
		if (nanosleep(&nap, NULL))
			break;
		status = load_view(cmd, name, &now);
		if (status)
			break;
		if (cmd->json)
			status = cmd_print_json(stats_json(&now));
		else
			print_rates(&now, &before, seconds);
		fflush(stdout);
		view_free(&before);
		before = now;
	}
	view_free(&before);
	return status;
}

static int run_plot(struct cmd *cmd, const char *file)
{
	const char *text = cmd_value(cmd, "for");
	char name[LB_NAME_MAX + 1];
	uint64_t seconds = 60;
	int status;

	if (!file)
		return cmd_fail(cmd, EXIT_USAGE, "--for goes with --plot FILE");
	if (cmd_value(cmd, "interval") || cmd_value(cmd, "prometheus"))
		return cmd_fail(cmd, EXIT_USAGE,
				"--plot goes with neither --interval nor --prometheus");
	if (text && parse_seconds(text, &seconds))
		return cmd_fail(cmd, EXIT_USAGE,
				"--for %.20s: not a number of seconds from 1 to 86400", text);
	status = cmd_take_name(cmd, 0, name);
	return status ? status : stats_plot(cmd, name, file, seconds);
}

static int run(struct cmd *cmd)
{
	const char *interval = cmd_value(cmd, "interval");
	char name[LB_NAME_MAX + 1];
	uint64_t seconds = 0;
	struct view view;
	int status;

	if (cmd_value(cmd, "plot") || cmd_value(cmd, "for"))
		return run_plot(cmd, cmd_value(cmd, "plot"));
	if (interval && parse_u64(interval, 1, 86400, &seconds))
		return cmd_fail(cmd, EXIT_USAGE,
				"--interval %.20s: not a number of seconds from 1 to 86400",
				interval);
	if (cmd_value(cmd, "prometheus") && (interval || cmd->json))
		return cmd_fail(cmd, EXIT_USAGE,
				"--prometheus goes with neither --interval nor "
				"--json");
	if (cmd_value(cmd, "prometheus"))
		return run_prometheus(cmd);
	status = cmd_take_name(cmd, 0, name);
	if (!status && interval)
		return run_interval(cmd, name, seconds);
	if (!status)
		status = load_view(cmd, name, &view);
	if (status)
		return status;
	if (cmd->json)
		status = cmd_print_json(stats_json(&view));
	else
		print_stats(&view);
	view_free(&view);
	return status;
}

static const struct cmd_option options[] = {
	{ "interval", "SEC", "print rates every SEC seconds until interrupted" },
	{ "prometheus", NULL, "Prometheus text format; without NAME all services" },
	{ "plot", "FILE", "look for --for SEC, then draw spread and latency, as SVG" },
	{ "for", "SEC", "so long, with --plot (default 60)" },
	{ NULL, NULL, NULL },
};

const struct command cmd_stats = {
	.name = "stats",
	.args = "[NAME]",
	.summary = "every counter by name",
	.max_args = 1,
	.kind = NOUN,
	.options = options,
	.run = run,
};
