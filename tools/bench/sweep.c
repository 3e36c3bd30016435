// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See sweep.h. */
#include "sweep.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cmd.h"

#define WARM_UP_S 0.5
#define WARM_UP_USERS 16
#define REPETITIONS_RATIO 2 /* of a step to the next */

size_t sweep_steps(uint64_t from, uint64_t to, size_t n, uint64_t *values)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++) {
		double share = n > 1 ? (double)i / (n - 1) : 0;
		uint64_t value = llround(from * pow((double)to / from, share));

		if (!count || values[count - 1] != value)
			values[count++] = value;
	}
	return count;
}

unsigned int sweep_limit(const struct sweep *sweep)
{
	if (sweep->knee.kind != KNEE_FOUND || !sweep->served.workers)
		return 0;
	return ceil(sweep->knee.high / sweep->served.workers);
}

unsigned int sweep_hold_ms(const struct sweep *sweep)
{
	double ms;

	if (!sweep_limit(sweep))
		return 0;
	ms = ceil(10 * sweep->by_users[sweep->knee.index].p99_ms);
	return ms < 100 ? 100 : ms > 60000 ? 60000 : (unsigned int)ms;
}

double sweep_noise(const struct sweep *sweep)
{
	double noise[SWEEP_MAX_STEPS];
	size_t n = 0;

	for (size_t i = 0; i < sweep->nr_by_users; i++) {
		const struct sweep_step *step = &sweep->by_users[i];
		double least = step->rates[0], most = least;

		for (unsigned int round = 1; round < step->rounds; round++) {
			least = fmin(least, step->rates[round]);
			most = fmax(most, step->rates[round]);
		}
		if (step->rate > 0)
			noise[n++] = (most - least) / step->rate;
	}
	return median(noise, n);
}

/* What of the work is behind us. */
struct progress {
	unsigned int done, all;
	double step_s;
};

static void show_progress(const struct sweep *sweep, const struct sweep_step *step,
			  unsigned int round, const struct progress *progress)
{
	char repetitions[48] = "";

	if (sweep->quiet)
		return;
	if (step->repetitions)
		snprintf(repetitions, sizeof(repetitions), ", %llu requests each",
			 (unsigned long long)step->repetitions);
	fprintf(stderr, "\r%u users%s; round %u of %u; step %u of %u, at least %.0f s to go\033[K",
		step->users, repetitions, round + 1, sweep->rounds, progress->done + 1,
		progress->all, (progress->all - progress->done) * progress->step_s);
}

static struct load_plan plan_of(const struct sweep *sweep, unsigned int users, double seconds)
{
	return (struct load_plan){
		.targets = sweep->targets,
		.users = users,
		.seconds = seconds,
		.keep_alive = sweep->keep_alive,
		.timeout_ms = sweep->timeout_ms,
		.seed = 1,
		.worker_header = sweep->worker_header,
		.stop = &cmd_stop,
	};
}

/* Adds a run to what came before it in the same step. */
static void add_run(struct load_result *sum, const struct load_result *result)
{
	sum->figures.transactions += result->figures.transactions;
	sum->figures.failed += result->figures.failed;
	sum->figures.elapsed_s += result->figures.elapsed_s;
	sum->figures.response_sum_s += result->figures.response_sum_s;
	histogram_merge(&sum->latency, &result->latency);
}

/* One step of one round: with repetitions as many runs as there is time for, at least one. */
static int run_step(const struct sweep *sweep, struct sweep_step *step, struct load_result *result,
		    struct load_result *sum)
{
	struct load_plan plan = plan_of(sweep, step->users, sweep->seconds);
	unsigned int i = step->rounds;
	int err;

	memset(sum, 0, sizeof(*sum));
	plan.repetitions = step->repetitions;
	do {
		err = load_run(&plan, result);
		add_run(sum, result);
	} while (!err && step->repetitions && !cmd_stop && sum->figures.elapsed_s < sweep->seconds);
	step->cut |= sum->figures.transactions + sum->figures.failed <
		     step->users * step->repetitions;
	step->rates[i] = figures_rate(&sum->figures);
	step->responses_ms[i] = figures_response_s(&sum->figures) * 1e3;
	step->p99s_ms[i] = histogram_percentile_ns(&sum->latency, 99) / 1e6;
	step->failed += sum->figures.failed;
	step->rounds++;
	return err;
}

static void take_medians(struct sweep_step *steps, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		steps[i].rate = median(steps[i].rates, steps[i].rounds);
		steps[i].response_ms = median(steps[i].responses_ms, steps[i].rounds);
		steps[i].p99_ms = median(steps[i].p99s_ms, steps[i].rounds);
	}
}

static int run_steps(struct sweep *sweep, struct sweep_step *steps, size_t n,
		     struct load_result *results, struct progress *progress,
		     struct trouble *trouble)
{
	int err = 0;

	for (unsigned int round = 0; round < sweep->rounds; round++) {
		for (size_t i = 0; i < n && !err && !cmd_stop; i++) {
			struct sweep_step *step = &steps[round % 2 ? n - 1 - i : i];

			show_progress(sweep, step, round, progress);
			err = run_step(sweep, step, &results[0], &results[1]);
			progress->done++;
		}
	}
	take_medians(steps, n);
	if (err)
		return cmd_load_failed(err, sweep->to, trouble);
	return cmd_stop ? trouble_set(trouble, 128 + SIGINT, "stopped") : EXIT_DONE;
}

/* A server that answers nothing is found here, and a JIT compiler has something to work on. */
static int warm_up(struct sweep *sweep, struct load_result *result, struct trouble *trouble)
{
	struct load_plan plan =
		plan_of(sweep, sweep->to < WARM_UP_USERS ? sweep->to : WARM_UP_USERS, WARM_UP_S);
	int err = load_raise_descriptors(sweep->to), kind = 0;

	if (!err)
		err = load_run(&plan, result);
	if (err)
		return cmd_load_failed(err, sweep->to, trouble);
	if (!sweep->served.workers)
		sweep->served.workers = result->nr_workers;
	while (kind < LOAD_FAILURE_KINDS - 1 && !result->by_kind[kind])
		kind++;
	if (!result->figures.transactions && !cmd_stop)
		return trouble_set(trouble, EXIT_FAILED,
				   "%.200s: no request was answered (%s); is it the right URL?",
				   sweep->url, load_failure_words(kind));
	return EXIT_DONE;
}

static void find_knee(struct sweep *sweep)
{
	struct knee_point points[SWEEP_MAX_STEPS];

	for (size_t i = 0; i < sweep->nr_by_users; i++) {
		const struct sweep_step *step = &sweep->by_users[i];

		points[i] = (struct knee_point){ step->users, step->rate, step->response_ms,
						 step->failed };
	}
	knee_find(points, sweep->nr_by_users, &sweep->knee);
}

/* At the knee, or where throughput is highest. */
static unsigned int users_for_repetitions(const struct sweep *sweep)
{
	const struct sweep_step *best = &sweep->by_users[sweep->knee.index];

	for (size_t i = 0; i < sweep->nr_by_users && sweep->knee.kind != KNEE_FOUND; i++) {
		if (sweep->by_users[i].rate > best->rate)
			best = &sweep->by_users[i];
	}
	return best->users;
}

static size_t repetitions_steps(const struct sweep *sweep, uint64_t *values)
{
	size_t n = 1;

	if (!sweep->most_repetitions)
		return 0;
	for (uint64_t most = 1; most < sweep->most_repetitions; most *= REPETITIONS_RATIO)
		n++;
	return sweep_steps(1, sweep->most_repetitions, n, values);
}

int sweep_run(struct sweep *sweep, struct trouble *trouble)
{
	_cleanup_free_ struct load_result *results = calloc(2, sizeof(*results));
	struct progress progress = { .step_s = sweep->seconds };
	uint64_t users[SWEEP_MAX_STEPS], repetitions[SWEEP_MAX_STEPS];
	int status;

	if (!results)
		return trouble_set(trouble, EXIT_FAILED, "%s", strerror(ENOMEM));
	sweep->nr_by_users = sweep_steps(sweep->from, sweep->to, sweep->steps, users);
	sweep->nr_by_repetitions = repetitions_steps(sweep, repetitions);
	progress.all = (sweep->nr_by_users + sweep->nr_by_repetitions) * sweep->rounds;
	for (size_t i = 0; i < sweep->nr_by_users; i++)
		sweep->by_users[i].users = users[i];
	status = warm_up(sweep, results, trouble);
	if (!status)
		status = run_steps(sweep, sweep->by_users, sweep->nr_by_users, results, &progress,
				   trouble);
	find_knee(sweep);
	for (size_t i = 0; i < sweep->nr_by_repetitions; i++) {
		sweep->by_repetitions[i].users = users_for_repetitions(sweep);
		sweep->by_repetitions[i].repetitions = repetitions[i];
	}
	if (!status)
		status = run_steps(sweep, sweep->by_repetitions, sweep->nr_by_repetitions, results,
				   &progress, trouble);
	if (!sweep->quiet)
		fputs("\r\033[K", stderr);
	return status;
}
