// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The screen of lbctl top without a terminal: columns, pictures, and what is where. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/top_page.h"
#include "top_looks.h"

#define MOST_LINES 70

/* --- lines --- */

static size_t letters(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += (*text & 0xc0) != 0x80;
	return n;
}

/* A service with figures that are long, and workers in each state. */
static void fill(struct top *top, uint32_t workers)
{
	static const char *const states[] = { "up", "draining", "stalled", "down" };
	struct view *view;

	take_two(top, workers, 1234567);
	view = &top->services[0].view;
	strcpy(view->name, "a-service-with-a-name-of-sixty-three-letters-which-is-the-longest");
	view->fallback = 12345678901;
	view->latency = calloc(workers + 1, sizeof(*view->latency));
	for (uint32_t i = 0; i < workers; i++) {
		struct view_worker *w = &view->workers[i];

		w->state = states[i % 4];
		w->pid = 4194303;
		w->live = 1000000;
		w->queued = 65535;
		w->usage.memory_bytes = 123ULL << 30;
		w->usage.uptime_ms = 12345678901;
		w->restarts = 123456;
		strcpy(w->command, "/opt/b\xc3\xa4r --with=\xe6\xbc\xa2\xe5\xad\x97");
		top->services[0].workers[i].cpu = 6400;
		top->services[0].workers[i].p50_ns = 12345678901;
		top->services[0].workers[i].p99_ns = 1;
	}
}

static void test_lines_fit(void **state)
{
	char line[TOP_LINE_BYTES];
	struct top top = { 0 };

	(void)state;
	fill(&top, 4);
	for (size_t width = 20; width <= 250; width++) {
		for (int utf8 = 0; utf8 < 2; utf8++) {
			const struct top_style style = { width, utf8, true };

			for (uint32_t w = 0; w < 5; w++) {
				top_worker_line(&style, &top.services[0], w < 4 ? w : TOP_TITLES,
						line);
				if (letters(line) > width)
					fail_msg("%zu columns: \"%s\"", width, line);
			}
			top_service_line(&style, NULL, line);
			assert_true(letters(line) <= width);
			top_service_line(&style, &top.services[0], line);
			if (letters(line) > width)
				fail_msg("%zu columns: \"%s\"", width, line);
		}
	}
	top_free(&top);
}

/* What 80 columns have, with what is measured and without, and what more there is in 200. */
static void test_columns(void **state)
{
	static const struct {
		size_t width;
		bool measured, datagrams, pictures;
		const char *want;
	} rows[] = {
		{ 78, false, false, true,
		  "WORKER STATE CONN/S LIVE QUEUE HELD/S CPU% MEMORY RESTARTS SHARE MINUTE" },
		{ 78, true, false, true,
		  "WORKER STATE CONN/S LIVE QUEUE HELD/S CPU% BUSY% MEMORY P50MS P99MS SHARE" },
		{ 78, false, true, true,
		  "WORKER STATE CONN/S QUEUE CPU% MEMORY RESTARTS WEIGHT SHARE MINUTE" },
		{ 198, true, false, true,
		  "WORKER STATE CONN/S LIVE QUEUE HELD/S CPU% BUSY% MEMORY P50MS P99MS RESTARTS "
		  "WEIGHT PID SELECTED UPTIME SHARE MINUTE COMMAND" },
		{ 198, false, false, false,
		  "WORKER STATE CONN/S LIVE QUEUE HELD/S CPU% MEMORY RESTARTS WEIGHT PID SELECTED "
		  "UPTIME COMMAND" },
		{ 38, false, false, true, "WORKER STATE CONN/S LIVE SHARE" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct top_style style = { rows[i].width, true, rows[i].pictures };
		char line[TOP_LINE_BYTES], got[TOP_LINE_BYTES] = "", *rest = line, *word;
		struct top top = { 0 };
		struct view *view;

		take_two(&top, 2, 10);
		view = &top.services[0].view;
		view->datagrams = rows[i].datagrams;
		if (rows[i].measured)
			view->latency = calloc(3, sizeof(*view->latency));
		top_worker_line(&style, &top.services[0], TOP_TITLES, line);
		while ((word = strsep(&rest, " "))) {
			if (*word)
				sprintf(got + strlen(got), "%s%s", *got ? " " : "", word);
		}
		if (strcmp(got, rows[i].want))
			fail_msg("row %zu: got  \"%s\"\nwant \"%s\"", i, got, rows[i].want);
		top_free(&top);
	}
}

static void test_pictures(void **state)
{
	const struct top_style blocks = { 78, true, true }, ascii = { 78, false, true };
	char line[TOP_LINE_BYTES];
	struct top top = { 0 };

	(void)state;
	take_two(&top, 2, 100);
	top_worker_line(&blocks, &top.services[0], 1, line);
	assert_non_null(strstr(line, "█████ "));
	assert_string_equal(line + strlen(line) - strlen("█"), "█");
	top_worker_line(&blocks, &top.services[0], 0, line);
	assert_string_equal(line + strlen(line) - strlen("▄"), "▄");
	top_worker_line(&ascii, &top.services[0], 1, line);
	assert_non_null(strstr(line, "##### "));
	assert_int_equal(letters(line), strlen(line));
	top_free(&top);
}

/* --- the screen --- */

struct drawn {
	char lines[MOST_LINES][TOP_LINE_BYTES];
	enum top_look looks[MOST_LINES];
	size_t height;
};

static void take_line(void *arg, size_t row, enum top_look look, const char *text)
{
	struct drawn *drawn = arg;

	assert_true(row < drawn->height);
	if (*drawn->lines[row])
		fail_msg("line %zu twice: \"%s\" and \"%s\"", row, drawn->lines[row], text);
	snprintf(drawn->lines[row], TOP_LINE_BYTES, "%s", text);
	drawn->looks[row] = look;
}

static struct drawn drawn;

static void draw(struct top_page *page, const struct top *top, const struct top_keys *keys,
		 size_t width, size_t height)
{
	const struct top_style style = { width, true, true };

	memset(&drawn, 0, sizeof(drawn));
	drawn.height = height;
	top_page(page, top, keys, &style, height, NULL, take_line, &drawn);
	for (size_t i = 0; i < height; i++) {
		if (letters(drawn.lines[i]) > width)
			fail_msg("%zu columns: \"%s\"", width, drawn.lines[i]);
	}
}

static bool is_drawn(const char *words)
{
	for (size_t i = 0; i < drawn.height; i++) {
		if (strstr(drawn.lines[i], words))
			return true;
	}
	return false;
}

/* 64 workers in 24 lines: each is seen when it is selected, and the last line is there. */
static void test_many_workers_scroll(void **state)
{
	struct top_page page = { 0 };
	struct top_keys keys = { 0 };
	struct top top = { 0 };
	char words[32];

	(void)state;
	take_two(&top, 64, 10);
	top.in_workers = true;
	for (int i = 0; i < 64; i++) {
		draw(&page, &top, &keys, 80, 24);
		snprintf(words, sizeof(words), "> %-6d up", i);
		if (!is_drawn(words))
			fail_msg("no \"%s\"", words);
		assert_true(is_drawn("arrows select"));
		assert_true(is_drawn("> web"));
		top_press(&keys, &top, TOP_KEY_DOWN, page.lines);
	}
	top_press(&keys, &top, TOP_KEY_PAGE_UP, page.lines);
	check("page up", "as many as are shown", top.worker, 63 - page.lines);
	assert_true(page.lines >= 15);
	draw(&page, &top, &keys, 200, 60);
	assert_true(page.lines >= 50);
	top_free(&top);
}

/* All sizes: nothing is drawn outside, and of the services some are always there. */
static void test_all_sizes(void **state)
{
	struct top_keys keys = { 0 };
	struct views look = look_of(16);
	struct top top = { 0 };

	(void)state;
	for (int i = 0; i < 16; i++) {
		char name[16];

		snprintf(name, sizeof(name), "s%d", i);
		look_add(&look, name, i * 4, 0, 0);
	}
	top_take(&top, &look, SECOND);
	for (size_t width = 1; width < 120; width++) {
		for (size_t height = 1; height < 60; height++) {
			struct top_page page = { 0 };

			top.service = height % 16;
			top.worker = 0;
			draw(&page, &top, &keys, width, height);
			if (width < TOP_LEAST_WIDTH || height < TOP_LEAST_HEIGHT)
				assert_memory_equal(drawn.lines[0], "too small",
						    width < 9 ? width : 9);
			else
				assert_true(is_drawn("> s"));
		}
	}
	top_free(&top);
}

/* What a worker is stands there in words, and stands out besides. */
static void test_states_stand_out(void **state)
{
	static const struct {
		const char *words;
		enum top_look want;
	} rows[] = {
		{ "  0      up", TOP_PLAIN },
		{ "  1      draining", TOP_CAREFUL },
		{ "  2      stalled", TOP_BAD },
		{ "  3      down", TOP_BAD },
	};
	struct top_page page = { 0 };
	struct top_keys keys = { 0 };
	struct top top = { 0 };

	(void)state;
	fill(&top, 4);
	draw(&page, &top, &keys, 80, 24);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t row = 0;

		while (row < 24 && strncmp(drawn.lines[row], rows[i].words, strlen(rows[i].words)))
			row++;
		assert_true(row < 24);
		check("look", rows[i].words, drawn.looks[row], rows[i].want);
	}
	top_free(&top);
}

static void test_help_fits(void **state)
{
	struct top_page page = { 0 };
	struct top_keys keys = { 0 };
	struct top top = { 0 };

	(void)state;
	top_press(&keys, &top, 'h', 10);
	draw(&page, &top, &keys, 80, 24);
	for (size_t i = 0; top_help[i]; i++) {
		if (*top_help[i] && !is_drawn(top_help[i]))
			fail_msg("not all of \"%s\"", top_help[i]);
	}
}

static void test_unreadable_and_none(void **state)
{
	struct top_page page = { 0 };
	struct top_keys keys = { 0 };
	struct top top = { 0 };
	struct views look = look_of(1);

	(void)state;
	top_take(&top, &look, SECOND);
	draw(&page, &top, &keys, 80, 24);
	assert_true(is_drawn("there is no service"));
	look = look_of(1);
	look_add(&look, "web", 2, 0, 0);
	look.nr_unreadable = 1;
	strcpy(look.unreadable[0].name, "old");
	strcpy(look.unreadable[0].trouble.text, "made by \x1b[2Janother lbctl");
	top_take(&top, &look, 2 * SECOND);
	draw(&page, &top, &keys, 80, 24);
	assert_true(is_drawn("old: made by \\u001b[2Janother lbctl"));
	assert_true(is_drawn("> web"));
	top_free(&top);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines_fit), cmocka_unit_test(test_columns),
		cmocka_unit_test(test_pictures),  cmocka_unit_test(test_many_workers_scroll),
		cmocka_unit_test(test_all_sizes), cmocka_unit_test(test_states_stand_out),
		cmocka_unit_test(test_help_fits), cmocka_unit_test(test_unreadable_and_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
