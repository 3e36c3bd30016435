// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What a service manager sees of lbctl run, and asks of it: READY, RELOADING, STATUS, WATCHDOG
 * and STOPPING on NOTIFY_SOCKET, SIGUSR2 to leave, `stop --unit`, and the units of lbctl unit.
 * The test is the service manager; vmtests/systemd.sh has a real one.
 */
#include "harness/commands.h"
#include "harness/events.h"
#include "harness/load.h"
#include "harness/runs.h"
#include "harness/world.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define WORKERS 2
#define URL "http://127.0.0.1:8080/"
#define MANAGER HARNESS_DIR "/manager"
#define APP HARNESS_DIR "/app"

static struct run run;
static int manager = -1;
static char heard[65536]; /* all messages, each ends with a newline */

static void manager_open(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX, .sun_path = MANAGER };

	unlink(MANAGER);
	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_return_code(bind(manager, (struct sockaddr *)&at, sizeof(at)), errno);
	heard[0] = '\0';
}

static void manager_close(void)
{
	close(manager);
	unlink(MANAGER);
}

/* Where the words stand in what was heard so far; NULL if they were not. */
static const char *listen_for(const char *words)
{
	size_t len = strlen(heard);
	ssize_t n;

	while ((n = recv(manager, heard + len, sizeof(heard) - len - 2, 0)) > 0) {
		len += n;
		strcpy(heard + len++, "\n");
	}
	return strstr(heard, words);
}

static unsigned int count_heard(const char *words)
{
	unsigned int count = 0;

	for (const char *at = listen_for(words); at; at = strstr(at + 1, words))
		count++;
	return count;
}

/* A program that does this first and serves then. */
static void write_app(const char *first)
{
	char text[PATH_MAX + 256];

	snprintf(text, sizeof(text), "#!/bin/sh\n%s\nexec %s -q --no-reuseport --listen :8080\n",
		 first, run_demo());
	file_write(APP, text);
	assert_return_code(chmod(APP, 0755), errno);
}

/* In the next process that is started. */
static void expect_manager(const char *watchdog_us)
{
	manager_open();
	setenv("NOTIFY_SOCKET", MANAGER, 1);
	setenv("WATCHDOG_USEC", watchdog_us, 1);
}

static void forget_manager(void)
{
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
}

static void start_managed(const char *watchdog_us)
{
	expect_manager(watchdog_us);
	run_start(&run, "web", "-n", "2", "--ready-timeout", "1000", "--", APP, NULL);
	forget_manager();
}

/*
 * 1. nothing listens: not ready  2. all listen: ready  3. reload: RELOADING, then READY
 * 4. a worker dies: the status says so and READY is not said again  5. stop: STOPPING
 */
static void test_says_what_it_does(void **state)
{
	pid_t pids[WORKERS];
	const char *reloading;

	(void)state;
	write_app("while [ ! -e " HARNESS_DIR "/go ]; do sleep 0.05; done");
	start_managed("0");
	wait_until(listen_for("STATUS=0 of 2 workers online\n"), RUN_MS);
	run_expect_events(&run, WORKERS, "timeout", NULL);
	assert_null(listen_for("READY=1"));
	file_write(HARNESS_DIR "/go", "");
	wait_until(listen_for("STATUS=2 of 2 workers online\n"), RUN_MS);
	assert_int_equal(count_heard("READY=1"), 1);

	lbctl_ok("reload", "web", NULL);
	wait_until(count_heard("READY=1") == 2, RUN_MS);
	reloading = listen_for("RELOADING=1\nMONOTONIC_USEC=");
	assert_non_null(reloading);
	assert_int_equal(count_heard("RELOADING=1"), 1);
	assert_true(strstr(heard, "READY=1") < reloading);
	assert_non_null(strstr(reloading, "READY=1"));

	run_pids(&run, pids, WORKERS);
	kill(pids[1], SIGKILL);
	wait_until(listen_for("STATUS=1 of 2 workers online\n"), RUN_MS);
	run_pids(&run, pids, WORKERS);
	run_stop(&run);
	assert_int_equal(count_heard("READY=1"), 2);
	assert_int_equal(count_heard("STOPPING=1"), 1);
	manager_close();
}

/* Those that its one main process makes count, and not that. */
static void test_counts_the_workers_that_a_program_makes(void **state)
{
	char program[PATH_MAX];

	(void)state;
	needs(bind_setsockopt);
	assert_non_null(realpath(harness_build_path("../tests/integration/prefork.py"), program));
	expect_manager("0");
	run_start(&run, "web", "--forks", "--", "python3", program, "3", NULL);
	forget_manager();
	run_expect_events(&run, 3, "joined", NULL);
	wait_until(listen_for("STATUS=3 workers online\n"), RUN_MS);
	assert_int_equal(count_heard("READY=1"), 1);
	lbctl_ok("reload", "web", NULL);
	wait_until(count_heard("READY=1") == 2, RUN_MS);
	assert_non_null(listen_for(" workers online, reloading\n"));
	assert_null(listen_for(" of "));
	run_stop(&run);
	manager_close();
}

static void test_feeds_the_watchdog(void **state)
{
	struct output output;
	struct job stop;

	(void)state;
	write_app("");
	start_managed("200000");
	wait_until(count_heard("WATCHDOG=1") >= 3, RUN_MS);
	/* a manager that does not listen holds up whoever tells it something */
	lbctl_start(&stop, "stop", "web", NULL);
	wait_until((count_heard("WATCHDOG=1"), !job_is_running(&stop)), RUN_MS);
	job_wait(&stop, &output);
	assert_int_equal(output.status, 0);
	output_free(&output);
	assert_int_equal(run_wait(&run), 0);
	manager_close();
}

/* SIGUSR2 under load: lbctl ends with 0, the next one finds the same workers. */
static void test_leaves(void **state)
{
	pid_t before[WORKERS], after[WORKERS];
	struct wrk wrk;
	struct job job;

	(void)state;
	write_app("");
	start_managed("0");
	run_pids(&run, before, WORKERS);
	wrk_start(&job, URL, "16", 100);
	for (unsigned int i = 1; i <= 3; i++) {
		kill(run.pid, SIGUSR2);
		assert_int_equal(run_wait(&run), 0);
		assert_int_equal(count_heard("STOPPING=1"), 1);
		run_start_again(&run);
		run_expect_keeper(&run);
		run_pids(&run, after, WORKERS);
		assert_memory_equal(before, after, sizeof(before));
	}
	wrk_stop(&job);
	wrk_wait(&job, &wrk);
	wrk_expect_no_failure(&wrk);
	run_stop(&run);
	manager_close();
}

/* Living workers that never listened make way for new ones when lbctl is started again. */
static void test_replaces_workers_that_never_listened(void **state)
{
	pid_t pids[WORKERS];

	(void)state;
	write_app("exec sleep 1000");
	start_managed("0");
	run_expect_events(&run, WORKERS, "timeout", NULL);
	write_app("");
	run_kill(&run);
	run_start_again(&run);
	run_expect_keeper(&run);
	run_pids(&run, pids, WORKERS);
	run_stop(&run);
	manager_close();
}

/* Where no systemd can be asked, `stop --unit` says so and ends nothing. */
static void test_stop_for_a_unit_without_systemd(void **state)
{
	pid_t before[WORKERS], after[WORKERS];

	(void)state;
	write_app("");
	start_managed("0");
	run_pids(&run, before, WORKERS);
	lbctl_expect(1, "can't ask systemd whether web.service stops or restarts", "stop", "--unit",
		     "web.service", "web", NULL);
	run_pids(&run, after, WORKERS);
	assert_memory_equal(before, after, sizeof(before));
	lbctl_expect(2, "--kill-timeout soon: not a number", "stop", "--kill-timeout", "soon",
		     "web", NULL);
	run_stop(&run);
	manager_close();
}

static void test_unit(void **state)
{
	(void)state;
	write_app("");
	lbctl_expect(0, "lbctl run --name web -n 4 --wait-ready -- " APP " \"a b\"", "unit",
		     "--wait-ready", "-n", "4", "--name", "web", "--", APP, "a b", NULL);
	lbctl_expect(0, APP " is in memory: gone after a reboot", "unit", APP, NULL);
	lbctl_expect(0, " CAP_NET_BIND_SERVICE CAP_CHOWN CAP_KILL", "unit", "--user", "nobody",
		     "--listen", ":80", "--", APP, NULL);
	lbctl_expect(0, "lbctl watch --policy least-conn :8080", "unit", "--attach", ":8080",
		     "--policy", "least-conn", NULL);
	lbctl_expect(0, "lbctl export --listen unix:/run/lbctl-export/http", "unit", "--export",
		     "--", "--listen", "unix:/run/lbctl-export/http", NULL);
	lbctl_expect(2, "unknown option --liste", "unit", "--export", "--", "--liste", "x", NULL);
	lbctl_expect(2, "is for a command to run", "unit", "--export", "--user", "nobody", NULL);
	lbctl_expect(2, "absolute", "unit", "--export", "--", "--allow-changes", "--token-file",
		     "token", NULL);
	lbctl_expect(0, "\"name\": \"app.service\"", "unit", "--json", "--", APP, NULL);
}

/* What a command refuses is refused when its unit is written, in the same words. */
static void test_unit_checks_as_the_command_does(void **state)
{
	static const struct {
		const char *command, *options[5], *words;
		int status;
	} rows[] = {
		{ "export", { "--listen", "0.0.0.0:9190" }, "is no loopback address", 2 },
		{ "export", { "--listen", "127.0.0.1:1,:80000" }, "80000", 2 },
		{ "export", { "--listen", "udp/:9190" }, "HTTP is TCP", 2 },
		{ "export", { "--listen", "unix:http" }, "an absolute path", 2 },
		{ "export", { "--group", "no-such-group" }, "no such group", 2 },
		{ "export", { "--user", "no-such-user" }, "no such user", 2 },
		{ "export", { "--user", "root" }, "is root", 2 },
		{ "export", { "--allow-changes" }, "goes with --token-file", 2 },
		{ "export", { "--token-file", APP }, "is for --allow-changes", 2 },
		{ "export",
		  { "--allow-changes", "--token-file", HARNESS_DIR "/none" },
		  "No such",
		  1 },
		{ "export", { "--allow-changes", "--token-file", APP }, "everybody may read", 1 },
		{ "export", { "word" }, "one too many", 2 },
		{ "watch", { "--policy", "wrong", ":80" }, "no such policy", 2 },
		{ "watch", { "no-such-host.invalid:80" }, "no-such-host", 2 },
		{ "watch", { ":80000" }, "80000", 2 },
		{ "run", { "--listen", "nowhere", APP }, "--listen nowhere", 2 },
		{ "run",
		  { "--port", "8080", "--listen", ":80", APP },
		  "does not go with --listen",
		  2 },
		{ "run", { "--stop-signal", "NONE", APP }, "not a signal", 2 },
		{ "run", { "--cwd", HARNESS_DIR "/none", APP }, "--cwd", 2 },
		{ "run", { "--log-dir", HARNESS_DIR "/none", APP }, "--log-dir", 2 },
		{ "run", { "--reload-signal", "HUP", APP }, "--forks", 2 },
		{ "run", { "--max-memory", "much", APP }, "not a number of bytes", 2 },
	};

	(void)state;
	write_app("");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *const *o = rows[i].options;
		const char *words = rows[i].words;
		int status = rows[i].status;

		lbctl_expect(status, words, rows[i].command, o[0], o[1], o[2], o[3], o[4], NULL);
		if (!strcmp(rows[i].command, "export"))
			lbctl_expect(status, words, "unit", "--export", "--", o[0], o[1], o[2],
				     o[3], o[4], NULL);
		else if (!strcmp(rows[i].command, "run"))
			lbctl_expect(status, words, "unit", o[0], o[1], o[2], o[3], o[4], NULL);
		else if (o[1])
			lbctl_expect(status, words, "unit", o[0], o[1], "--attach", o[2], NULL);
		else
			lbctl_expect(status, words, "unit", "--attach", o[0], NULL);
	}
}

/* What export may do where its unit may not; a port below 1024 takes a capability. */
static void test_unit_of_export(void **state)
{
	(void)state;
	lbctl_expect(2, "the unit may write in /run/lbctl-export/ only", "unit", "--export", "--",
		     "--listen", "unix:/run/http", NULL);
	lbctl_expect(2, "--help", "unit", "--export", "--", "--help", NULL);
	lbctl_expect(0, " CAP_NET_BIND_SERVICE", "unit", "--export", "--", "--listen",
		     "127.0.0.1:9190,127.0.0.1:80", NULL);
}

static void test_unit_of_bad_input(void **state)
{
	(void)state;
	write_app("");
	file_write(HARNESS_DIR "/text", "no program");
	lbctl_expect(2, "too few arguments: a command to run, or --attach ADDR", "unit", NULL);
	lbctl_expect(127, "no-such-program: command not found", "unit", "no-such-program", NULL);
	lbctl_expect(127, "command not found", "unit", HARNESS_DIR "/nothing", NULL);
	lbctl_expect(126, "not executable", "unit", HARNESS_DIR "/text", NULL);
	lbctl_expect(126, "not executable", "unit", "/tmp", NULL);
	lbctl_expect(2, "not UTF-8", "unit", APP, "gr\xfc", NULL);
	lbctl_expect(2, "-n 0: not a number", "unit", "-n", "0", APP, NULL);
	lbctl_expect(2, "no such user", "unit", "--user", "no-such-user", APP, NULL);
	lbctl_expect(2, "-n is for a command to run", "unit", "--attach", ":80", "-n", "2", NULL);
	lbctl_expect(2, "no command", "unit", "--attach", ":80", APP, NULL);
	lbctl_expect(2, "--attach nowhere", "unit", "--attach", "nowhere", NULL);
	lbctl_expect(2, "policy", "unit", "--attach", ":80", "--policy", "wrong", NULL);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_says_what_it_does),
		runs_test(test_counts_the_workers_that_a_program_makes),
		runs_test(test_feeds_the_watchdog),
		runs_test(test_leaves),
		runs_test(test_replaces_workers_that_never_listened),
		runs_test(test_stop_for_a_unit_without_systemd),
		runs_test(test_unit),
		runs_test(test_unit_checks_as_the_command_does),
		runs_test(test_unit_of_export),
		runs_test(test_unit_of_bad_input),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
