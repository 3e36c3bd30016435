// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What people read of a service: in 80 columns, whatever the figures; figures go by weights. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "check.h"
#include "cmd/fold.h"
#include "cmd/show_text.h"
#include "lb_abi.h"
#include "lb_policies.h"

static char *text_of(const struct view *view, bool wide)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	show_text(out, view, wide);
	fclose(out);
	return text;
}

static size_t longest_line(const char *text)
{
	size_t most = 0, len;

	for (; *text; text += len + (text[len] == '\n')) {
		len = strcspn(text, "\n");
		most = len > most ? len : most;
	}
	return most;
}

/* --- show --- */

/* A service of a big host: long addresses, a full table, many digits. */
static void fill(struct view *view, struct view_worker *workers, uint32_t n)
{
	strcpy(view->name, "a-service-with-a-long-name");
	view->policy = LB_POLICY_LEAST_LATENCY;
	view->limit = 100000;
	view->keeper = 4194303;
	view->workers = workers;
	view->nr_workers = n;
	view->nr_listeners = 3;
	view->decisions = view->selected = 12345678901;
	view->migrated = 123456;
	view->rescued = 1234;
	view->unregistered = 20;
	for (uint32_t i = 0; i < 3; i++) {
		strcpy(view->listeners[i].address,
		       "[2001:db8:1234:5678:9abc:def0:1234:5678]:65535");
		view->listeners[i].proto = "tcp";
	}
	for (uint32_t i = 0; i < VIEW_STRANGERS; i++)
		view->strangers[i].pid = 4194303;
	for (uint32_t i = 0; i < n; i++) {
		workers[i] = (struct view_worker){
			.worker = 1023,
			.pid = 4194303,
			.state = "draining",
			.stalled_ns = 12345678901,
			.weight = 256,
			.limit = 1000000,
			.live = 65535,
			.half_open = 65535,
			.queued = 4096,
			.queue_max = 4096,
			.load = 123456789,
			.restarts = 1234567,
			.selected = 1234567890,
			.migrated_in = 9999,
			.migrated_out = 9999,
			.usage = { .uptime_ms = 86400000, .cpu_ms = 100, .memory_bytes = 1 << 30 },
			.command = "node a.js --with=a --long command line",
			.process = "puma: cluster worker 1: 4194303 [app]",
		};
	}
}

static void test_fits_in_80_columns(void **state)
{
	static const uint32_t policies[] = { LB_POLICY_RR, LB_POLICY_LEAST_LOAD,
					     LB_POLICY_LEAST_LATENCY };
	struct view_worker workers[3];
	struct view view = { 0 };

	(void)state;
	fill(&view, workers, 3);
	view.gone = true;
	strcpy(view.again, "cd /srv/a && lbctl run -n 4 --port 8080,8081 --log-dir /var/log/app "
			   "--user www-data -- node http.js --port 8080 --and --so on");
	for (size_t i = 0; i < ARRAY_SIZE(policies); i++) {
		for (int kind = 0; kind < 4; kind++) {
			_cleanup_free_ char *text = NULL;

			view.policy = policies[i];
			view.datagrams = kind & 1;
			view.named = kind & 2;
			text = text_of(&view, false);
			if (longest_line(text) > 80)
				fail_msg("%zu columns:\n%s", longest_line(text), text);
		}
	}
}

static void expect_words(const char *text, const char *const *words, bool there)
{
	for (; *words; words++) {
		if (!strstr(text, *words) == there)
			fail_msg("\"%s\" is %sthere:\n%s", *words, there ? "not " : "", text);
	}
}

/* --wide has it all, a line for each worker. */
static void test_wide_has_all(void **state)
{
	static const char *const always[] = { "WORKER", "PID",	    "STATE",	"WEIGHT",   "LIVE",
					      "QUEUE",	"SELECTED", "MIGRATED", "RESTARTS", NULL };
	static const char *const more[] = { "HALF",
					    "SKIPPED",
					    "LOAD",
					    "UPTIME",
					    "CPU",
					    "MEMORY",
					    "COMMAND",
					    "1d00h",
					    "0.1s",
					    "1.0G",
					    "node a.js --with=a --long command "
					    "line",
					    NULL };
	struct view_worker workers[1];
	struct view view = { 0 };
	_cleanup_free_ char *narrow = NULL, *wide = NULL;

	(void)state;
	fill(&view, workers, 1);
	narrow = text_of(&view, false);
	wide = text_of(&view, true);
	expect_words(narrow, always, true);
	expect_words(narrow, more, false);
	expect_words(wide, always, true);
	expect_words(wide, more, true);
}

/* Who is who, where processes say so, in place of what is seldom needed. */
static void test_names_of_processes(void **state)
{
	static const char *const names[] = { "PROCESS\n", "puma: cluster worker 1\n", NULL };
	static const char *const instead[] = { "MIGRATED", "RESTARTS", NULL };
	struct view_worker workers[1];
	struct view view = { 0 };
	_cleanup_free_ char *same = NULL, *named = NULL;

	(void)state;
	fill(&view, workers, 1);
	same = text_of(&view, false);
	view.named = true;
	named = text_of(&view, false);
	expect_words(same, names, false);
	expect_words(same, instead, true);
	expect_words(named, names, true);
	expect_words(named, instead, false);
}

static void test_notes(void **state)
{
	struct view_worker workers[] = {
		{ .worker = 0, .state = "up", .limit = 10 },
		{ .worker = 1, .state = "stalled", .limit = 10, .stalled_ns = 1200000000 },
		{ .worker = 2, .state = "stalled", .limit = 3, .stalled_ns = 1200000000 },
		{ .worker = 3, .state = "up", .limit = 0 },
	};
	struct view view = { .limit = 10, .workers = workers, .nr_workers = 4, .gone = true };
	static const char *const there[] = {
		"\nworker 1: not accepting for 1.2 s\n",
		"\nworker 2: not accepting for 1.2 s, limit 3\n",
		"\nworker 3: no limit\n",
		"keeper gone\n",
		"takes it up again, with --name web\n",
		NULL,
	};
	static const char *const not_there[] = { "worker 0", "keeper pid", NULL };
	_cleanup_free_ char *text = NULL;

	(void)state;
	strcpy(view.name, "web");
	text = text_of(&view, false);
	expect_words(text, there, true);
	expect_words(text, not_there, false);
}

/* --- how even it is --- */

static void test_unevenness_goes_by_weights(void **state)
{
	static const struct {
		const char *name;
		uint32_t policy;
		uint64_t selected[3];
		uint32_t weight[3];
		double want;
	} rows[] = {
		{ "nothing yet", LB_POLICY_RR, { 0, 0, 0 }, { 1, 1, 1 }, 0 },
		{ "even", LB_POLICY_RR, { 50, 50, 50 }, { 1, 1, 1 }, 1 },
		{ "one has all", LB_POLICY_RR, { 90, 0, 0 }, { 1, 1, 1 }, 3 },
		{ "as the weights have it", LB_POLICY_RR, { 60, 20, 20 }, { 3, 1, 1 }, 1 },
		{ "large weights, even", LB_POLICY_RR, { 10, 10, 10 }, { 256, 256, 256 }, 1 },
		{ "even against the weights", LB_POLICY_RR, { 50, 50, 50 }, { 4, 1, 1 }, 2 },
		{ "kernel knows none", LB_POLICY_KERNEL, { 50, 50, 50 }, { 4, 1, 1 }, 1 },
		{ "no weight yet", LB_POLICY_RR, { 50, 50, 50 }, { 0, 0, 0 }, 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct view_worker workers[3] = { 0 };
		struct view view = { .policy = rows[i].policy,
				     .workers = workers,
				     .nr_workers = 3 };
		double got;

		for (int w = 0; w < 3; w++) {
			workers[w].selected = rows[i].selected[w];
			workers[w].weight = rows[i].weight[w];
		}
		got = view_unevenness(&view);
		if (fabs(got - rows[i].want) > 0.001)
			fail_msg("%s: got %f, want %f", rows[i].name, got, rows[i].want);
	}
}

/* --- fold --- */

static void test_fold(void **state)
{
	static const struct {
		const char *line;
		size_t indent, columns;
		const char *want;
	} rows[] = {
		{ "", 0, 10, "\n" },
		{ "short", 0, 10, "short\n" },
		{ "exactly 10", 0, 10, "exactly 10\n" },
		{ "one more 11", 0, 10, "one more\n11\n" },
		{ "one more 11", 2, 10, "one more\n  11\n" },
		{ "one more 11", 0, FOLD_NEVER, "one more 11\n" },
		{ "a averyverylongword b", 0, 10, "a\naveryverylongword\nb\n" },
		{ "  key  what it is", 7, 12, "  key  what\n       it is\n" },
		{ "  averyverylongkey what", 7, 12, "  averyverylongkey\n       what\n" },
		{ "a b c d e f g h", 4, 6, "a b c\n    d\n    e\n    f\n    g\n    h\n" },
		{ "ends in a space ", 0, 15, "ends in a space\n" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_free_ char *text = NULL;
		size_t len;
		FILE *out = open_memstream(&text, &len);

		fold_print(out, rows[i].line, rows[i].indent, rows[i].columns);
		fclose(out);
		if (strcmp(text, rows[i].want))
			fail_msg("\"%s\", %zu, %zu: got\n%swant\n%s", rows[i].line, rows[i].indent,
				 rows[i].columns, text, rows[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fits_in_80_columns),
		cmocka_unit_test(test_wide_has_all),
		cmocka_unit_test(test_names_of_processes),
		cmocka_unit_test(test_notes),
		cmocka_unit_test(test_unevenness_goes_by_weights),
		cmocka_unit_test(test_fold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
