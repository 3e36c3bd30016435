// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* lbctl top without a terminal: rates of two looks, what is selected, keys. */
#include <stdlib.h>
#include <string.h>

#include "cmd/top_keys.h"
#include "top_looks.h"

/* --- rates --- */

static void test_rates_take_two_looks(void **state)
{
	struct views look = look_of(1);
	struct top top = { 0 };

	(void)state;
	look_add(&look, "web", 2, 100, 0);
	top_take(&top, &look, 5 * SECOND);
	assert_true(top.services[0].rate < 0 && top.services[0].workers[0].rate < 0);
	assert_int_equal(top.services[0].history.count, 0);
	look = look_of(1);
	look_add(&look, "web", 3, 110, 20);
	top_take(&top, &look, 7 * SECOND);
	/* 110 + 130 + 150 and 200 in two seconds */
	check("rate", "service", top.services[0].rate, 95);
	check("rate", "worker 0", top.services[0].workers[0].rate, 5);
	check("rate", "worker 1", top.services[0].workers[1].rate, 15);
	assert_true(top.services[0].workers[2].rate < 0);
	assert_int_equal(top.services[0].workers[1].history.count, 1);
	top_free(&top);
}

static void test_cpu_is_of_one_process(void **state)
{
	static const struct {
		const char *name;
		pid_t before, now;
		uint64_t cpu_before, cpu_now;
		int want; /* -1 = unknown */
	} rows[] = {
		{ "half of a CPU", 7, 7, 1000, 1500, 50 },
		{ "two CPUs", 7, 7, 1000, 3000, 200 },
		{ "idle", 7, 7, 1000, 1000, 0 },
		{ "another process", 7, 8, 1000, 1500, -1 },
		{ "none now", 7, 0, 1000, 0, -1 },
		{ "the same number anew", 7, 7, 1000, 10, -1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct top top = { 0 };

		for (int k = 0; k < 2; k++) {
			struct views look = look_of(1);
			struct view_worker *w = look_add(&look, "web", 1, 0, 0)->workers;

			w->pid = k ? rows[i].now : rows[i].before;
			w->usage.uptime_ms = 5000;
			w->usage.cpu_ms = k ? rows[i].cpu_now : rows[i].cpu_before;
			top_take(&top, &look, (1 + k) * SECOND);
		}
		if ((int)top.services[0].workers[0].cpu != rows[i].want)
			fail_msg("%s: got %f, want %d", rows[i].name,
				 top.services[0].workers[0].cpu, rows[i].want);
		top_free(&top);
	}
}

/* So is the share of busy time; where it is not watched, or not now, it is not known. */
static void test_busy_is_of_the_last_look(void **state)
{
	static const struct {
		const char *name;
		uint64_t watched[2], busy[2]; /* ms */
		int want;		      /* -1 = unknown */
	} rows[] = {
		{ "a quarter", { 1000, 2000 }, { 1000, 1250 }, 25 },
		{ "idle", { 1000, 2000 }, { 1000, 1000 }, 0 },
		{ "all of it", { 1000, 2000 }, { 0, 1000 }, 100 },
		{ "switched on anew", { 9000, 1000 }, { 9000, 500 }, 50 },
		{ "not watched", { 0, 0 }, { 0, 0 }, -1 },
		{ "not watched any more", { 1000, 1000 }, { 500, 500 }, -1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct top top = { 0 };

		for (int k = 0; k < 2; k++) {
			struct views look = look_of(1);
			struct view *view = look_add(&look, "web", 1, 0, 0);

			view->latency = calloc(2, sizeof(*view->latency));
			view->latency->watched_ns = rows[i].watched[k] * 1000000;
			view->latency->busy_ns = rows[i].busy[k] * 1000000;
			top_take(&top, &look, (1 + k) * SECOND);
		}
		if ((int)top.services[0].workers[0].busy != rows[i].want)
			fail_msg("%s: got %f, want %d", rows[i].name,
				 top.services[0].workers[0].busy, rows[i].want);
		top_free(&top);
	}
}

/* What was uneven, or left to the kernel, longer than a minute ago is not seen any more. */
static void test_last_minute(void **state)
{
	struct top top = { 0 };
	uint64_t selected[2] = { 0, 0 };

	(void)state;
	for (unsigned int i = 0; i <= TOP_HISTORY + 10; i++) {
		struct views look = look_of(1);
		struct view *view = look_add(&look, "web", 2, 0, 0);

		if (i)
			selected[0] += 10;
		if (i > 10)
			selected[1] += 10;
		for (int w = 0; w < 2; w++)
			view->workers[w].selected = selected[w];
		view->decisions = selected[0] + selected[1];
		view->fallback = i < 10 ? i : 10;
		top_take(&top, &look, (1 + i) * SECOND);
		if (!i) {
			assert_true(top_unevenness(top.services) < 0);
			assert_true(top_fallback(top.services) < 0);
		}
		if (i == 10) {
			check("max/mean", "one has all", top_unevenness(top.services) * 100, 200);
			check("fallback", "each look", top_fallback(top.services), 10);
		}
		if (i == 20) {
			check("max/mean", "20 to 10", top_unevenness(top.services) * 100, 133);
			check("fallback", "stays a minute", top_fallback(top.services), 10);
		}
	}
	check("max/mean", "a minute later", top_unevenness(top.services) * 100, 100);
	check("fallback", "a minute later", top_fallback(top.services), 0);
	top_free(&top);
}

/* p50 and p99 are of what was measured between the two looks, and begin anew with the switch. */
static void test_quantiles_are_of_the_last_look(void **state)
{
	static const struct {
		const char *name;
		bool on[2];
		uint64_t before, now; /* how many took 4 ms, besides 100 that took 1 ms before */
		uint64_t want_ms;
	} rows[] = {
		{ "only the new ones", { true, true }, 0, 10, 4 },
		{ "none since", { true, true }, 10, 10, 0 },
		{ "just switched on", { false, true }, 0, 10, 0 },
		{ "switched off", { true, false }, 0, 10, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct top top = { 0 };

		for (int k = 0; k < 2; k++) {
			uint32_t quick = lb_latency_bucket(1000000),
				 slow = lb_latency_bucket(4000000);
			uint64_t n = k ? rows[i].now : rows[i].before;
			struct views look = look_of(1);
			struct view *view = look_add(&look, "web", 1, 0, 0);

			if (rows[i].on[k]) {
				view->latency = calloc(2, sizeof(*view->latency));
				view->latency->first_byte.buckets[quick] =
					(struct lb_bucket){ 100, 100000000 };
				view->latency->first_byte.buckets[slow] =
					(struct lb_bucket){ n, n * 4000000 };
			}
			top_take(&top, &look, (1 + k) * SECOND);
		}
		check("p50", rows[i].name, top.services[0].workers[0].p50_ns,
		      rows[i].want_ms * 1000000);
		check("p99", rows[i].name, top.services[0].workers[0].p99_ns,
		      rows[i].want_ms * 1000000);
		top_free(&top);
	}
}

static void test_history_is_a_minute(void **state)
{
	struct top top = { 0 };
	uint64_t selected = 0;

	(void)state;
	for (unsigned int i = 0; i <= TOP_HISTORY + 5; i++) {
		struct views look = look_of(1);

		selected += i;
		look_add(&look, "web", 1, selected, 0);
		top_take(&top, &look, (1 + i) * SECOND);
	}
	check("count", "full", top.services[0].workers[0].history.count, TOP_HISTORY);
	check("at", "the oldest", top.services[0].workers[0].history.at[0], 6);
	check("at", "the last", top.services[0].workers[0].history.at[TOP_HISTORY - 1],
	      TOP_HISTORY + 5);
	check("highest", "of all", top_highest(&top.services[0]), TOP_HISTORY + 5);
	top_free(&top);
}

/* It was detached and attached: less was decided than before, and nothing is to be compared. */
static void test_another_of_the_same_name(void **state)
{
	struct top top = { 0 };
	struct views look;

	(void)state;
	take_two(&top, 2, 50);
	look = look_of(1);
	look_add(&look, "web", 2, 3, 0);
	top_take(&top, &look, 3 * SECOND);
	assert_true(top.services[0].rate < 0 && top.services[0].workers[0].rate < 0);
	assert_int_equal(top.services[0].history.count, 0);
	top_free(&top);
}

/* --- what is selected --- */

static void test_selection_follows_its_service(void **state)
{
	static const struct {
		const char *name;
		const char *services; /* a letter each, with three workers */
		const char *want;
		uint32_t worker;
		bool in_workers;
	} rows[] = {
		{ "nothing changes", "abc", "b", 2, true },
		{ "one comes before it", "aabc", "b", 2, true },
		{ "the one before goes", "bc", "b", 2, true },
		{ "it goes", "ac", "c", 0, true },
		{ "it was the last", "a", "a", 0, true },
		{ "all go", "", "", 0, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct top top = { 0 };
		struct views look = look_of(3);
		char name[2] = "";

		for (const char *at = "abc"; *at; at++) {
			*name = *at;
			look_add(&look, name, 3, 0, 0);
		}
		top_take(&top, &look, SECOND);
		top_move(&top, 1);
		top.in_workers = true;
		top_move(&top, 5);
		check("top_move", "no further than the last", top.worker, 2);
		look = look_of(4);
		for (const char *at = rows[i].services; *at; at++) {
			*name = *at;
			look_add(&look, name, 3, 0, 0);
		}
		top_take(&top, &look, 2 * SECOND);
		if (strcmp(top_selected(&top) ? top_selected(&top)->view.name : "", rows[i].want))
			fail_msg("%s: not %s", rows[i].name, rows[i].want);
		check("worker", rows[i].name, top.worker, rows[i].worker);
		check("in_workers", rows[i].name, top.in_workers, rows[i].in_workers);
		top_free(&top);
	}
}

static void test_fewer_workers(void **state)
{
	struct top top = { .in_workers = true };
	struct views look;

	(void)state;
	take_two(&top, 4, 10);
	top.in_workers = true;
	top_move(&top, 3);
	look = look_of(1);
	look_add(&look, "web", 2, 1000, 0);
	top_take(&top, &look, 3 * SECOND);
	check("worker", "the last there is", top.worker, 1);
	look = look_of(1);
	look_add(&look, "web", 0, 0, 0)->decisions = 9999;
	top_take(&top, &look, 4 * SECOND);
	check("in_workers", "none left", top.in_workers, false);
	top_free(&top);
}

static void test_scroll(void **state)
{
	static const struct {
		const char *name;
		size_t first, selected, room, count, want;
	} rows[] = {
		{ "all fit", 3, 4, 10, 10, 0 },		  { "at the top", 0, 0, 10, 64, 0 },
		{ "still in sight", 5, 14, 10, 64, 5 },	  { "one below", 5, 15, 10, 64, 6 },
		{ "one above", 5, 4, 10, 64, 4 },	  { "the last", 0, 63, 10, 64, 54 },
		{ "some have gone", 54, 20, 10, 21, 11 }, { "no room", 3, 2, 0, 9, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check("top_scroll", rows[i].name,
		      top_scroll(rows[i].first, rows[i].selected, rows[i].room, rows[i].count),
		      rows[i].want);
}

/* --- keys --- */

/* Keys as a text: < > ^ v are arrows, ! enter, * escape, - erase. */
static enum top_wish press_all(struct top_keys *keys, struct top *top, const char *text)
{
	static const struct {
		char letter;
		int key;
	} named[] = { { '<', TOP_KEY_LEFT }, { '>', TOP_KEY_RIGHT }, { '^', TOP_KEY_UP },
		      { 'v', TOP_KEY_DOWN }, { '!', TOP_KEY_ENTER }, { '*', TOP_KEY_ESCAPE },
		      { '-', TOP_KEY_ERASE } };
	enum top_wish wish = TOP_NOTHING;

	for (; *text; text++) {
		int key = *text;

		for (size_t i = 0; i < ARRAY_SIZE(named); i++) {
			if (named[i].letter == *text)
				key = named[i].key;
		}
		if (wish != TOP_NOTHING)
			fail_msg("a wish before \"%s\"", text);
		wish = top_press(keys, top, key, 10);
	}
	return wish;
}

static void test_keys(void **state)
{
	static const struct {
		const char *keys;
		enum top_wish want;
		const char *bottom; /* what the last line begins with, or what is to be done */
	} rows[] = {
		{ "q", TOP_QUIT, "" },
		{ "", TOP_NOTHING, "arrows select" },
		{ "d", TOP_NOTHING, "which worker?" },
		{ ">d", TOP_NOTHING, "drain worker 0 of web? y/n" },
		{ ">dx", TOP_NOTHING, "drain worker 0 of web? y/n" },
		{ ">dn", TOP_NOTHING, "nothing was changed" },
		{ ">d*", TOP_NOTHING, "nothing was changed" },
		{ ">dnd", TOP_NOTHING, "drain worker 0 of web? y/n" },
		{ ">vvdy", TOP_CHANGE, "drain worker 2 of web" },
		{ "!v^^vry", TOP_CHANGE, "resume worker 1 of web" },
		{ ">w1-32!y", TOP_CHANGE, "weight 32 for worker 0 of web" },
		{ ">w12", TOP_NOTHING, "weight for worker 0 of web, 1 to 256, then enter: 12" },
		{ ">w300!", TOP_NOTHING, "not a weight; nothing was changed" },
		{ ">w!", TOP_NOTHING, "nothing was changed" },
		{ ">w3*", TOP_NOTHING, "nothing was changed" },
		{ ">w3!n", TOP_NOTHING, "nothing was changed" },
		{ "p", TOP_NOTHING, "policy least-conn for web? up and down choose" },
		{ "pv^y", TOP_CHANGE, "policy least-conn for web" },
		{ "pvn", TOP_NOTHING, "nothing was changed" },
		{ "Ry", TOP_CHANGE, "reload web" },
		{ "Rn", TOP_NOTHING, "nothing was changed" },
		{ "h", TOP_NOTHING, "any key goes back" },
		{ "hq", TOP_NOTHING, "arrows select" },
		{ "x", TOP_NOTHING, "arrows select" },
		{ "><d", TOP_NOTHING, "which worker?" },
		{ "\td", TOP_NOTHING, "drain worker 0 of web? y/n" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct top_keys keys = { 0 };
		struct top top = { 0 };
		char text[256] = "";
		enum top_wish wish;

		take_two(&top, 4, 10);
		wish = press_all(&keys, &top, rows[i].keys);
		if (wish == TOP_CHANGE)
			top_describe(&keys.change, text, sizeof(text));
		else
			top_bottom(&keys, text, sizeof(text));
		check("top_press", rows[i].keys, wish, rows[i].want);
		if (strncmp(text, rows[i].bottom, strlen(rows[i].bottom)))
			fail_msg("%s: got \"%s\", want \"%s\"", rows[i].keys, text, rows[i].bottom);
		top_free(&top);
	}
}

/* Each policy comes round, and is one that a change may name. */
static void test_each_policy_can_be_chosen(void **state)
{
	struct top_keys keys = { 0 };
	struct change_words words;
	struct top top = { 0 };
	size_t n;

	(void)state;
	policy_names(&n);
	take_two(&top, 1, 10);
	press_all(&keys, &top, "p");
	for (size_t i = 0; i < n; i++) {
		press_all(&keys, &top, "v");
		assert_int_equal(keys.change.value == LB_POLICY_LEAST_CONN, i == n - 1);
		assert_int_equal(change_command(&keys.change, &words), 0);
	}
	top_free(&top);
}

static void test_keys_without_a_service(void **state)
{
	struct top_keys keys = { 0 };
	struct top top = { 0 };

	(void)state;
	for (const char *key = "drwpR<>^v!"; *key; key++) {
		char text[] = { *key, '\0' };

		assert_int_equal(press_all(&keys, &top, text), TOP_NOTHING);
		assert_int_equal(keys.mode, TOP_LOOKS);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rates_take_two_looks),
		cmocka_unit_test(test_cpu_is_of_one_process),
		cmocka_unit_test(test_busy_is_of_the_last_look),
		cmocka_unit_test(test_last_minute),
		cmocka_unit_test(test_quantiles_are_of_the_last_look),
		cmocka_unit_test(test_history_is_a_minute),
		cmocka_unit_test(test_another_of_the_same_name),
		cmocka_unit_test(test_selection_follows_its_service),
		cmocka_unit_test(test_fewer_workers),
		cmocka_unit_test(test_scroll),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_each_policy_can_be_chosen),
		cmocka_unit_test(test_keys_without_a_service),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
