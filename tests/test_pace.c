/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What least-latency learns and goes by: the arithmetic at its limits, then a simulated service of
 * four workers, each of which serves one connection after another, beside least-conn.
 */
#include <stdbool.h>
#include <string.h>

#include "check.h"
#include "lb_pace.h"

#define MS 1000000ULL
#define SECOND (1000 * MS)
#define WORKERS 4
#define MOST_OPEN 4096
#define STALE_NS SECOND

static void test_sample(void **state)
{
	static const struct {
		const char *name;
		uint64_t now, began, opened, want;
	} rows[] = {
		{ "busy since the last completion", 100, 70, 10, 30 },
		{ "idle before it came", 100, 10, 70, 30 },
		{ "the first of a busy time", 100, 70, 70, 30 },
		{ "another CPU's clock is ahead", 100, 101, 10, 1 },
		{ "at once", 100, 100, 100, 1 },
		{ "longer than anything", 1ULL << 60, 0, 0, LB_PACE_CEILING },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check("lb_pace_sample", rows[i].name,
		      lb_pace_sample(rows[i].now, rows[i].began, rows[i].opened), rows[i].want);
}

static void test_learn(void **state)
{
	static const struct {
		const char *name;
		struct lb_pace before;
		uint64_t sample, want;
	} rows[] = {
		{ "the first", { 0, 0, 0 }, 5000, 5000 },
		{ "the second has half the weight", { 2000, 1, 0 }, 4000, 3000 },
		{ "the same", { 32000, 32, 0 }, 32000, 32000 },
		{ "one that is twice as long", { 32000, 32, 0 }, 64000, 33000 },
		{ "one that took no time", { 32000, 32, 0 }, 1, 31000 },
		{ "an outlier doubles it at most", { 32000, 32, 0 }, LB_PACE_CEILING, 63000 },
		{ "never 0 again", { 1, 32, 0 }, 1, 1 },
		{ "longest", { LB_PACE_CEILING, 32, 0 }, LB_PACE_CEILING, LB_PACE_CEILING },
	};
	struct lb_pace pace;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		pace = rows[i].before;
		lb_pace_learn(&pace, rows[i].sample);
		check("lb_pace_learn", rows[i].name, pace.average_ns, rows[i].want);
		assert_in_range(pace.samples, 1, LB_PACE_SAMPLES);
	}
	/* the first 32 count alike: 1 .. 32 ms, without a remainder on the way */
	pace = (struct lb_pace){ 0 };
	for (uint64_t i = 1; i <= 32; i++)
		lb_pace_learn(&pace, i * 1000000);
	assert_in_range(pace.average_ns, 16499900, 16500000);
}

static void test_learn_probed(void **state)
{
	static const struct {
		const char *name;
		uint64_t sample, want;
	} rows[] = {
		{ "fast again", 1000, 1000 },
		{ "as slow as ever", 32000, 32000 },
		{ "slower", 64000, 33000 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct lb_pace pace = { 32000, 32, 0 };

		lb_pace_learn_probed(&pace, rows[i].sample);
		check("lb_pace_learn_probed", rows[i].name, pace.average_ns, rows[i].want);
	}
}

static void test_slowness(void **state)
{
	static const struct {
		const char *name;
		uint64_t average, service;
		uint32_t want;
	} rows[] = {
		{ "nothing known", 0, 0, LB_SLOW_ONE },
		{ "worker known, service not", 100 << 10, 0, LB_SLOW_ONE },
		{ "service known, worker not", 0, 100 << 10, LB_SLOW_ONE },
		{ "as all", 100 << 10, 100 << 10, LB_SLOW_ONE },
		{ "a fast one has no more than its share", 1 << 10, 100 << 10, LB_SLOW_ONE },
		{ "a little slower", 199 << 10, 100 << 10, LB_SLOW_ONE },
		{ "twice as slow", 2 << 20, 1 << 20, 2 * LB_SLOW_ONE },
		{ "50 times", 50 << 20, 1 << 20, 50 * LB_SLOW_ONE },
		{ "as slow as can be told", 1023 << 20, 1 << 20, 1023 * LB_SLOW_ONE },
		{ "no time at all", 1023, 1, LB_SLOW_ONE },
		{ "all as slow as can be", LB_PACE_CEILING, LB_PACE_CEILING, LB_SLOW_ONE },
		{ "slowest", LB_PACE_CEILING, 1, LB_SLOW_MOST },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct lb_pace own = { .average_ns = rows[i].average, .samples = 32 };
		const struct lb_pace all = { .average_ns = rows[i].service, .samples = 32 };
		uint64_t inverse = rows[i].service ? lb_pace_inverse(&all) : 0;

		check("lb_slowness", rows[i].name, lb_slowness(&own, inverse), rows[i].want);
	}
	assert_false(lb_is_slow(LB_SLOW_ONE));
	assert_true(lb_is_slow(LB_SLOW_FROM));
}

/* One dear request of a worker that has had few is no slow worker. */
static void test_slow_from(void **state)
{
	static const struct {
		const char *name;
		uint64_t samples, average; /* of a service that takes 1024 us */
		bool want;
	} rows[] = {
		{ "one sample, 2.9 times", 1, 2970 << 10, false },
		{ "one sample, three times", 1, 3072 << 10, true },
		{ "three samples, 2.9 times", 3, 2970 << 10, false },
		{ "four samples, 2.4 times", 4, 2458 << 10, false },
		{ "four samples, 2.5 times", 4, 2560 << 10, true },
		{ "15 samples, twice", 15, 2048 << 10, false },
		{ "16 samples, twice", 16, 2048 << 10, true },
		{ "16 samples, 1.9 times", 16, 1946 << 10, false },
	};
	const struct lb_pace all = { .average_ns = 1 << 20, .samples = 32 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct lb_pace own = { .average_ns = rows[i].average,
					     .samples = rows[i].samples };

		check("lb_slow_from", rows[i].name,
		      lb_is_slow(lb_slowness(&own, lb_pace_inverse(&all))), rows[i].want);
	}
}

static void test_cost(void **state)
{
	const uint64_t most = lb_latency_cost(INT64_MAX, UINT32_MAX, 65536, LB_SLOW_MOST);

	(void)state;
	assert_true(lb_key(most, LB_MAX_SLOTS - 1) < LB_KEY_NONE);
	assert_true(lb_latency_cost(INT64_MIN, 0, 256, LB_SLOW_ONE) > 0);
	/* one 50 times slower is worth 49 connections, and not one more */
	assert_true(lb_latency_cost(48, 0, 65536, LB_SLOW_ONE) <
		    lb_latency_cost(0, 0, 65536, 50 * LB_SLOW_ONE));
	assert_true(lb_latency_cost(50, 0, 65536, LB_SLOW_ONE) >
		    lb_latency_cost(0, 0, 65536, 50 * LB_SLOW_ONE));
	/* twice the weight, twice the connections */
	check("lb_latency_cost", "weight", lb_latency_cost(9, 0, lb_inverse_weight(2), 16),
	      lb_latency_cost(4, 0, lb_inverse_weight(1), 16));
}

/* --- a service --- */

struct queue {
	uint64_t opened[MOST_OPEN], needs[MOST_OPEN];
	unsigned int head, open;
	uint64_t done_ns; /* when the first in it will be served */
	uint64_t served, selected_ns, began_ns;
	struct lb_pace pace;
	bool probed;
};

struct service {
	struct queue queues[WORKERS];
	struct lb_pace pace;
	uint64_t inverse_pace, delay_sum_ns, served, probes;
	bool latency; /* else least-conn */
	/* what one more connection costs a worker */
	uint64_t (*needs)(int worker, uint64_t now_ns, uint64_t random);
};

static uint64_t random_state;

static uint64_t next_random(void)
{
	uint64_t z = random_state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

/* As pick_least_latency() and weigh_latency() do, from a start that rotates. */
static int choose(struct service *service, uint64_t start, uint64_t now_ns)
{
	uint64_t least = LB_KEY_NONE;
	int worker;

	for (int i = 0; i < WORKERS; i++) {
		struct queue *queue = &service->queues[(start + i) % WORKERS];
		uint64_t key = lb_key(lb_conn_cost(queue->open, 0, 65536), i);

		uint32_t slowness = lb_slowness(&queue->pace, service->inverse_pace);

		if (service->latency)
			key = lb_key(lb_latency_cost(queue->open, 0, 65536, slowness), i);
		if (service->latency && lb_is_slow(slowness) &&
		    lb_report_is_stale(queue->selected_ns, now_ns, STALE_NS))
			key = i;
		least = lb_key_min(least, key);
	}
	worker = (start + lb_key_position(least)) % WORKERS;
	service->queues[worker].selected_ns = now_ns;
	if (lb_key_is_silent(least)) {
		service->queues[worker].probed = true;
		service->probes++;
	}
	return worker;
}

static void serve_next(struct queue *queue, uint64_t now_ns)
{
	queue->done_ns = queue->open ? now_ns + queue->needs[queue->head % MOST_OPEN] : UINT64_MAX;
}

/* As note_opened(). */
static void open_connection(struct service *service, int worker, uint64_t now_ns, uint64_t random)
{
	struct queue *queue = &service->queues[worker];
	unsigned int tail = (queue->head + queue->open) % MOST_OPEN;

	assert_true(queue->open < MOST_OPEN);
	queue->opened[tail] = now_ns;
	queue->needs[tail] = service->needs(worker, now_ns, random);
	if (!queue->open)
		queue->began_ns = now_ns;
	if (!queue->open++)
		serve_next(queue, now_ns);
}

/* As note_served(). */
static void end_connection(struct service *service, struct queue *queue)
{
	uint64_t now_ns = queue->done_ns, opened_ns = queue->opened[queue->head % MOST_OPEN];
	uint64_t sample_ns = lb_pace_sample(now_ns, queue->began_ns, opened_ns);

	queue->began_ns = now_ns;
	if (queue->probed)
		lb_pace_learn_probed(&queue->pace, sample_ns);
	else
		lb_pace_learn(&queue->pace, sample_ns);
	queue->probed = false;
	lb_pace_learn(&service->pace, sample_ns);
	service->inverse_pace = lb_pace_inverse(&service->pace);
	queue->head++;
	queue->open--;
	queue->served++;
	service->served++;
	service->delay_sum_ns += now_ns - opened_ns;
	serve_next(queue, now_ns);
}

static struct queue *next_to_finish(struct service *service)
{
	struct queue *next = &service->queues[0];

	for (int i = 1; i < WORKERS; i++) {
		if (service->queues[i].done_ns < next->done_ns)
			next = &service->queues[i];
	}
	return next;
}

/* Connections come at random, every gap_ns on average, all with the same seed. */
static void simulate(struct service *service, bool latency, uint64_t seed, uint64_t gap_ns,
		     uint64_t connections)
{
	uint64_t now_ns = SECOND;

	random_state = seed;
	service->latency = latency;
	for (int i = 0; i < WORKERS; i++)
		service->queues[i].done_ns = UINT64_MAX;
	for (uint64_t n = 0; n < connections; n++) {
		now_ns += next_random() % (2 * gap_ns);
		while (next_to_finish(service)->done_ns <= now_ns)
			end_connection(service, next_to_finish(service));
		open_connection(service, choose(service, n, now_ns), now_ns, next_random());
	}
}

static uint64_t mean_delay_us(const struct service *service)
{
	return service->delay_sum_ns / service->served / 1000;
}

static uint64_t needs_mixed(int worker, uint64_t now_ns, uint64_t random)
{
	(void)worker;
	(void)now_ns;
	return random % 100 < 30 ? 200 * MS : 20 * MS;
}

static uint64_t needs_one_slow(int worker, uint64_t now_ns, uint64_t random)
{
	(void)now_ns;
	return (worker == 2 ? 5000000 : 100000) * (50 + random % 100) / 100;
}

/* Worker 2 is slow for a while. */
static uint64_t needs_slow_for_a_while(int worker, uint64_t now_ns, uint64_t random)
{
	bool slow = worker == 2 && now_ns > 3 * SECOND && now_ns < 6 * SECOND;

	return needs_one_slow(slow ? 2 : 0, now_ns, random);
}

static struct service conns, latency;

static void compare(uint64_t (*needs)(int, uint64_t, uint64_t), uint64_t seed, uint64_t gap_ns,
		    uint64_t connections)
{
	conns = (struct service){ .needs = needs };
	latency = (struct service){ .needs = needs };
	simulate(&conns, false, seed, gap_ns, connections);
	simulate(&latency, true, seed, gap_ns, connections);
}

/* Cheap and dear requests on workers alike, at 28, 55, 75 and 90 % of what they can: no worse. */
static void test_slow_connections_are_no_slow_workers(void **state)
{
	static const uint64_t gaps_ms[] = { 66, 34, 25, 21 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(gaps_ms); i++) {
		uint64_t conns_us = 0, latency_us = 0;

		for (uint64_t seed = 1; seed <= 10; seed++) {
			compare(needs_mixed, seed, gaps_ms[i] * MS, 5000);
			conns_us += mean_delay_us(&conns) / 10;
			latency_us += mean_delay_us(&latency) / 10;
		}
		if (latency_us > conns_us * 101 / 100)
			fail_msg("every %" PRIu64 " ms: got %" PRIu64
				 " us, least-conn has %" PRIu64,
				 gaps_ms[i], latency_us, conns_us);
	}
}

/* One worker 50 times slower: it gets next to nothing, but for a connection a second to see. */
static void test_slow_worker(void **state)
{
	(void)state;
	compare(needs_one_slow, 7, 50000, 200000);
	assert_true(mean_delay_us(&latency) * 3 < mean_delay_us(&conns) * 2);
	assert_in_range(latency.probes, 8, 10);
	assert_in_range(latency.queues[2].served, 8, 30);
}

/* It is slow from 3 s to 6 s; afterwards it takes part as before. */
static void test_worker_recovers(void **state)
{
	uint64_t at_7_s;

	(void)state;
	latency = (struct service){ .needs = needs_slow_for_a_while };
	simulate(&latency, true, 3, 50000, 120000);
	at_7_s = latency.queues[2].served;
	latency = (struct service){ .needs = needs_slow_for_a_while };
	simulate(&latency, true, 3, 50000, 200000);
	/* a quarter of the last 80,000 */
	assert_in_range(latency.queues[2].served - at_7_s, 18000, 22000);
	assert_in_range(latency.probes, 2, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sample),
		cmocka_unit_test(test_learn),
		cmocka_unit_test(test_learn_probed),
		cmocka_unit_test(test_slowness),
		cmocka_unit_test(test_slow_from),
		cmocka_unit_test(test_cost),
		cmocka_unit_test(test_slow_connections_are_no_slow_workers),
		cmocka_unit_test(test_slow_worker),
		cmocka_unit_test(test_worker_recovers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
