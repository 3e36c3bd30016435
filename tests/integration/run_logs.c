// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * lbctl logs: what workers of lbctl run print, from the files of --log-dir and from the file that
 * lbctl run prints to; across rotation. The journal is tried in vmtests/systemd.sh.
 */
#include "harness/commands.h"
#include "harness/events.h"
#include "harness/runs.h"
#include "harness/servers.h"
#include "harness/world.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define APP HARNESS_DIR "/app"
#define LOGS HARNESS_DIR "/logs"
#define SHOWN HARNESS_DIR "/shown"

static struct run run;

/* A program that prints this, serves, and says goodbye when it is told to end. */
static void write_app(const char *first)
{
	char text[PATH_MAX + 256];

	snprintf(text, sizeof(text),
		 "#!/bin/sh\n%s\ntrap 'kill $!; wait; echo goodbye; exit' TERM\n"
		 "%s -q --no-reuseport --listen :8080 &\nwait\n",
		 first, run_demo());
	file_write(APP, text);
	assert_return_code(chmod(APP, 0755), errno);
}

static void start(const char *first)
{
	write_app(first);
	command_ok("rm", "-rf", LOGS, NULL);
	assert_return_code(mkdir(LOGS, 0755), errno);
	run_start(&run, "web", "-n", "2", "--log-dir", LOGS, "--", APP, NULL);
	run_expect_up(&run, 2);
}

static void append(const char *path, const char *text)
{
	FILE *file = fopen(path, "ae");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

struct row {
	const char *const args[6];
	const char *want;
};

static void check_rows(const struct row *rows, size_t n)
{
	struct output output;

	for (size_t i = 0; i < n; i++) {
		const char *const *args = rows[i].args;

		lbctl_run(&output, "logs", args[0], args[0] ? args[1] : NULL,
			  args[0] && args[1] ? args[2] : NULL,
			  args[0] && args[1] && args[2] ? args[3] : NULL, NULL);
		if (output.status || strcmp(output.out, rows[i].want))
			fail_msg("row %zu: status %d \"%s\", want \"%s\"; %s", i, output.status,
				 output.out, rows[i].want, output.err);
		output_free(&output);
	}
}

#define RED "two \\u001b[31mred\\u001b[0m\n"

static void test_last_lines(void **state)
{
	static const struct row rows[] = {
		{ { "web" },
		  "0 | one\n0 | " RED "0 | worker 0\n0 | no end\n"
		  "1 | one\n1 | " RED "1 | worker 1\n1 | no end\n" },
		{ { "-n", "1" }, "0 | no end\n1 | no end\n" },
		{ { "-n", "2", "web", "1" }, "worker 1\nno end\n" },
		{ { "1", "-n3" }, RED "worker 1\nno end\n" },
		{ { "all", "-n2" }, "0 | worker 0\n0 | no end\n1 | worker 1\n1 | no end\n" },
		{ { "-n", "0" }, "" },
		{ { "web", "1", "-n1", "--json" }, "{\"worker\":1,\"line\":\"no end\"}\n" },
	};

	(void)state;
	start("printf 'one\\ntwo \\033[31mred\\033[0m\\nworker %s\\nno end' $LBCTL_WORKER");
	/* another service's, and no log at all */
	file_write(LOGS "/web-1-0.log", "of web-1\n");
	file_write(LOGS "/web-1.log.1", "rotated\n");
	file_write(LOGS "/web-9999.log", "no worker\n");
	check_rows(rows, ARRAY_SIZE(rows));
	/* nobody has to live for it */
	run_kill(&run);
	check_rows(rows, ARRAY_SIZE(rows));
	run_start_again(&run);
	run_expect_keeper(&run);
	lbctl_expect(3, "worker 7 has no log file " LOGS "/web-7.log", "logs", "web", "7", NULL);
	lbctl_expect(3, "no such service", "logs", "wib", NULL);
	lbctl_expect(2, "-n x: not a number", "logs", "-n", "x", NULL);
	lbctl_expect(2, "x: not a worker", "logs", "web", "x", NULL);
	/* whoever owns the directory must not have us read what is elsewhere */
	command_ok("ln", "-sf", "/etc/passwd", LOGS "/web-0.log", NULL);
	lbctl_expect(3, "worker 0 has no log file", "logs", "0", NULL);
	run_stop(&run);
}

/* There are files, and he may not read them: that is said, and not that there are none. */
static void test_of_another_user(void **state)
{
	const char *argv[] = { "setpriv",
			       "--reuid=65534",
			       "--regid=65534",
			       "--clear-groups",
			       HARNESS_DIR "/lbctl",
			       "logs",
			       "web",
			       NULL };
	struct output output;

	(void)state;
	command_ok("cp", harness_build_path("lbctl"), HARNESS_DIR "/lbctl", NULL);
	start("");
	command_run(&output, argv, COMMAND_MS);
	if (output.status != 4 || !strstr(output.err, "Permission denied; run as root"))
		fail_msg("status %d: %s%s", output.status, output.out, output.err);
	output_free(&output);
	run_stop(&run);
}

/* A line that is longer than a block of the file, and one of many pieces: no byte is lost. */
static void test_long_lines(void **state)
{
	struct output output;
	char *text;

	(void)state;
	start("");
	text = malloc(200001);
	memset(text, 'x', 200000);
	text[200000] = '\0';
	append(LOGS "/web-0.log", text);
	append(LOGS "/web-0.log", "\nlast\n");
	free(text);
	lbctl_run(&output, "logs", "0", "-n", "2", NULL);
	assert_int_equal(output.status, 0);
	assert_int_equal(strspn(output.out, "x\n"), 200000 + 13);
	assert_string_equal(output.out + 200000 + 13, "last\n");
	output_free(&output);
	run_stop(&run);
}

/* --- follow --- */

static void follow(struct job *job)
{
	static char command[PATH_MAX + 64];
	const char *const argv[] = { "sh", "-c", command, NULL };

	snprintf(command, sizeof(command), "exec %s logs web -f >%s", harness_build_path("lbctl"),
		 SHOWN);
	unlink(SHOWN);
	job_start(job, argv, 2 * RUN_MS);
}

/* How many lines of what was shown so far are this one. */
static unsigned int shown(const char *line)
{
	char *text = access(SHOWN, F_OK) ? strdup("") : file_read(SHOWN), *rest = text, *one;
	unsigned int n = 0;

	while ((one = strsep(&rest, "\n")))
		n += !strcmp(one, line);
	free(text);
	return n;
}

static void expect_end(struct job *job)
{
	struct output output;

	job_wait(job, &output);
	assert_int_equal(output.status, 0);
	assert_string_equal(output.err, "");
	output_free(&output);
}

/*
 * 1. renamed, as logrotate does it, and a reload: the new process's lines are there, and the last
 * ones of the old one, which writes to the renamed file  2. copied and truncated  3. a worker more
 * 4. the service ends, and with it the command, after the last line
 */
static void test_follows_through_rotation(void **state)
{
	struct job job;

	(void)state;
	start("echo begins");
	follow(&job);
	wait_until(shown("0 | begins") == 1 && shown("1 | begins") == 1, RUN_MS);
	assert_return_code(rename(LOGS "/web-0.log", LOGS "/web-0.log.1"), errno);
	append(LOGS "/web-0.log.1", "late\n");
	wait_until(shown("0 | late") == 1, RUN_MS);
	lbctl_ok("restart", "web", "0", NULL);
	wait_until(shown("0 | begins") == 2 && shown("0 | goodbye") == 1, RUN_MS);

	command_ok("cp", LOGS "/web-1.log", LOGS "/web-1.log.1", NULL);
	assert_return_code(truncate(LOGS "/web-1.log", 0), errno);
	/* it is looked at five times a second */
	usleep(scaled_ms(1000) * 1000);
	append(LOGS "/web-1.log", "after\n");
	wait_until(shown("1 | after") == 1, RUN_MS);
	assert_int_equal(shown("1 | begins"), 1);

	lbctl_ok("scale", "web", "3", NULL);
	wait_until(shown("2 | begins") == 1, RUN_MS);
	lbctl_ok("stop", "web", NULL);
	expect_end(&job);
	assert_int_equal(run_wait(&run), 0);
	run_expect_nothing_left();
	assert_int_equal(shown("0 | goodbye"), 2);
	assert_int_equal(shown("1 | goodbye"), 1);
	assert_int_equal(shown("2 | goodbye"), 1);
}

/* --- without --log-dir --- */

static void test_one_file_for_all(void **state)
{
	struct output output;

	(void)state;
	write_app("echo worker $LBCTL_WORKER begins");
	run_start(&run, "web", "-n", "2", "--", APP, NULL);
	run_expect_up(&run, 2);
	lbctl_run(&output, "logs", NULL);
	assert_int_equal(output.status, 0);
	assert_non_null(strstr(output.out, "\nworker 1 begins\n"));
	output_free(&output);
	lbctl_expect(2, "its workers print to one file, " HARNESS_DIR "/web.log", "logs", "1",
		     NULL);
	run_stop(&run);
}

static void test_kept_nowhere(void **state)
{
	char command[PATH_MAX * 2 + 96];
	const char *const argv[] = { "sh", "-c", command, NULL };
	struct demo demos[2];
	struct job job;

	(void)state;
	write_app("");
	snprintf(command, sizeof(command), "exec %s run --name piped -n 1 -- %s",
		 harness_build_path("lbctl"), APP);
	job_start(&job, argv, 2 * RUN_MS);
	wait_until(!access(FILES_DIR "/piped.logs", F_OK), RUN_MS);
	lbctl_expect(1, "that is kept nowhere; run it with --log-dir", "logs", "piped", NULL);
	wait_until(!access(FILES_DIR "/piped.sock", F_OK), RUN_MS);
	lbctl_ok("stop", "piped", NULL);
	expect_end(&job);
	demo_start_many(demos, 2, ":9090");
	lbctl_ok("attach", ":9090", NULL);
	lbctl_expect(1, "lbctl run did not start the workers of tcp-9090", "logs", NULL);
	lbctl_ok("detach", NULL);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_last_lines),	  runs_test(test_of_another_user),
		runs_test(test_long_lines),	  runs_test(test_follows_through_rotation),
		runs_test(test_one_file_for_all), runs_test(test_kept_nowhere),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
