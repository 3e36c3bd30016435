// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See sweep.h: text, JSON, data for a picture, the picture. */
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "capture.h"
#include "cmd.h"
#include "sweep.h"

#define GNUPLOT_MS 30000
#define NOISY 0.25

static const char *const kind_words[] = {
	[KNEE_FOUND] = "found",
	[KNEE_BEYOND] = "beyond",
	[KNEE_BELOW] = "below",
	[KNEE_UNKNOWN] = "unknown",
};

static const struct sweep_step *at_knee(const struct sweep *sweep)
{
	return &sweep->by_users[sweep->knee.index];
}

static bool is_advised(const struct sweep *sweep, const struct sweep_step *step)
{
	return sweep->knee.kind == KNEE_FOUND && step->users >= sweep->knee.low &&
	       step->users <= sweep->knee.high;
}

static void print_step(FILE *out, const struct sweep_step *step, const char *remark)
{
	fprintf(out, " %10.0f %10.2f %10.2f %8llu%s%s\n", step->rate, step->response_ms,
		step->p99_ms, (unsigned long long)step->failed, *remark ? "  " : "", remark);
}

static void print_by_users(FILE *out, const struct sweep *sweep)
{
	fprintf(out, "\n%8s %10s %10s %10s %8s\n", "USERS", "req/s", "mean ms", "p99 ms", "failed");
	for (size_t i = 0; i < sweep->nr_by_users; i++) {
		const struct sweep_step *step = &sweep->by_users[i];
		bool knee = sweep->knee.kind == KNEE_FOUND && step == at_knee(sweep);

		fprintf(out, "%8u", step->users);
		print_step(out, step, knee ? "<- knee" : is_advised(sweep, step) ? "|" : "");
	}
}

static void print_by_repetitions(FILE *out, const struct sweep *sweep)
{
	if (!sweep->nr_by_repetitions)
		return;
	fprintf(out, "\n%u users, each with so many requests, again and again:\n",
		sweep->by_repetitions[0].users);
	fprintf(out, "%8s %10s %10s %10s %8s\n", "EACH", "req/s", "mean ms", "p99 ms", "failed");
	for (size_t i = 0; i < sweep->nr_by_repetitions; i++) {
		const struct sweep_step *step = &sweep->by_repetitions[i];

		fprintf(out, "%8llu", (unsigned long long)step->repetitions);
		print_step(out, step, step->cut ? "(not all: the time was over)" : "");
	}
}

static void print_knee(FILE *out, const struct sweep *sweep)
{
	const struct sweep_step *step = at_knee(sweep);
	double noise = sweep_noise(sweep);

	fputs("\nknee:    ", out);
	switch (sweep->knee.kind) {
	case KNEE_FOUND:
		fprintf(out, "about %u users: %.0f requests/s, %.2f ms\n", step->users, step->rate,
			step->response_ms);
		break;
	case KNEE_BEYOND:
		fprintf(out, "no knee up to %u users: throughput still rises; try a higher --to\n",
			sweep->to);
		break;
	case KNEE_BELOW:
		fprintf(out,
			"at %u users or below: more do not raise throughput; try a lower --from\n",
			sweep->from);
		break;
	case KNEE_UNKNOWN:
		fputs("not looked for: that takes 4 different steps\n", out);
	}
	fprintf(out, "method:  %s\n", KNEE_METHOD);
	if (sweep->rounds > 1)
		fprintf(out, "noise:   rounds of a step differ by %.0f %%%s\n", 100 * noise,
			noise > NOISY ?
				": too much to trust this; more --rounds, --seconds or rest "
				"for the machine help" :
				"");
}

static void print_setting(FILE *out, const struct sweep *sweep)
{
	const struct served *served = &sweep->served;

	if (!served->workers) {
		fputs("setting: how many workers share them is not known: add --workers N\n", out);
		return;
	}
	fprintf(out,
		"setting: lbctl set %s limit=%u hold_ms=%u   (%.0f users by %u worker%s, rounded "
		"up%s)\n",
		*served->service ? served->service : "NAME", sweep_limit(sweep),
		sweep_hold_ms(sweep), sweep->knee.high, served->workers, plural(served->workers),
		*served->service ? "" : "; no service that lbctl knows listens there");
	fputs("         Who comes when all workers are at their limit waits for one, in turn and "
	      "at most\n"
	      "         hold_ms: under a least-* policy, with lbctl run or watch. Without, a worker "
	      "at its\n"
	      "         limit gets no more while another has room, and nobody waits.\n",
	      out);
}

void sweep_text(FILE *out, const struct sweep *sweep)
{
	struct utsname system = { 0 };

	uname(&system);
	fprintf(out, "sweep of %s: %u to %u users, %g s a step, medians of %u round%s, %s\n",
		sweep->url, sweep->from, sweep->to, sweep->seconds, sweep->rounds,
		plural(sweep->rounds),
		sweep->keep_alive ? "keep-alive" : "a connection for each request");
	fprintf(out, "Linux %s, %ld CPUs\n", system.release, sysconf(_SC_NPROCESSORS_ONLN));
	print_by_users(out, sweep);
	print_by_repetitions(out, sweep);
	print_knee(out, sweep);
	if (sweep->knee.kind != KNEE_FOUND)
		return;
	fprintf(out,
		"advised: %.0f to %.0f users: at least %.0f %% of the knee's throughput, at most "
		"%g times its\n         response time%s\n",
		sweep->knee.low, sweep->knee.high, 100 * KNEE_KEEP_RATE, KNEE_MAX_RESPONSE,
		at_knee(sweep)->failed ? "" : ", no failure");
	print_setting(out, sweep);
}

static json_t *values_json(const double *values, unsigned int n)
{
	json_t *array = json_array();

	for (unsigned int i = 0; i < n; i++)
		json_array_append_new(array, json_real(values[i]));
	return array;
}

static json_t *steps_json(const struct sweep_step *steps, size_t n)
{
	json_t *array = json_array(), *object;

	for (size_t i = 0; i < n; i++) {
		const struct sweep_step *step = &steps[i];

		object = json_pack("{s:i, s:f, s:f, s:f, s:I, s:o, s:o, s:o}", "users",
				   (int)step->users, "rate", step->rate, "response_ms",
				   step->response_ms, "p99_ms", step->p99_ms, "failed",
				   (json_int_t)step->failed, "rates",
				   values_json(step->rates, step->rounds), "responses_ms",
				   values_json(step->responses_ms, step->rounds), "p99s_ms",
				   values_json(step->p99s_ms, step->rounds));
		if (step->repetitions) {
			json_object_set_new(object, "repetitions", json_integer(step->repetitions));
			json_object_set_new(object, "cut", json_boolean(step->cut));
		}
		json_array_append_new(array, object);
	}
	return array;
}

static json_t *knee_json(const struct sweep *sweep)
{
	json_t *object = json_pack("{s:s, s:s, s:f}", "kind", kind_words[sweep->knee.kind],
				   "method", KNEE_METHOD, "noise", sweep_noise(sweep));

	if (sweep->knee.kind != KNEE_FOUND)
		return object;
	json_object_set_new(object, "users", json_integer(at_knee(sweep)->users));
	json_object_set_new(object, "advised",
			    json_pack("[f, f]", sweep->knee.low, sweep->knee.high));
	if (sweep_limit(sweep))
		json_object_set_new(object, "limit", json_integer(sweep_limit(sweep)));
	if (sweep_hold_ms(sweep))
		json_object_set_new(object, "hold_ms", json_integer(sweep_hold_ms(sweep)));
	return object;
}

json_t *sweep_json(const struct sweep *sweep)
{
	const char *service = *sweep->served.service ? sweep->served.service : NULL;
	struct utsname system = { 0 };

	uname(&system);
	return json_pack("{s:i, s:s, s:s, s:i, s:b, s:f, s:i, s:s?, s:i, s:o, s:o, s:o}", "schema",
			 1, "sweep", sweep->url, "kernel", system.release, "cpus",
			 (int)sysconf(_SC_NPROCESSORS_ONLN), "keep_alive", sweep->keep_alive,
			 "seconds", sweep->seconds, "rounds", (int)sweep->rounds, "service",
			 service, "workers", (int)sweep->served.workers, "by_users",
			 steps_json(sweep->by_users, sweep->nr_by_users), "by_repetitions",
			 steps_json(sweep->by_repetitions, sweep->nr_by_repetitions), "knee",
			 knee_json(sweep));
}

/* Two blocks, as gnuplot's `index` counts them. */
static int write_data(const struct sweep *sweep, FILE *out)
{
	fprintf(out, "# %s\n# users requests/s mean_ms p99_ms failed\n", sweep->url);
	for (size_t i = 0; i < sweep->nr_by_users; i++) {
		fprintf(out, "%u", sweep->by_users[i].users);
		print_step(out, &sweep->by_users[i], "");
	}
	fputs("\n\n# requests_per_user requests/s mean_ms p99_ms failed\n", out);
	for (size_t i = 0; i < sweep->nr_by_repetitions; i++) {
		fprintf(out, "%llu", (unsigned long long)sweep->by_repetitions[i].repetitions);
		print_step(out, &sweep->by_repetitions[i], "");
	}
	return fflush(out);
}

static void remove_pictures(const char *dir)
{
	static const char *const names[] = { "sweep.svg", "sweep.png" };
	char path[PATH_MAX];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
}

static int draw(const struct sweep *sweep, const struct world *world, const char *dir,
		struct trouble *trouble)
{
	char script[PATH_MAX + 16], knee[32], low[32], high[32], users[32];
	const char *const argv[] = { "gnuplot", "-c",  script,	   knee, low,
				     high,	users, sweep->url, NULL };
	_cleanup_free_ char *out = NULL;
	bool found = sweep->knee.kind == KNEE_FOUND;
	int status;

	snprintf(script, sizeof(script), "%s/sweep.gp", world->tools);
	snprintf(knee, sizeof(knee), "%u", found ? at_knee(sweep)->users : 0);
	snprintf(low, sizeof(low), "%.0f", sweep->knee.low);
	snprintf(high, sizeof(high), "%.0f", sweep->knee.high);
	snprintf(users, sizeof(users), "%u",
		 sweep->nr_by_repetitions ? sweep->by_repetitions[0].users : 0);
	status = capture_run(argv, dir, GNUPLOT_MS, &out);
	if (status == CAPTURE_NOT_FOUND)
		fprintf(stderr, "lb-bench: no picture: gnuplot is not installed; tools/deps.sh "
				"bench gets it\n");
	if (!status || status == CAPTURE_NOT_FOUND)
		return EXIT_DONE;
	remove_pictures(dir); /* half of one is worse than none */
	if (cmd_stop)
		return trouble_set(trouble, 128 + SIGINT, "stopped");
	return trouble_set(trouble, EXIT_FAILED,
			   "gnuplot can't draw %s/sweep.svg and .png: %s %d; try: cd %s; gnuplot "
			   "-c %s %s %s %s %s URL",
			   dir, status < 0 ? "error" : "exit status", abs(status), dir, script,
			   knee, low, high, users);
}

int sweep_write(const struct sweep *sweep, const struct world *world, const char *dir,
		struct trouble *trouble)
{
	_cleanup_fclose_ FILE *data = NULL;
	json_t *object = sweep_json(sweep);
	char path[PATH_MAX];
	int err;

	snprintf(path, sizeof(path), "%s/sweep.json", dir);
	err = !object || json_dump_file(object, path, JSON_INDENT(1) | JSON_REAL_PRECISION(7));
	json_decref(object);
	if (!err) {
		snprintf(path, sizeof(path), "%s/sweep.dat", dir);
		data = fopen(path, "we");
		err = !data || write_data(sweep, data);
	}
	if (err)
		return trouble_set(trouble, EXIT_FAILED, "can't write %s", path);
	return draw(sweep, world, dir, trouble);
}
