// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A run whose port another service steers, and one whose new version fails: it ends, or goes on as
 * it was, and says why.
 */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/events.h"
#include "harness/runs.h"
#include "harness/servers.h"
#include "harness/show.h"
#include "harness/world.h"

#include <dirent.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ADDRESS "127.0.0.1:8088"
#define FLAG HARNESS_DIR "/flag"
#define LOGS HARNESS_DIR "/logs"

static struct run run;
static struct show show;
static struct clients clients;

/* --- a port that another service steers --- */

/* 1. It ends by itself and names the service; 2. nothing of it is left; 3. the service goes on. */
static void expect_refused(struct demo demos[2])
{
	int status = run_wait(&run);

	if (!status || !run_lines(&run, "service web")) {
		run_show_log(&run);
		fail_msg("status %d, and the service is named %u times", status,
			 run_lines(&run, "service web"));
	}
	/* one that was begun before the stop may be told after it: nobody comes again */
	assert_in_range(run_lines(&run, ") started"), 0, 4);
	assert_int_equal(access(HARNESS_PINS "/b", F_OK), -1);
	assert_int_equal(count_entries(FILES_DIR, false), 0);
	assert_int_equal(count_entries(CGROUPS, true), 0);
	show_read("web", &show);
	assert_int_equal(show.nr_workers, 2);
	assert_int_equal(show.unregistered, 0);
	clients_run(&clients, (struct client_plan){ .connections = 20, .port = 8088 });
	assert_int_equal(clients_of(&clients, 0) + clients_of(&clients, 1), 20);
	lbctl_ok("detach", "web", NULL);
	demo_kill(&demos[0], SIGTERM);
	demo_kill(&demos[1], SIGTERM);
	run_expect_nothing_left();
}

static void attach_web(struct demo demos[2])
{
	demo_start_many(demos, 2, ADDRESS);
	lbctl_ok("attach", "--name", "web", ADDRESS, NULL);
}

static void test_listen_on_a_port_of_another_service(void **state)
{
	struct demo demos[2];

	(void)state;
	attach_web(demos);
	run_start(&run, "b", "-n", "4", "--listen", ADDRESS, "--", "sleep", "1000", NULL);
	expect_refused(demos);
}

static void test_workers_bind_a_port_of_another_service(void **state)
{
	struct demo demos[2];

	(void)state;
	attach_web(demos);
	run_start(&run, "b", "-n", "4", "--", run_demo(), "-q", "--listen", ADDRESS, NULL);
	expect_refused(demos);
}

/* --- a new version that fails --- */

#define WORDS "no database at 192.0.2.1"

/* While the flag is there a worker says why it can't start. */
static const char *program(void)
{
	static char text[512];

	snprintf(text, sizeof(text),
		 "[ ! -e " FLAG " ] || { echo '" WORDS "' >&2; exit 3; }; "
		 "exec %s -q --no-reuseport --listen :8080",
		 run_demo());
	return text;
}

static void fail_reload(const char *words)
{
	file_write(FLAG, "");
	lbctl_expect(1, words, "reload", "web", NULL);
	unlink(FLAG);
	clients_run(&clients, (struct client_plan){ .connections = 20 });
	run_stop(&run);
}

static void test_end_of_the_log_is_quoted(void **state)
{
	(void)state;
	assert_int_equal(mkdir(LOGS, 0755), 0);
	run_start(&run, "web", "-n", "2", "--log-dir", LOGS, "--", "sh", "-c", program(), NULL);
	run_expect_up(&run, 2);
	fail_reload(WORDS);
}

static void test_place_of_its_words_is_named(void **state)
{
	(void)state;
	run_start(&run, "web", "-n", "2", "--", "sh", "-c", program(), NULL);
	run_expect_up(&run, 2);
	fail_reload("(see the output of lbctl run)");
}

/* --- what a start costs others --- */

/* Links of the process to what happens on the whole host, at each system call or function. */
static unsigned int links_to_the_host(pid_t pid)
{
	char folder[64], path[PATH_MAX];
	struct dirent *entry;
	unsigned int n = 0;
	DIR *dir;

	snprintf(folder, sizeof(folder), "/proc/%d/fdinfo", pid);
	dir = opendir(folder);
	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		char *text;

		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		if (entry->d_name[0] == '.' || access(path, R_OK))
			continue;
		text = file_read(path);
		n += strstr(text, "link_type:\traw_tracepoint") ||
		     strstr(text, "link_type:\ttracing") || strstr(text, "link_type:\tperf");
		free(text);
	}
	closedir(dir);
	return n;
}

/* Its workers start for as long as the test likes; the program at bind() is the cgroup's alone. */
static void test_no_program_sees_the_whole_host(void **state)
{
	char text[512];

	(void)state;
	snprintf(text, sizeof(text),
		 "while [ -e " FLAG " ]; do sleep 0.1; done; "
		 "exec %s -q --no-reuseport --listen :8080",
		 run_demo());
	file_write(FLAG, "");
	run_start(&run, "web", "-n", "2", "--", "sh", "-c", text, NULL);
	run_expect_events(&run, 2, "start", NULL);
	assert_int_equal(links_to_the_host(run.pid), 0);
	unlink(FLAG);
	run_expect_up(&run, 2);
	assert_int_equal(links_to_the_host(run.pid), 0);
	run_stop(&run);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_listen_on_a_port_of_another_service),
		runs_test(test_workers_bind_a_port_of_another_service),
		runs_test(test_end_of_the_log_is_quoted),
		runs_test(test_place_of_its_words_is_named),
		runs_test(test_no_program_sees_the_whole_host),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
