// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What latency=on has measured, as it is shown. */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/measured.h"
#include "harness/runs.h"
#include "harness/world.h"

#include <stdio.h>
#include <string.h>

static struct run run;
static struct clients clients;

static json_int_t number_at(const json_t *worker, const char *time, const char *key)
{
	const json_t *latency = json_object_get(worker, "latency");

	return json_integer_value(json_object_get(json_object_get(latency, time), key));
}

/* JSON, columns and Prometheus are of the same numbers. */
static void test_shown(void **state)
{
	_cleanup_output_ struct output text = { 0 }, metrics = { 0 };
	const json_t *worker;
	json_t *view;
	char line[160];

	(void)state;
	needs_latency();
	run_start_shared(&run, 1);
	lbctl_ok("set", "web", "latency=on", NULL);
	clients_run(&clients, (struct client_plan){ .connections = 12 });
	measured_expect("web", 12, 12);
	view = lbctl_json("show", "web", "--json", NULL);
	worker = json_array_get(json_object_get(view, "workers"), 0);
	assert_int_equal(number_at(worker, "first_byte", "count"), 12);
	assert_true(number_at(worker, "first_byte", "p99_us") >=
		    number_at(worker, "first_byte", "p50_us"));
	lbctl_run(&text, "show", "web", "--wide", NULL);
	assert_non_null(strstr(text.out, "FIRST BYTE MS"));
	assert_non_null(strstr(text.out, "latency on"));
	lbctl_run(&metrics, "stats", "web", "--prometheus", NULL);
	snprintf(line, sizeof(line),
		 "\nlbctl_worker_first_byte_seconds_count{service=\"web\",worker=\"0\"} 12\n");
	assert_non_null(strstr(metrics.out, line));
	assert_non_null(strstr(metrics.out, "\n# TYPE lbctl_worker_wait_seconds histogram\n"));
	assert_non_null(strstr(metrics.out, "worker=\"0\",le=\"+Inf\"} 12\n"));
	json_decref(view);
	run_stop(&run);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_shown),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
