// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * lbctl top on terminals and off them: keys do what commands do, after a question; sizes, many
 * workers, services that come and go; and the terminal is left as it was, however it ends.
 */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/events.h"
#include "harness/processes.h"
#include "harness/runs.h"
#include "harness/screens.h"
#include "harness/servers.h"
#include "harness/show.h"
#include "harness/world.h"

#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WORKERS 4
#define MANY 64
#define FILES HARNESS_DIR
#define PID_FILE HARNESS_DIR "/pid"

static struct run run;
static struct show show;
static struct clients clients;

/* --- lbctl top in a terminal --- */

/* What it leaves is compared: the terminal's settings before and after. */
static void top_start(unsigned int columns, unsigned int lines, const char *args)
{
	char command[768];

	unlink(PID_FILE);
	snprintf(command, sizeof(command),
		 "stty -a >" FILES "/before; %s %s top %s; echo \"ended with $?\"; "
		 "stty -a >" FILES "/after; echo settled; sleep 1000",
		 strchr(args, '=') ? "env NO_COLOR=1" : "", harness_build_path("lbctl"),
		 strchr(args, '=') ? "" : args);
	screen_start(columns, lines, command);
}

static pid_t top_pid(void)
{
	_cleanup_output_ struct output output;
	const char *const argv[] = { "pgrep", "-n", "-f", "lbctl top", NULL };

	command_run(&output, argv, COMMAND_MS);
	assert_int_equal(output.status, 0);
	return atoi(output.out);
}

/* It has ended with this status, and the terminal is as it was. */
static void top_expect_end(int status)
{
	char words[32], *before, *after;

	snprintf(words, sizeof(words), "ended with %d", status);
	screen_expect(words);
	screen_expect("settled");
	before = file_read(FILES "/before");
	after = file_read(FILES "/after");
	/* but for its size, in the first line */
	assert_string_equal(strchr(after, '\n'), strchr(before, '\n'));
	free(before);
	free(after);
	screen_close();
}

static bool is_state(uint32_t worker, const char *state)
{
	show_read("web", &show);
	return !strcmp(show.worker[worker].state, state);
}

/* --- tests --- */

/* 1. no to drain  2. yes to drain, resume, weight and policy: as show has it  3. help, quit */
static void test_keys(void **state)
{
	(void)state;
	run_start_shared(&run, WORKERS);
	top_start(80, 24, "");
	screen_expect("1 service, 4 workers");
	screen_expect("\n> web ");
	screen_press("d");
	screen_expect("which worker?");
	screen_press("Right Down Down");
	screen_expect("\n> 2      up ");
	screen_press("d");
	screen_expect("drain worker 2 of web? y/n");
	screen_press("n");
	screen_expect("nothing was changed");
	assert_true(is_state(2, "up"));
	screen_press("d y");
	screen_expect("web: worker 2 draining");
	assert_true(is_state(2, "draining"));
	screen_expect("\n> 2      draining ");
	screen_press("r y");
	screen_expect("\n> 2      up ");
	assert_true(is_state(2, "up"));
	screen_press("w 3 Enter y");
	screen_expect("web: worker 2 has weight 3");
	assert_true(is_state(2, "up") && show.worker[2].weight == 3);
	screen_press("p Down y");
	screen_expect("(was least-conn)");
	show_read("web", &show);
	assert_string_not_equal(show.policy, "least-conn");
	screen_press("h");
	screen_expect("drain the worker: no new connection");
	screen_press("x q");
	top_expect_end(0);
	/* "drain" and "resume", told once each */
	run_expect_events(&run, 1, "drain", "{s:i}", "worker", 2);
	run_expect_events(&run, 1, "resume", "{s:i}", "worker", 2);
	run_stop(&run);
}

/* What takes long goes on beside; what goes wrong is said. */
static void test_reload(void **state)
{
	pid_t before[WORKERS], after[WORKERS];

	(void)state;
	run_start_shared(&run, WORKERS);
	run_pids(&run, before, WORKERS);
	top_start(80, 24, "web");
	screen_expect("\n> web ");
	screen_press("R y");
	screen_expect("web: 4 workers replaced, 0 connections lost");
	run_pids(&run, after, WORKERS);
	for (int i = 0; i < WORKERS; i++)
		assert_int_not_equal(before[i], after[i]);
	run_kill(&run);
	screen_expect("KEEPER GONE");
	screen_press("R y");
	screen_expect("lbctl: reload web: the keeper of web is gone");
	screen_press("q");
	top_expect_end(0);
	run_start_again(&run);
	run_expect_keeper(&run);
	run_stop(&run);
}

/* What takes long: how far it is, as its keeper tells; the screen goes on meanwhile. */
static void test_long_reload(void **state)
{
	char command[512];

	(void)state;
	snprintf(command, sizeof(command),
		 "sleep 1.2; exec %s -q --no-reuseport --listen :8080 --grace-ms 100", run_demo());
	run_start(&run, "web", "-n", "2", "--", "sh", "-c", command, NULL);
	run_expect_up(&run, 2);
	top_start(120, 24, "web");
	screen_expect("\n> web ");
	screen_press("R y Right Down");
	screen_expect("1 of 2 workers replaced; worker ");
	screen_expect("\n> 1      up ");
	screen_press("d");
	screen_expect("drain worker 1 of web? y/n");
	screen_press("y");
	screen_expect("the last change is still under way");
	screen_expect("web: 2 workers replaced");
	screen_press("q");
	top_expect_end(0);
	run_stop(&run);
}

static size_t widest(const char *text)
{
	size_t most = 0, n = 0;

	for (; *text; text++) {
		n = *text == '\n' ? 0 : n + ((*text & 0xc0) != 0x80);
		most = n > most ? n : most;
	}
	return most;
}

/* 200 columns have more than 80; a change of size is followed; without colours no colour. */
static void test_sizes(void **state)
{
	char *text;

	(void)state;
	run_start_shared(&run, WORKERS);
	top_start(200, 60, "");
	screen_expect("COMMAND");
	screen_expect("lbctl-demo-worker");
	text = screen_read(false);
	assert_true(widest(text) > 150);
	free(text);
	screen_resize(80, 24);
	screen_expect_none("COMMAND");
	screen_expect("q quit");
	screen_resize(30, 24);
	screen_expect("too small");
	screen_resize(90, 20);
	screen_expect("\n> web ");
	screen_press("Right d y");
	screen_expect("\n> 0      draining ");
	screen_press("Down");
	screen_expect("\n> 1 ");
	text = screen_read(true);
	if (!strstr(text, "\033[33m"))
		fail_msg("no colour: %s", text);
	free(text);
	screen_press("q");
	top_expect_end(0);
	top_start(80, 24, "NO_COLOR=1");
	screen_expect("draining");
	text = screen_read(true);
	for (int colour = 30; colour < 38; colour++) {
		char sequence[8];

		snprintf(sequence, sizeof(sequence), "\033[%dm", colour);
		assert_null(strstr(text, sequence));
	}
	free(text);
	screen_press("q");
	top_expect_end(0);
	run_stop(&run);
}

/* Each way to end it, and to stop it for a while. */
static void test_ends(void **state)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP };
	pid_t pid;

	(void)state;
	run_start_shared(&run, 2);
	top_start(80, 24, "");
	screen_expect("\n> web ");
	screen_press("C-c");
	top_expect_end(0);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		top_start(80, 24, "");
		screen_expect("\n> web ");
		assert_int_equal(kill(top_pid(), signals[i]), 0);
		top_expect_end(0);
	}
	/* its window is closed */
	top_start(80, 24, "");
	screen_expect("\n> web ");
	pid = top_pid();
	screen_end();
	wait_until(!process_lives(pid), RUN_MS);
	screen_close();
	/* Ctrl-Z, and on */
	screen_start(80, 24, "env PS1='shell# ' bash --norc --noprofile -i");
	screen_expect("shell#");
	screen_press(harness_build_path("lbctl"));
	screen_press("Space top Enter");
	screen_expect("\n> web ");
	screen_press("C-z");
	screen_expect("Stopped");
	screen_press("fg Enter");
	screen_expect("\n> web ");
	screen_press("q");
	screen_expect_none("\n> web ");
	screen_close();
	run_stop(&run);
}

/* The last of 64 is reached, in 24 lines. */
static void test_many_workers(void **state)
{
	static struct demo demos[MANY];

	(void)state;
	demo_start_many(demos, MANY, ":8080");
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	top_start(80, 24, "web");
	screen_expect("1 service, 64 workers");
	screen_press("Right End");
	screen_expect("\n> 63     up ");
	screen_expect_none("\n  3      up ");
	screen_press("PageUp");
	screen_expect_none("\n> 63     up ");
	screen_press("Home");
	screen_expect("\n> 0      up ");
	screen_press("q");
	top_expect_end(0);
	lbctl_ok("detach", "web", NULL);
}

/* One goes, one comes; of one that was named, the same. */
static void test_services_come_and_go(void **state)
{
	static struct demo demos[4];

	(void)state;
	demo_start_many(demos, 2, ":8080");
	demo_start_many(demos + 2, 2, ":8081");
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	top_start(80, 24, "");
	screen_expect("\n> web ");
	lbctl_ok("attach", "--name", "api", ":8081", NULL);
	screen_expect("\n  api ");
	screen_expect("\n> web ");
	lbctl_ok("detach", "web", NULL);
	screen_expect("\n> api ");
	screen_expect("1 service, 2 workers");
	lbctl_ok("detach", "api", NULL);
	screen_expect("there is no service");
	screen_press("q");
	top_expect_end(0);

	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	top_start(80, 24, "web");
	screen_expect("\n> web ");
	lbctl_ok("detach", "web", NULL);
	screen_expect("no service web");
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	screen_expect("\n> web ");
	screen_press("q");
	top_expect_end(0);
	lbctl_ok("detach", "web", NULL);
}

#define OF_ANY_LOOK 8 /* maps, of the programs that look at sockets */

static unsigned int open_maps(pid_t pid)
{
	unsigned int maps = 0;

	for (int fd = 0; fd < 256; fd++) {
		char path[64], link[64];
		ssize_t len;

		snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
		len = readlink(path, link, sizeof(link) - 1);
		link[len < 0 ? 0 : len] = '\0';
		maps += strstr(link, "bpf-map") != NULL;
	}
	return maps;
}

/* A service stays open between two looks, as to open it is dear, and not once it is gone. */
static void test_stays_open(void **state)
{
	static struct demo demos[2];
	pid_t pid;

	(void)state;
	demo_start_many(demos, 2, ":8080");
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	top_start(80, 24, "");
	screen_expect("\n> web ");
	pid = top_pid();
	/* all but for a moment of each second */
	for (int i = 0; i < 20; i++) {
		assert_true(open_maps(pid) > OF_ANY_LOOK);
		usleep(50000);
	}
	lbctl_ok("detach", "web", NULL);
	screen_expect("there is no service");
	wait_until(open_maps(pid) <= OF_ANY_LOOK, 5000);
	screen_press("q");
	top_expect_end(0);
}

/* The figures of show, and rates of what came between two looks. */
static void test_no_terminal(void **state)
{
	struct output output;
	json_t *look, *service, *worker;
	struct job job;

	(void)state;
	run_start_shared(&run, WORKERS);
	lbctl_start(&job, "top", "web", "--count", "2", "--json", NULL);
	clients_run(&clients, (struct client_plan){ .connections = 400, .at_once = 4 });
	job_wait(&job, &output);
	assert_int_equal(output.status, 0);
	look = json_loads(output.out, JSON_DISABLE_EOF_CHECK, NULL);
	assert_non_null(look);
	service = json_array_get(json_object_get(look, "services"), 0);
	assert_string_equal(json_string_value(json_object_get(service, "service")), "web");
	assert_true(json_is_real(json_object_get(service, "per_second")));
	worker = json_array_get(json_object_get(service, "workers"), 3);
	assert_true(json_is_real(json_object_get(worker, "cpu_percent")));
	assert_true(json_integer_value(json_object_get(worker, "memory_bytes")) > 0);
	assert_true(json_is_null(json_object_get(worker, "first_byte_p50_ms")));
	json_decref(look);
	output_free(&output);

	lbctl_run(&output, "top", "web", "--count", "2", NULL);
	assert_int_equal(output.status, 0);
	assert_non_null(strstr(output.out, "\nWORKER STATE "));
	assert_non_null(strstr(strstr(output.out, "\n\n"), "\nWORKER STATE "));
	assert_null(strchr(output.out, '\033'));
	output_free(&output);
	lbctl_expect(3, "no such service", "top", "wbe", "--count", "1", NULL);
	lbctl_expect(2, "--interval 0: not a number of seconds", "top", "--interval", "0", NULL);
	lbctl_expect(2, "--count x: not a number of looks", "top", "--count", "x", NULL);
	run_stop(&run);
}

/* p50 and p99 of what was answered since the last look; in 80 columns, too. */
static void test_measured(void **state)
{
	(void)state;
	run_start_shared(&run, 2);
	lbctl_ok("set", "web", "latency=on", NULL);
	top_start(80, 24, "");
	screen_expect("CPU% BUSY%");
	screen_expect("P50MS P99MS");
	for (int i = 0; i < 40; i++) {
		char *text;
		bool found;

		clients_run(&clients, (struct client_plan){ .connections = 40, .at_once = 2 });
		text = screen_read(false);
		found = strstr(text, " 0.");
		free(text);
		if (found)
			break;
		assert_true(i < 39);
		harness_nap();
	}
	screen_press("q");
	top_expect_end(0);
	run_stop(&run);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_keys),
		runs_test(test_reload),
		runs_test(test_long_reload),
		runs_test(test_sizes),
		runs_test(test_ends),
		runs_test(test_many_workers),
		runs_test(test_services_come_and_go),
		runs_test(test_stays_open),
		runs_test(test_no_terminal),
		runs_test(test_measured),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
