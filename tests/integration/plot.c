// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Pictures of a real service: by stats --plot, whole however it ends, and by the exporter. */
#include "harness/commands.h"
#include "harness/explains.h"
#include "harness/http.h"
#include "harness/measured.h"
#include "harness/runs.h"
#include "harness/world.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PICTURE HARNESS_DIR "/a.svg"
#define READER HARNESS_DIR "/read.py"

static struct run run;

/* Prints how many curves with at least two points, marks, and labels of axes it has. */
static const char reader[] =
	"import sys, xml.etree.ElementTree as tree\n"
	"svg = '{http://www.w3.org/2000/svg}'\n"
	"root = tree.parse(sys.argv[1]).getroot()\n"
	"of = lambda tag, name: [e for e in root.iter(svg + tag) if e.get('class') == name]\n"
	"assert root.tag == svg + 'svg'\n"
	"curves = [e for e in of('path', 'curve') if 'L' in e.get('d')]\n"
	"print(len(curves), len(of('g', 'mark')), *[e.text for e in of('text', 'axis')])\n";

static void expect_picture(const char *want)
{
	struct output output;

	file_write(READER, reader);
	command_run(&output, (const char *const[]){ "python3", READER, PICTURE, NULL }, COMMAND_MS);
	if (output.status || strcmp(output.out, want))
		fail_msg("the picture has %s%s, not %s", output.out, output.err, want);
	output_free(&output);
	unlink(PICTURE);
}

/* Each worker, before and after a change that the keeper tells of. */
static void test_picture(void **state)
{
	struct output output;
	struct job job;

	(void)state;
	explain_run(&run, "3", "rr", NULL, NULL);
	/* on a busy machine a worker stalls, or connections begin to wait: events, too */
	lbctl_ok("set", "web", "stall_ms=0", "hold_ms=0", NULL);
	traffic_start(1, "/");
	lbctl_start(&job, "stats", "web", "--plot", PICTURE, "--for", "5s", NULL);
	sleep(2);
	lbctl_ok("set-policy", "web", "least-conn", NULL);
	job_wait(&job, &output);
	if (output.status)
		fail_msg("%s%s", output.out, output.err);
	assert_string_equal(output.out, "web: drawn to " PICTURE "\n");
	output_free(&output);
	expect_picture("9 1 connections / s connections connections\n");
	traffic_stop();
	run_stop(&run);
}

static void test_picture_of_latency(void **state)
{
	(void)state;
	needs_latency();
	explain_run(&run, "3", "rr", NULL, NULL);
	lbctl_ok("set", "web", "latency=on", NULL);
	traffic_start(1, "/");
	lbctl_ok("stats", "web", "--plot", PICTURE, "--for", "3", NULL);
	expect_picture("5 0 connections / s ms\n");
	traffic_stop();
	run_stop(&run);
}

/* What there is by then. */
static void test_interrupted(void **state)
{
	struct output output;
	struct job job;

	(void)state;
	explain_run(&run, "2", "rr", NULL, NULL);
	lbctl_start(&job, "stats", "--plot", PICTURE, NULL);
	sleep(3);
	kill(job.pid, SIGINT);
	job_wait(&job, &output);
	assert_int_equal(output.status, 0);
	output_free(&output);
	expect_picture("6 0 connections / s connections connections\n");
	run_stop(&run);
}

/* Where it can't be written, that is known before a minute is spent. */
static void test_refused(void **state)
{
	(void)state;
	explain_run(&run, "1", "rr", NULL, NULL);
	lbctl_expect(1, "can't write /nowhere/a.svg: No such file", "stats", "web", "--plot",
		     "/nowhere/a.svg", NULL);
	lbctl_expect(2, "--for goes with --plot", "stats", "web", "--for", "9", NULL);
	lbctl_expect(2, "not a number of seconds", "stats", "--plot", PICTURE, "--for", "0", NULL);
	lbctl_expect(2, "neither --interval nor", "stats", "--plot", PICTURE, "--interval", "1",
		     NULL);
	run_stop(&run);
}

/* The exporter draws what it has seen: here four looks, a second apart. */
static void test_picture_of_the_exporter(void **state)
{
	_cleanup_http_ struct http picture, none;
	struct export export;

	(void)state;
	explain_run(&run, "3", "rr", NULL, NULL);
	traffic_start(1, "/");
	export_start(&export, NULL);
	for (int i = 0; i < 4; i++) {
		_cleanup_http_ struct http look;

		http_get(&look, "/api/services/web");
		usleep(1100000);
	}
	http_get(&picture, "/api/services/web/plot.svg");
	assert_non_null(strstr(picture.head, "Content-Type: image/svg+xml"));
	file_write(PICTURE, picture.body);
	expect_picture("9 0 connections / s connections connections\n");
	http_ask(&none, "GET", "/api/services/wab/plot.svg", "", NULL);
	assert_int_equal(none.status, 404);
	export_stop(&export);
	traffic_stop();
	run_stop(&run);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_picture),
		runs_test(test_picture_of_latency),
		runs_test(test_interrupted),
		runs_test(test_refused),
		runs_test(test_picture_of_the_exporter),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
