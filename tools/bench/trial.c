// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * See trial.h. Events are a process of their own: what they wait for must not hold the load up.
 */
#include "trial.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client.h"
#include "cmd.h"

#define TIMEOUT_MS 10000
#define NS_PER_US 1000
#define SETTLE_US 500000 /* a peer that has just started has more to do than to serve */

/*
 * The spread of open connections. Where they come and go, the mean from then on that as many are
 * open as ever will be; where all stay, that at the end.
 */
struct open_spread {
	const struct scenario *scenario;
	double sum;
	unsigned int samples;
};

static void sample_open(void *context, double elapsed_s, const struct load_result *result)
{
	struct open_spread *spread = context;
	size_t n = spread->scenario->service.workers;
	uint64_t open[LOAD_MAX_WORKERS] = { 0 };

	if (elapsed_s < 2 * spread->scenario->plan.hold_s)
		return;
	if (spread->scenario->plan.hold_s <= 0)
		spread->sum = spread->samples = 0;
	if (result->nr_workers > n)
		n = result->nr_workers;
	for (size_t i = 0; i < result->nr_workers; i++)
		open[i] = result->workers[i].open;
	spread->sum += spread_max_minus_min(open, n);
	spread->samples++;
}

static int hang_worker(pid_t pid, unsigned int ms)
{
	if (pid <= 0 || kill(pid, SIGSTOP))
		return -ESRCH;
	usleep(ms * 1000);
	return kill(pid, SIGCONT);
}

static int do_event(const struct peer_run *run, const struct scenario_event *event, pid_t worker)
{
	char workers[16];
	pid_t pid;

	switch (event->kind) {
	case EVENT_HANG:
		return hang_worker(worker, event->ms);
	case EVENT_KILL:
		pid = peer_ask_pid(run);
		return pid > 0 ? kill(pid, SIGKILL) : -ESRCH;
	case EVENT_RELOAD:
		return peer_call(run, "reload", NULL);
	case EVENT_SCALE:
		snprintf(workers, sizeof(workers), "%u", 2 * run->service.workers);
		return peer_call(run, "scale", workers);
	case EVENT_NONE:
		break;
	}
	return 0;
}

static void do_events(const struct scenario *scenario, const struct peer_run *run)
{
	/* any worker, asked for before there is a queue to wait in */
	pid_t worker = peer_ask_pid(run);
	uint64_t begin_ns = client_now_ns(), at_ns;
	int failed = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (size_t i = 0; i < SCENARIO_MAX_EVENTS && scenario->events[i].kind; i++) {
		at_ns = begin_ns + scenario->events[i].at_s * 1e9;
		if (at_ns > client_now_ns())
			usleep((at_ns - client_now_ns()) / NS_PER_US);
		failed += do_event(run, &scenario->events[i], worker) != 0;
	}
	_exit(failed);
}

static pid_t start_events(const struct scenario *scenario, const struct peer_run *run)
{
	pid_t pid = scenario->events[0].kind ? fork() : 0;

	if (!pid && scenario->events[0].kind)
		do_events(scenario, run);
	return pid;
}

/* Returns how many events went wrong. */
static int end_events(pid_t pid)
{
	int status = 0;

	if (pid < 0)
		return 1;
	if (pid && waitpid(pid, &status, 0) != pid)
		return 1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static void fill(struct sample *sample, const struct load_result *result,
		 const struct open_spread *open, const struct peer_run *run, uint64_t cpu_us)
{
	double *values = sample->values;
	const struct histogram *latency = &result->latency;
	uint64_t counts[LOAD_MAX_WORKERS] = { 0 };
	size_t n = run->service.workers > result->nr_workers ? run->service.workers :
							       result->nr_workers;

	for (size_t i = 0; i < result->nr_workers; i++)
		counts[i] = result->workers[i].connections;
	values[METRIC_RATE] = figures_rate(&result->figures);
	values[METRIC_MEAN] = histogram_mean_ns(latency) / 1e6;
	values[METRIC_P50] = histogram_percentile_ns(latency, 50) / 1e6;
	values[METRIC_P90] = histogram_percentile_ns(latency, 90) / 1e6;
	values[METRIC_P99] = histogram_percentile_ns(latency, 99) / 1e6;
	values[METRIC_P999] = histogram_percentile_ns(latency, 99.9) / 1e6;
	values[METRIC_MAX] = latency->max_ns / 1e6;
	values[METRIC_FAILED] = result->figures.failed;
	values[METRIC_SPREAD] = spread_max_over_mean(counts, n);
	values[METRIC_OPEN] = open->samples ? open->sum / open->samples : 0;
	values[METRIC_CPU] =
		result->figures.transactions ? (double)cpu_us / result->figures.transactions : 0;
	siege_of(result, sample->siege);
	memcpy(sample->failed, result->by_kind, sizeof(sample->failed));
	sample->nr_workers = n < SAMPLE_WORKERS ? n : SAMPLE_WORKERS;
	memcpy(sample->connections, counts, sample->nr_workers * sizeof(counts[0]));
}

static int measure(const struct trial *trial, const struct peer_run *run,
		   struct load_result *result, struct sample *sample, struct trouble *trouble)
{
	struct open_spread open = { .scenario = trial->scenario };
	struct load_plan plan = trial->scenario->plan;
	struct targets targets = { 0 };
	uint64_t cpu_us;
	pid_t events;
	int err = 0, status = scenario_targets(trial->scenario, run->port, &targets, trouble);

	plan.targets = &targets;
	plan.any_order = targets.count > 1;
	plan.timeout_ms = TIMEOUT_MS;
	plan.seed = trial->seed;
	plan.worker_header = "X-Worker";
	plan.stop = &cmd_stop;
	if (plan.hold) {
		plan.tick = sample_open;
		plan.context = &open;
	}
	if (!status) {
		usleep(SETTLE_US);
		events = start_events(trial->scenario, run);
		cpu_us = peer_cpu_us(run);
		err = load_run(&plan, result);
		if (plan.hold && plan.hold_s <= 0)
			sample_open(&open, result->figures.elapsed_s, result);
		cpu_us = peer_cpu_us(run) - cpu_us;
		if (!err && end_events(events))
			err = -ECANCELED;
		fill(sample, result, &open, run, cpu_us);
	}
	targets_free(&targets);
	if (err == -ECANCELED)
		return trouble_set(trouble, EXIT_FAILED, "what was to happen meanwhile did not");
	if (err)
		return trouble_set(trouble, EXIT_FAILED, "the load failed: %s", strerror(-err));
	return status;
}

int trial_run(const struct trial *trial, struct load_result *result, struct sample *sample,
	      struct trouble *trouble)
{
	struct peer_run run = { 0 };
	char words[200];
	struct trouble inner = { 0 };
	int status = peer_start(&run, trial->peers, trial->peer, trial->world,
				&trial->scenario->service, trouble);

	if (!status && measure(trial, &run, result, sample, &inner)) {
		peer_last_words(&run, words, sizeof(words));
		status = trouble_set(trouble, inner.status, "%s: %.150s%s%s", trial->peer->name,
				     inner.text, *words ? "; it said last: " : "", words);
	}
	sample->lost = status ? -1 : peer_ask_lost(&run);
	peer_stop(&run);
	return status;
}
