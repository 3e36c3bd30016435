// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What stands out of a service: each rule at its border, one step to either side; a service that is
 * well, with all that chance does to it, has nothing; and any facts give sentences.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "explain_made.h"

static struct explain_finding findings[EXPLAIN_MOST(MOST_WORKERS)];

static const char *first_found(size_t n)
{
	return n ? explain_kind_name(findings[0].kind) : "nothing";
}

static void test_each_rule_at_its_border(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];
		struct explain_worker w[WORKERS];
		struct explain_facts f;
		size_t n;

		make_healthy(&f, w, WORKERS);
		row->make(&f, w);
		n = explain(&f, findings, EXPLAIN_MOST(WORKERS));
		if (n != (row->want != NOTHING) || (n && findings[0].kind != row->want))
			fail_msg("%s: %zu found, the first is %s, the second %s: %s", row->name, n,
				 first_found(n),
				 n > 1 ? explain_kind_name(findings[1].kind) : "none",
				 n ? findings[0].text : "");
		if (n &&
		    (findings[0].worker != row->worker || !strstr(findings[0].remedy, row->words)))
			fail_msg("%s: worker %u, \"%s\"", row->name, findings[0].worker,
				 findings[0].remedy);
	}
}

/* Every kind is found in some row, but what is only said beside another. */
static void test_no_rule_is_left_out(void **state)
{
	(void)state;
	for (enum explain_kind kind = 0; kind < EXPLAIN_LATENCY_OFF; kind++) {
		size_t n = 0;

		for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
			n += rows[i].want == kind;
		if (!n)
			fail_msg("no row finds %s", explain_kind_name(kind));
	}
}

/* Last, where something stands out of which it would tell more, and it is off and could be on. */
static void test_latency_off_is_last(void **state)
{
	static const struct {
		const char *name;
		void (*make)(struct explain_facts *f, struct explain_worker *w);
		bool can_measure;
		bool want;
	} cases[] = {
		{ "slow", case_pace, true, true },
		{ "it can't be", case_pace, false, false },
		{ "it is on", case_slow, true, false },
		{ "it would say nothing of it", case_a_drained, true, false },
		{ "nothing stands out", case_well, true, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct explain_worker w[WORKERS];
		struct explain_facts f;
		size_t n;

		make_healthy(&f, w, WORKERS);
		cases[i].make(&f, w);
		f.can_measure = cases[i].can_measure;
		n = explain(&f, findings, EXPLAIN_MOST(WORKERS));
		check("latency-off", cases[i].name,
		      n > 1 && findings[n - 1].kind == EXPLAIN_LATENCY_OFF, cases[i].want);
	}
}

/* A worker is spoken of once, and no more is written than there is room. */
static void test_one_finding_a_worker(void **state)
{
	struct explain_worker w[WORKERS];
	struct explain_facts f;
	size_t n;

	(void)state;
	make_healthy(&f, w, WORKERS);
	for (int i = 0; i < WORKERS; i++) {
		w[i].stalled_ns = HANGS_NS * 2;
		w[i].lost = 100;
		w[i].skipped = 1000;
	}
	n = explain(&f, findings, EXPLAIN_MOST(WORKERS));
	check("explain", "all hang", n, WORKERS);
	check("explain", "room for two", explain(&f, findings, 2), 2);
	check("explain", "no room", explain(&f, findings, 0), 0);
}

/* --- chance --- */

static double uniform(void)
{
	return (rand() + 1.0) / (RAND_MAX + 2.0);
}

/* Of a normal distribution, by the sum of twelve. */
static double normal(double mean, double deviation)
{
	double sum = -6;

	for (int i = 0; i < 12; i++)
		sum += uniform();
	return fmax(0, mean + deviation * sum);
}

static void place(struct explain_facts *f, uint64_t n)
{
	bool by_chance = f->policy == LB_POLICY_HASH || f->policy == LB_POLICY_KERNEL ||
			 f->policy == LB_POLICY_RANDOM;

	for (uint32_t i = 0; i < f->nr_workers; i++)
		f->workers[i].selected = f->workers[i].opened = 0;
	for (uint64_t i = 0; i < n; i++) {
		struct explain_worker *w =
			&f->workers[by_chance ? (uint32_t)rand() % f->nr_workers :
						i % f->nr_workers];

		w->selected++;
		w->opened++;
	}
	f->decisions = n;
}

/* A mean and a median of so many, of which one in 20 takes 20 times as long. */
static struct explain_time sampled(uint64_t count, double mean_ns)
{
	double root = sqrt(count ? count : 1);

	return (struct explain_time){ count, normal(mean_ns, 2 * mean_ns / root),
				      normal(mean_ns / 2, mean_ns / root / 2),
				      normal(2 * mean_ns, 4 * mean_ns / root) };
}

static void make_by_chance(struct explain_facts *f, struct explain_worker *w)
{
	double mean_ns = pow(10, 4 + 3 * uniform()); /* 10 us to 10 ms */

	make_healthy(f, w, 1 + rand() % MOST_WORKERS);
	f->policy = 1 + rand() % LB_POLICY_LEAST_LATENCY;
	f->latency = rand() % 2;
	f->keeper = rand() % 4;
	f->can_measure = true;
	place(f, rand() % 20000);
	f->counters.redraws = rand();
	f->counters.kept = rand();
	f->counters.slow_probes = rand() % 100;
	for (uint32_t i = 0; i < f->nr_workers; i++) {
		uint32_t queued = rand() % 4;
		double live = normal(6, 2);

		w[i].live = live;
		w[i].live_last = w[i].live_least = live;
		w[i].queued = queued / 2.0;
		w[i].queued_least = queued / 4;
		w[i].stayed = rand() % 4;
		w[i].restarts = rand() % 4;
		w[i].cpu = normal(0.4, 0.05);
		w[i].stalled_ns = rand() % 100 ? 0 : 150000000;
		w[i].pace_us = normal(mean_ns, mean_ns / 8) / 1e3;
		w[i].pace_most_us = w[i].pace_us * 1.3;
		if (!f->latency)
			continue;
		w[i].first_byte = sampled(w[i].opened, mean_ns);
		w[i].wait = sampled(w[i].opened, mean_ns / 10);
	}
}

static void test_chance_is_no_finding(void **state)
{
	enum { SERVICES = 20000 };
	size_t false_ones = 0;

	(void)state;
	srand(1);
	for (int i = 0; i < SERVICES; i++) {
		struct explain_worker w[MOST_WORKERS];
		struct explain_facts f;
		size_t n;

		make_by_chance(&f, w);
		n = explain(&f, findings, EXPLAIN_MOST(MOST_WORKERS));
		if (n && !false_ones++)
			print_message("%s: %s\n", explain_kind_name(findings[0].kind),
				      findings[0].text);
	}
	check("explain", "of 20000 that are well", false_ones, 0);
}

/* --- anything --- */

static uint64_t garbage(void)
{
	switch (rand() % 5) {
	case 0:
		return 0;
	case 1:
		return ~0ULL;
	case 2:
		return rand() % 3;
	case 3:
		return 1ULL << rand() % 64;
	default:
		return (uint64_t)rand() << 32 | (uint32_t)rand() << 1;
	}
}

static double garbage_real(void)
{
	return garbage() / (rand() % 2 ? 1.0 : 1e9) - (rand() % 8 ? 0 : 2);
}

static struct explain_time garbage_time(void)
{
	return (struct explain_time){ garbage(), garbage_real(), garbage_real(), garbage_real() };
}

static void fill_garbage(struct explain_facts *f, struct explain_worker *w)
{
	make_healthy(f, w, rand() % (MOST_WORKERS + 1));
	for (size_t i = 0; i < sizeof(f->counters) / sizeof(uint64_t); i++)
		((uint64_t *)&f->counters)[i] = garbage();
	f->policy = 1 + rand() % LB_POLICY_LEAST_LATENCY;
	f->keeper = rand() % 4;
	f->blind = rand() % 2;
	f->counted = rand() % 2;
	f->datagrams = rand() % 2;
	f->latency = rand() % 2;
	f->idle = rand() % 2;
	f->can_measure = rand() % 2;
	f->decisions = garbage();
	f->hold_ns = garbage();
	f->limit = garbage();
	f->left_out = garbage();
	f->takers = garbage();
	f->seconds = garbage_real();
	for (uint32_t i = 0; i < f->nr_workers; i++)
		w[i] = (struct explain_worker){
			garbage(),
			rand() % 2,
			rand() % 2,
			rand() % 2,
			garbage(),
			garbage(),
			garbage(),
			garbage_real(),
			garbage(),
			garbage(),
			garbage_real(),
			garbage(),
			garbage(),
			garbage(),
			garbage(),
			garbage(),
			garbage(),
			garbage(),
			garbage(),
			garbage(),
			garbage(),
			garbage(),
			garbage(),
			garbage_real(),
			garbage_time(),
			garbage_time(),
			{ "/some/cgroup", garbage(), garbage(), garbage() },
		};
}

static bool is_sentence(const char *text)
{
	return *text && !strstr(text, "nan") && !strstr(text, "inf") && !strchr(text, '\n');
}

static void test_any_facts_give_sentences(void **state)
{
	(void)state;
	srand(2);
	for (int i = 0; i < 20000; i++) {
		struct explain_worker w[MOST_WORKERS];
		struct explain_facts f;
		size_t n;

		fill_garbage(&f, w);
		n = explain(&f, findings, EXPLAIN_MOST(MOST_WORKERS));
		for (size_t j = 0; j < n; j++) {
			if (!is_sentence(findings[j].text) || !is_sentence(findings[j].remedy))
				fail_msg("%s: \"%s\", \"%s\"", explain_kind_name(findings[j].kind),
					 findings[j].text, findings[j].remedy);
			for (int k = 0; k < EXPLAIN_NUMBERS && findings[j].numbers[k].name; k++)
				assert_true(isfinite(findings[j].numbers[k].value));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_rule_at_its_border),
		cmocka_unit_test(test_no_rule_is_left_out),
		cmocka_unit_test(test_latency_off_is_last),
		cmocka_unit_test(test_one_finding_a_worker),
		cmocka_unit_test(test_chance_is_no_finding),
		cmocka_unit_test(test_any_facts_give_sentences),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
