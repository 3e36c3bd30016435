// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* lbctl explain: what stands out of a service right now, and which command would help. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "cmd/cmd.h"
#include "cmd/explain.h"
#include "cmd/explain_looks.h"
#include "cmd/fold.h"
#include "cmd/interrupt.h"
#include "cmd/kept.h"
#include "cmd/running.h"
#include "service/latency.h"

#define DEFAULT_SECONDS 5
#define INDENT 2
#define ANSWER_MS 1000
#define LINE_BYTES 1024

/* --- looks --- */

static double now_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

/* The first look says whether latency could be measured, too. */
static int look_first(struct cmd *cmd, struct explain_looks **looks, char name[LB_NAME_MAX + 1],
		      bool *can_measure)
{
	struct state state;
	struct view view;
	int status = cmd_open_service(cmd, 0, STATE_READ, &state), err;

	if (status)
		return status;
	strcpy(name, state.name);
	*can_measure = !latency_obstacle(&state);
	err = view_load(&state, &view);
	state_close(&state);
	if (err)
		return cmd_fail(cmd, EXIT_FAILED, "can't read its maps: %s", strerror(-err));
	view_load_usage(&view);
	view_load_throttle(&view);
	*looks = explain_looks_new(&view);
	return *looks ? EXIT_DONE : cmd_fail(cmd, EXIT_FAILED, "out of memory");
}

/* Once a second, and at the end; a signal ends it, and what was seen by then is explained. */
static int look_on(const struct cmd *cmd, const char *name, struct explain_looks *looks,
		   uint64_t seconds)
{
	const struct timespec nap = { .tv_sec = 1 };
	double began = now_seconds();
	struct trouble trouble;
	struct view view;
	int err;

	interrupt_catch();
	for (uint64_t i = 0; i < seconds && !interrupt_came(); i++) {
		struct census census = { 0 };

		nanosleep(&nap, NULL);
		err = view_load_name(name, &census, &view);
		census_free(&census);
		if (err) {
			state_trouble(&trouble, name, err);
			return cmd_trouble(cmd, &trouble);
		}
		view_load_usage(&view);
		view_load_throttle(&view);
		explain_looks_add(looks, &view, now_seconds() - began);
	}
	return EXIT_DONE;
}

/* By the words that its keeper was started with. */
static enum explain_keeper keeper_of(const struct view *view)
{
	char **argv = view->keeper ? kept_read(view->keeper) : NULL;
	enum explain_keeper keeper = view->keeper ? EXPLAIN_WATCH : EXPLAIN_NOBODY;

	if (argv && argv[0] && !strcmp(argv[0], "run"))
		keeper = kept_value((const char *const *)argv, "forks") ? EXPLAIN_FORKS :
									  EXPLAIN_RUN;
	free(argv);
	return keeper;
}

/* One that does not answer in time is taken to have all of them. */
static uint32_t kept_of(const char *name, enum explain_keeper keeper)
{
	uint32_t kept = keeper == EXPLAIN_RUN ? running_workers(name, ANSWER_MS) : 0;

	return kept ? kept : UINT32_MAX;
}

/* --- words --- */

static json_t *numbers_json(const struct explain_finding *finding)
{
	json_t *numbers = json_object();

	for (size_t i = 0; i < EXPLAIN_NUMBERS && finding->numbers[i].name; i++) {
		double value = finding->numbers[i].value;

		json_object_set_new(numbers, finding->numbers[i].name,
				    value == floor(value) && fabs(value) < 1e15 ?
					    json_integer((json_int_t)value) :
					    json_real(value));
	}
	return numbers;
}

static json_t *findings_json(const struct explain_facts *facts,
			     const struct explain_finding *findings, size_t n)
{
	json_t *rows = json_array();

	for (size_t i = 0; i < n; i++) {
		const struct explain_finding *finding = &findings[i];
		json_t *worker = finding->worker == EXPLAIN_ALL ? json_null() :
								  json_integer(finding->worker);

		json_array_append_new(rows,
				      text_pack("{s:s, s:o, s:o, s:s, s:s}", "kind",
						explain_kind_name(finding->kind), "worker", worker,
						"numbers", numbers_json(finding), "text",
						finding->text, "remedy", finding->remedy));
	}
	return text_pack("{s:i, s:s, s:o, s:b, s:I, s:o}", "schema", 1, "service", facts->name,
			 "seconds", json_real(facts->seconds), "idle", facts->idle, "decisions",
			 (json_int_t)facts->decisions, "findings", rows);
}

static void print_healthy(const struct explain_facts *facts)
{
	if (facts->idle)
		printf("%s: nothing stands out; nothing has come for %.0f s, so this goes by the "
		       "states and counters as they are\n",
		       facts->name, facts->seconds);
	else
		printf("%s: nothing stands out (%.0f s)\n", facts->name, facts->seconds);
}

static void print_findings(const struct explain_facts *facts,
			   const struct explain_finding *findings, size_t n)
{
	char line[LINE_BYTES];

	if (!n)
		print_healthy(facts);
	else if (facts->idle)
		printf("%s: nothing has come for %.0f s, so this goes by the states and counters as "
		       "they are\n",
		       facts->name, facts->seconds);
	for (size_t i = 0; i < n; i++) {
		fold_print(stdout, findings[i].text, INDENT, FOLD_COLUMNS);
		/* a command is to be copied: it is not broken */
		if (!strncmp(findings[i].remedy, "no setting", strlen("no setting"))) {
			snprintf(line, sizeof(line), "%*s%s", INDENT, "", findings[i].remedy);
			fold_print(stdout, line, INDENT, FOLD_COLUMNS);
		} else {
			printf("%*stry: %s\n", INDENT, "", findings[i].remedy);
		}
	}
}

static int say(const struct cmd *cmd, const struct explain_facts *facts)
{
	size_t most = EXPLAIN_MOST(facts->nr_workers), n;
	_cleanup_free_ struct explain_finding *findings = calloc(most, sizeof(*findings));

	if (!findings)
		return cmd_fail(cmd, EXIT_FAILED, "out of memory");
	n = explain(facts, findings, most);
	if (cmd->json)
		return cmd_print_json(findings_json(facts, findings, n));
	print_findings(facts, findings, n);
	return EXIT_DONE;
}

static int run(struct cmd *cmd)
{
	const char *text = cmd_value(cmd, "for");
	uint64_t seconds = DEFAULT_SECONDS;
	char name[LB_NAME_MAX + 1];
	struct explain_looks *looks = NULL;
	struct explain_facts *facts;
	bool can_measure;
	int status;

	if (text && parse_seconds(text, &seconds))
		return cmd_fail(cmd, EXIT_USAGE,
				"--for %.20s: not a number of seconds from 1 to 86400", text);
	status = look_first(cmd, &looks, name, &can_measure);
	if (!status)
		status = look_on(cmd, name, looks, seconds);
	if (!status) {
		facts = explain_looks_facts(looks);
		facts->can_measure = can_measure;
		facts->keeper = keeper_of(explain_looks_last(looks));
		facts->kept = kept_of(name, facts->keeper);
		status = say(cmd, facts);
	}
	explain_looks_free(looks);
	return status;
}

static const struct cmd_option options[] = {
	{ "for", "SEC", "look for so long (default 5)" },
	{ NULL, NULL, NULL },
};

const struct command cmd_explain = {
	.name = "explain",
	.args = "[NAME]",
	.summary = "what is uneven or slow right now, and what would help",
	.max_args = 1,
	.kind = NOUN,
	.options = options,
	.run = run,
};
