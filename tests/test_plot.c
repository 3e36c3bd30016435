// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Pictures: a curve for each worker, gaps and marks where they are, and any name in them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "check.h"
#include "cmd/plot.h"
#include "cmd/plot_record.h"
#include "lb_policies.h"

#define BEGIN 1700000000.0

static size_t count(const char *text, const char *words)
{
	size_t n = 0;

	for (; (text = strstr(text, words)); text += strlen(words))
		n++;
	return n;
}

static char *text_of(const struct plot *plot)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	plot_write(out, plot);
	fclose(out);
	return text;
}

static char *text_of_record(const struct plot_record *record)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_int_equal(plot_record_write(record, out), 0);
	fclose(out);
	return text;
}

/* --- curves --- */

static void draw_values(double *values, size_t n, char **text)
{
	double times[8] = { 10, 11, 12, 13, 14, 15, 16, 17 };
	struct plot_curve curve = { "a", values };
	struct plot_panel panel = { "t", "l", &curve, 1 };
	struct plot plot = { "x", "y", times, n, &panel, 1, NULL, 0 };

	*text = text_of(&plot);
}

static void test_path(void **state)
{
	static const struct {
		const char *name;
		double values[4];
		size_t n;
		const char *want;
	} rows[] = {
		{ "nothing", { 0 }, 0, " d=\"\"" },
		{ "one look is a dot", { 4 }, 1, " d=\"M72.0 98.0h0.1\"" },
		{ "from 0 to the most", { 0, 4 }, 2, " d=\"M72.0 248.0L944.0 98.0\"" },
		{ "a gap", { 4, NAN, 4 }, 3, " d=\"M72.0 98.0h0.1M944.0 98.0h0.1\"" },
		{ "the axis ends at a round number", { 3, 3 }, 2, "M72.0 135.5L944.0 135.5" },
		{ "nothing but 0", { 0, 0 }, 2, " d=\"M72.0 248.0L944.0 248.0\"" },
		{ "no number", { INFINITY, 4 }, 2, " d=\"M944.0 98.0h0.1\"" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_free_ char *text = NULL;
		double values[4];

		memcpy(values, rows[i].values, sizeof(values));
		draw_values(values, rows[i].n, &text);
		if (!strstr(text, rows[i].want))
			fail_msg("%s: no %s in\n%s", rows[i].name, rows[i].want, text);
	}
}

/* What others chose is text, and no XML. */
static void test_any_names(void **state)
{
	const char *evil = "</title><script>\"&\x01";
	double times[2] = { 1, 2 }, values[2] = { 1, 2 };
	struct plot_curve curve = { "", values };
	struct plot_panel panel = { evil, evil, &curve, 1 };
	struct plot_mark mark = { 1.5, "" };
	struct plot plot = { evil, evil, times, 2, &panel, 1, &mark, 1 };
	_cleanup_free_ char *text = NULL;

	(void)state;
	snprintf(curve.name, sizeof(curve.name), "%s", evil);
	snprintf(mark.text, sizeof(mark.text), "%s", evil);
	text = text_of(&plot);
	check("<script>", "none", count(text, "<script>"), 0);
	check("\\x01", "none", count(text, "\x01"), 0);
	assert_true(count(text, "&lt;/title&gt;&lt;script&gt;\"&amp;") >= 6);
}

static void test_marks(void **state)
{
	static const struct plot_mark marks[] = {
		{ 9, "before" }, { 12, "reload" }, { 12.01, "close" },
		{ 99, "after" }, { NAN, "no" },
	};
	double times[2] = { 10, 20 };
	struct plot plot = { "x", "y", times, 2, NULL, 0, marks, ARRAY_SIZE(marks) };
	_cleanup_free_ char *text = text_of(&plot);

	(void)state;
	check("marks", "in between", count(text, "class=\"mark\""), 2);
	check("words", "where there is room", count(text, ">reload<"), 2);
	check("words", "where there is none", count(text, ">close<"), 1);
}

/* --- looks --- */

static void fill(struct view *view, struct view_worker *workers, uint32_t n, uint64_t selected)
{
	*view = (struct view){ .policy = LB_POLICY_RR, .workers = workers, .nr_workers = n };
	strcpy(view->name, "web");
	for (uint32_t i = 0; i < n; i++)
		workers[i] = (struct view_worker){ .worker = i, .selected = selected * (i + 1) };
}

static void test_curve_for_each_worker(void **state)
{
	struct plot_record *record = plot_record_new(10);
	_cleanup_free_ char *text = NULL;
	struct view_worker workers[20];
	struct view view;

	(void)state;
	for (int i = 0; i < 4; i++) {
		fill(&view, workers, i < 2 ? 3 : 20, 10 * i);
		plot_record_add(record, &view, BEGIN + i);
	}
	text = text_of_record(record);
	/* came, live, queued */
	check("curves", "of 20 workers", count(text, "class=\"curve\""), 60);
	check("names", "of the first 16", count(text, "class=\"key\""), 48);
	check("more", "of the other 4", count(text, "and 4 more"), 3);
	check("axes", "of each panel", count(text, "class=\"axis\""), 3);
	assert_non_null(strstr(text, ">connections / s<"));
	assert_non_null(strstr(text, "policy rr;"));
	plot_record_free(record);
}

/* Of 6 looks the last 3; another policy on the way is told, and no false peak drawn. */
static void test_keeps_the_last(void **state)
{
	struct plot_record *record = plot_record_new(3);
	_cleanup_free_ char *text = NULL;
	struct view_worker workers[1];
	struct view view;

	(void)state;
	for (int i = 0; i < 6; i++) {
		fill(&view, workers, 1, 10 * i);
		view.policy = i < 5 ? LB_POLICY_RR : LB_POLICY_KERNEL;
		plot_record_add(record, &view, BEGIN + i);
	}
	text = text_of_record(record);
	assert_non_null(strstr(text, "policy rr, then kernel;"));
	assert_non_null(strstr(text, " d=\"M72.0 98.0h0.1\""));
	plot_record_free(record);
}

/* With latency=on two curves, of what came between two looks. */
static void test_first_byte(void **state)
{
	struct plot_record *record = plot_record_new(10);
	struct lb_latency *latency = calloc(1, sizeof(*latency));
	_cleanup_free_ char *text = NULL;
	struct view_worker workers[1];
	struct view view;

	(void)state;
	for (int i = 0; i < 3; i++) {
		fill(&view, workers, 1, 10 * i);
		view.latency = latency;
		latency->first_byte.buckets[40].count += 10;
		latency->first_byte.buckets[40].sum_ns += 10 * 4000000;
		plot_record_add(record, &view, BEGIN + i);
	}
	text = text_of_record(record);
	check("curves", "came, p50, p99", count(text, "class=\"curve\""), 3);
	check("4 ms", "of both", count(text, " d=\"M72.0 328.0L944.0 328.0\""), 2);
	free(latency);
	plot_record_free(record);
}

static void test_events(void **state)
{
	struct plot_record *record = plot_record_new(10);
	json_t *events = json_loads(
		"[{\"event\":\"exit\",\"unasked\":true,\"worker\":2,\"time\":1700000001.5},"
		"{\"event\":\"exit\",\"unasked\":false,\"worker\":1,\"time\":1700000001.6},"
		"{\"event\":\"reload\",\"time\":1700000002.5},"
		"{\"event\":\"message\",\"time\":1700000001.7}, 7, {}]",
		0, NULL);
	_cleanup_free_ char *text = NULL;
	struct view_worker workers[1];
	struct view view;

	(void)state;
	for (int i = 0; i < 5; i++) {
		fill(&view, workers, 1, i);
		plot_record_add(record, &view, BEGIN + i);
	}
	/* who follows anew is told again */
	for (size_t i = 0; i < 2 * json_array_size(events); i++)
		plot_record_event(record, json_array_get(events, i / 2));
	json_decref(events);
	text = text_of_record(record);
	check("marks", "all", count(text, "class=\"mark\""), 2);
	assert_non_null(strstr(text, "<title>exit 2</title>"));
	assert_non_null(strstr(text, "<title>reload</title>"));
	plot_record_free(record);
}

/* A keeper's times are whole seconds: 1 is 1.9, too, where the curves begin at 1.2. */
static void test_event_in_a_second(void **state)
{
	struct plot_record *record = plot_record_new(10);
	json_t *event = json_pack("{s:s, s:I}", "event", "reload", "time", (json_int_t)BEGIN + 1);
	_cleanup_free_ char *text = NULL;
	struct view_worker workers[1];
	struct view view;

	(void)state;
	for (int i = 0; i < 3; i++) {
		fill(&view, workers, 1, i);
		plot_record_add(record, &view, BEGIN + i + 0.2);
	}
	plot_record_event(record, event);
	json_decref(event);
	text = text_of_record(record);
	check("marks", "all", count(text, "class=\"mark\""), 1);
	plot_record_free(record);
}

static void test_no_look(void **state)
{
	struct plot_record *record = plot_record_new(2);
	_cleanup_free_ char *text = text_of_record(record);

	(void)state;
	assert_non_null(strstr(text, "</svg>"));
	plot_record_free(record);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_path),
		cmocka_unit_test(test_any_names),
		cmocka_unit_test(test_marks),
		cmocka_unit_test(test_curve_for_each_worker),
		cmocka_unit_test(test_keeps_the_last),
		cmocka_unit_test(test_first_byte),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_no_look),
		cmocka_unit_test(test_event_in_a_second),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
