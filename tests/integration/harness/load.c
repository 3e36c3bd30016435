// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See load.h. */
#include "harness/load.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "harness/commands.h"
#include "harness/maps.h"
#include "harness/world.h"

/* The number that follows the first occurrence of a word (and what stands between). */
static double number_after(const char *text, const char *word)
{
	const char *at = strcasestr(text, word);

	at = at ? strpbrk(at + strlen(word), "0123456789") : NULL;
	return at ? strtod(at, NULL) : -1;
}

/* -b: no pause between requests. Without a configuration a connection has one request. */
void siege_run(struct siege *siege, const char *url, const char *concurrency, const char *repeat)
{
	const char *argv[] = { "siege", "-R",	HARNESS_DIR "/siegerc",
			       "-b",	"-c",	concurrency,
			       "-r",	repeat, url,
			       NULL };
	struct output output;
	char *all;

	stalls_forgive();
	file_write(HARNESS_DIR "/siegerc", "connection = close\nlimit = 255\nverbose = false\n"
					   "logging = false\n");
	command_run(&output, argv, COMMAND_MS);
	assert_true(asprintf(&all, "%s%s", output.out, output.err) >= 0);
	siege->transactions = number_after(all, "transactions");
	siege->availability = number_after(all, "availability");
	if (output.status)
		fail_msg("siege: status %d: %s", output.status, all);
	free(all);
	output_free(&output);
}

void load_steps_back(const struct job *job)
{
	if (scaled_load(100) < 100)
		setpriority(PRIO_PROCESS, job->pid, 10);
}

void wrk_start(struct job *job, const char *url, const char *connections, int seconds)
{
	char duration[16], patience[16];
	const char *argv[] = { "wrk",	 "-t",	      "2",	"-c", connections,	   "-d",
			       duration, "--timeout", patience, "-H", "Connection: close", url,
			       NULL };

	snprintf(duration, sizeof(duration), "%ds", seconds);
	snprintf(patience, sizeof(patience), "%us", (unsigned int)scaled_ms(10000) / 1000);
	job_start(job, argv, seconds * 1000 + COMMAND_MS);
	load_steps_back(job);
}

void wrk_stop(const struct job *job)
{
	kill(job->pid, SIGINT);
}

/* The third of "Latency", the average, the deviation, the most. */
static unsigned long longest_us(const char *out)
{
	static const struct {
		const char *unit;
		double us;
	} units[] = { { "us", 1 }, { "ms", 1e3 }, { "s", 1e6 }, { "m", 60e6 } };
	const char *line = strstr(out, "Latency ");
	double most;
	char unit[8];

	if (!line || sscanf(line, "Latency %*s %*s %lf%7[a-z]", &most, unit) != 2)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (!strcmp(unit, units[i].unit))
			return most * units[i].us;
	}
	return 0;
}

void wrk_wait(struct job *job, struct wrk *wrk)
{
	struct output output;
	unsigned long errors[4] = { 0 };
	const char *line;

	job_wait(job, &output);
	if (output.status || !strstr(output.out, " requests in "))
		fail_msg("wrk: status %d: %s%s", output.status, output.out, output.err);
	*wrk = (struct wrk){ 0 };
	line = strstr(output.out, " requests in ");
	while (line > output.out && line[-1] >= '0' && line[-1] <= '9')
		line--;
	wrk->requests = strtoul(line, NULL, 10);
	wrk->longest_us = longest_us(output.out);
	line = strstr(output.out, "Socket errors:");
	if (line && sscanf(line, "Socket errors: connect %lu, read %lu, write %lu, timeout %lu",
			   &errors[0], &errors[1], &errors[2], &errors[3]) == 4)
		wrk->socket_errors = errors[0] + errors[1] + errors[2] + errors[3];
	if (line)
		snprintf(wrk->errors, sizeof(wrk->errors), "%.*s", (int)strcspn(line, "\n"), line);
	line = strstr(output.out, "Non-2xx or 3xx responses:");
	if (line)
		wrk->bad_answers = number_after(line, "responses:");
	output_free(&output);
}

void wrk_expect_no_failure(const struct wrk *wrk)
{
	if (wrk->socket_errors || wrk->bad_answers || !wrk->requests)
		fail_msg("wrk: %lu requests, %lu socket errors (%s), %lu answers that are not 2xx",
			 wrk->requests, wrk->socket_errors, wrk->errors, wrk->bad_answers);
}
