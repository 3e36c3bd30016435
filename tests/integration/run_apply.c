// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * lbctl apply, and run -f and unit -f: services as a file describes them, without systemd, of which
 * vmtests/systemd.sh has one. Keepers outlive the command, so nothing but their service's end ends
 * them.
 */
#include "harness/commands.h"
#include "harness/events.h"
#include "harness/load.h"
#include "harness/processes.h"
#include "harness/runs.h"
#include "harness/servers.h"
#include "harness/show.h"
#include "harness/world.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIR_PATH HARNESS_DIR "/services"
#define FILE_PATH DIR_PATH "/services.yaml"
#define APP DIR_PATH "/app"
#define LOGS "/var/log/lbctl"
#define LOG_PATH LOGS "/web.keeper.log"
#define URL "http://127.0.0.1:8080/"
#define NOTHING "nothing to change; 1 service is as it says"

static struct run web = { .name = "web", .log = LOG_PATH };
static struct show show;

/* A program that does this first and serves then. */
static void write_app(const char *first)
{
	char text[PATH_MAX + 256];

	snprintf(text, sizeof(text), "#!/bin/sh\n%s\nexec %s -q --no-reuseport \"$@\"\n", first,
		 run_demo());
	file_write(APP, text);
	assert_return_code(chmod(APP, 0755), errno);
}

static int begin(void **state)
{
	(void)state;
	if (mkdir(DIR_PATH, 0755) && errno != EEXIST)
		return -1;
	write_app("");
	return 0;
}

#define WEB "web:\n  command: ./app --listen :8080\n  kill-timeout: 60000\n"
#define API "api:\n  command: ./app --listen :9090\n  n: 1\n"

static pid_t keeper_of(const char *name)
{
	json_t *json = lbctl_json("show", name, "--json", NULL);
	pid_t pid = json_integer_value(json_object_get(json_object_get(json, "keeper"), "pid"));

	json_decref(json);
	return pid;
}

static void apply(const char *text, size_t workers)
{
	file_write(FILE_PATH, text);
	lbctl_ok("apply", FILE_PATH, NULL);
	run_expect_up(&web, workers);
}

static void stop(const char *name)
{
	lbctl_ok("stop", name, NULL);
	run_expect_nothing_left();
}

static void expect_steps(const char *const *names, const char *option)
{
	json_t *json = lbctl_json("apply", "--dry-run", "--json", FILE_PATH, option, NULL);
	json_t *steps = json_object_get(json, "steps");
	size_t n = 0;

	for (; names[n]; n++)
		assert_string_equal(
			json_string_value(json_object_get(json_array_get(steps, n), "step")),
			names[n]);
	assert_int_equal(json_array_size(steps), n);
	assert_true(json_is_true(json_object_get(json, "dry_run")));
	json_decref(json);
}

/* 1. it is started, and all is as the file says  2. then there is nothing to do */
static void test_starts_and_does_nothing_then(void **state)
{
	pid_t pids[2];

	(void)state;
	file_write(FILE_PATH, WEB "  n: 2\n  policy: rr\n  set: { stall_ms: 70 }\n"
				  "  set-weight: { 0: 3 }\n  set-limit: { 1: 50 }\n");
	expect_steps((const char *[]){ "start", "set", "set-weight", "set-limit", NULL }, NULL);
	lbctl_expect(3, "no such service", "show", "web", NULL);
	lbctl_expect(0, "web: started, 2 workers of ./app", "apply", FILE_PATH, NULL);
	run_pids(&web, pids, 2);
	show_read("web", &show);
	assert_string_equal(show.policy, "rr");
	assert_int_equal(show.worker[0].weight, 3);
	assert_int_equal(show.worker[1].limit, 50);
	lbctl_expect(0, NOTHING, "apply", FILE_PATH, NULL);
	expect_steps((const char *[]){ NULL }, NULL);
	run_expect_same(&web, pids, 2);
	/* from elsewhere, too, and by another name of it */
	assert_return_code(chdir(DIR_PATH), errno);
	lbctl_expect(0, NOTHING, "apply", "services.yaml", NULL);
	assert_return_code(chdir("/"), errno);
	stop("web");
}

/* What can change while it runs does: neither keeper nor workers are others afterwards. */
static void test_changes_live(void **state)
{
	pid_t pids[3], after[3], keeper;

	(void)state;
	apply(WEB "  n: 2\n  policy: rr\n", 2);
	run_pids(&web, pids, 2);
	keeper = keeper_of("web");
	file_write(FILE_PATH, WEB "  n: 3\n  policy: random\n  set: { limit: 9, stall_ms: 70 }\n"
				  "  set-weight: { 1: 2 }\n");
	expect_steps((const char *[]){ "scale", "set-policy", "set", "set", "set-weight", NULL },
		     NULL);
	lbctl_expect(0, "web: would scale 3 (are 2)", "apply", "--dry-run", FILE_PATH, NULL);
	lbctl_ok("apply", FILE_PATH, NULL);
	run_pids(&web, after, 3);
	assert_memory_equal(after, pids, 2 * sizeof(*pids));
	show_read("web", &show);
	assert_string_equal(show.policy, "random");
	assert_int_equal(show.worker[1].weight, 2);
	lbctl_expect(0, NOTHING, "apply", FILE_PATH, NULL);

	/* by hand, and back; what the file does not name is left as it is */
	lbctl_ok("scale", "web", "1", NULL);
	lbctl_ok("set", "web", "limit=5", "hold_ms=0", NULL);
	expect_steps((const char *[]){ "scale", "set", "set-weight", NULL }, NULL);
	lbctl_ok("apply", FILE_PATH, NULL);
	lbctl_expect(0, NOTHING, "apply", FILE_PATH, NULL);
	lbctl_expect(0, "\"hold_ms\": 0,", "show", "web", "--json", NULL);
	assert_int_equal(keeper_of("web"), keeper);
	stop("web");
}

/*
 * Under load: 1. what is the keeper's takes another keeper, and the same workers  2. what is the
 * processes' takes new ones  3. how many there are stays, if the file does not say it
 */
static void test_takes_another_keeper(void **state)
{
	pid_t pids[2], keeper;
	struct wrk wrk;
	struct job job;

	(void)state;
	apply(WEB "  n: 2\n", 2);
	run_pids(&web, pids, 2);
	keeper = keeper_of("web");
	wrk_start(&job, URL, "16", 100);
	file_write(FILE_PATH, WEB "  max-memory: 3G\n");
	expect_steps((const char *[]){ "keeper", NULL }, NULL);
	lbctl_expect(0, "web: has another keeper, and the same workers", "apply", FILE_PATH, NULL);
	assert_int_not_equal(keeper_of("web"), keeper);
	run_expect_same(&web, pids, 2);

	file_write(FILE_PATH, WEB "  instance-var: NUMBER\n");
	expect_steps((const char *[]){ "keeper", "reload", NULL }, NULL);
	lbctl_expect(0, "web: 2 workers replaced", "apply", FILE_PATH, NULL);
	run_pids(&web, pids, 2);
	lbctl_expect(0, NOTHING, "apply", FILE_PATH, NULL);
	run_expect_same(&web, pids, 2);
	wrk_stop(&job);
	wrk_wait(&job, &wrk);
	wrk_expect_no_failure(&wrk);
	stop("web");
}

/*
 * A version that does not work: 1. the old one goes on  2. the next apply knows that it was not
 * done  3. one that works is what the file says
 */
/* Its workers are sockets; how many there are is its own affair. */
static void test_program_that_forks(void **state)
{
	char text[PATH_MAX + 256], program[PATH_MAX];
	pid_t pids[3];

	(void)state;
	needs(bind_setsockopt);
	assert_non_null(realpath(harness_build_path("../tests/integration/prefork.py"), program));
	snprintf(text, sizeof(text), "web:\n  command: [python3, %s, 3]\n  forks: true\n", program);
	file_write(FILE_PATH, text);
	lbctl_expect(0, "web: would start python3, which makes its workers itself", "apply",
		     "--dry-run", FILE_PATH, NULL);
	lbctl_expect(0, "web: started, python3 makes its workers itself", "apply", FILE_PATH, NULL);
	run_pids(&web, pids, 3);
	lbctl_expect(0, NOTHING, "apply", FILE_PATH, NULL);
	strcat(text, "  max-memory: 3G\n");
	file_write(FILE_PATH, text);
	lbctl_expect(0, "web: has another keeper, and the same workers", "apply", FILE_PATH, NULL);
	run_expect_same(&web, pids, 3);
	lbctl_expect(0, NOTHING, "apply", FILE_PATH, NULL);
	stop("web");
}

static void test_reload_that_fails(void **state)
{
	pid_t pids[2];

	(void)state;
	apply(WEB "  n: 2\n", 2);
	run_pids(&web, pids, 2);
	write_app("[ -z \"$NUMBER\" ] || exit 3");
	file_write(FILE_PATH, WEB "  n: 2\n  instance-var: NUMBER\n");
	lbctl_expect(1, "exited with status 3", "apply", FILE_PATH, NULL);
	run_expect_same(&web, pids, 2);
	expect_steps((const char *[]){ "reload", NULL }, NULL);
	lbctl_expect(1, "exited with status 3", "apply", FILE_PATH, NULL);
	run_expect_same(&web, pids, 2);
	write_app("");
	lbctl_expect(0, "web: 2 workers replaced", "apply", FILE_PATH, NULL);
	lbctl_expect(0, NOTHING, "apply", FILE_PATH, NULL);
	stop("web");
}

/* Its keeper was killed: the workers get another one, and are what the file says by a reload. */
static void test_keeper_is_dead(void **state)
{
	pid_t keeper;

	(void)state;
	apply(WEB "  n: 2\n", 2);
	keeper = keeper_of("web");
	kill(keeper, SIGKILL);
	wait_until(!process_lives(keeper), RUN_MS);
	file_write(FILE_PATH, WEB "  n: 2\n  cwd: /\n");
	expect_steps((const char *[]){ "start", "reload", NULL }, NULL);
	lbctl_ok("apply", FILE_PATH, NULL);
	run_expect_up(&web, 2);
	lbctl_expect(0, NOTHING, "apply", FILE_PATH, NULL);
	stop("web");
}

/* What would end connections is said, and left; the file's other services are not held up. */
static void test_refuses_what_ends_connections(void **state)
{
	pid_t pids[1];

	(void)state;
	apply(WEB "  n: 1\n", 1);
	run_pids(&web, pids, 1);
	file_write(FILE_PATH, WEB "  n: 2\n  port: 8080\n  max-memory: 3G\n" API);
	lbctl_expect(1, "web can't become other than it is while it runs: port; lbctl stop web",
		     "apply", FILE_PATH, NULL);
	lbctl_expect(0, "\"service\": \"api\"", "show", "api", "--json", NULL);
	run_expect_same(&web, pids, 1);
	lbctl_ok("stop", "web", NULL);
	lbctl_ok("apply", FILE_PATH, NULL);
	lbctl_ok("stop", "api", NULL);
	stop("web");
}

/* With it another keeper would be the workers' end. */
static void test_refuses_another_keeper_of_with_controller(void **state)
{
	pid_t pids[1];

	(void)state;
	apply(WEB "  n: 1\n  with-controller: true\n", 1);
	run_pids(&web, pids, 1);
	file_write(FILE_PATH, WEB "  n: 1\n  max-memory: 3G\n  set: { stall_ms: 70 }\n");
	lbctl_expect(1, "can't become other than it is while it runs: with-controller;", "apply",
		     FILE_PATH, NULL);
	run_expect_same(&web, pids, 1);
	stop("web");
}

static void test_prune(void **state)
{
	(void)state;
	apply(WEB "  n: 1\n" API, 1);
	lbctl_expect(0, "2 services are as it says", "apply", FILE_PATH, NULL);
	file_write(FILE_PATH, WEB "  n: 1\n");
	lbctl_expect(0, "api: is not in " FILE_PATH " any more; --prune stops it", "apply",
		     FILE_PATH, NULL);
	lbctl_expect(0, NOTHING, "apply", FILE_PATH, NULL);
	expect_steps((const char *[]){ "spare", NULL }, NULL);
	expect_steps((const char *[]){ "stop", NULL }, "--prune");
	/* another file's are none of its business */
	file_write(DIR_PATH "/other.yaml", "# nothing\n");
	lbctl_expect(0, "nothing to change; 0 services are", "apply", "--prune",
		     DIR_PATH "/other.yaml", NULL);
	lbctl_expect(0, "api: stopped", "apply", "--prune", FILE_PATH, NULL);
	lbctl_expect(3, "no such service", "show", "api", NULL);
	file_write(FILE_PATH, "");
	lbctl_ok("apply", "--prune", FILE_PATH, NULL);
	run_expect_nothing_left();
}

/* Services that it did not start are not its to change. */
/* What the keeper of web-0 prints is nothing that worker 0 of web does. */
static void test_logs_in_one_directory(void **state)
{
	char *log;

	(void)state;
	assert_true(!mkdir(LOGS, 0755) || errno == EEXIST);
	write_app("echo this is $LBCTL_SERVICE");
	file_write(FILE_PATH, WEB "  n: 1\n  log-dir: " LOGS "\n"
				  "web-0:\n  command: ./app --listen :9090\n  n: 1\n");
	lbctl_ok("apply", FILE_PATH, NULL);
	log = file_read(LOGS "/web-0.log");
	assert_string_equal(log, "this is web\n");
	free(log);
	lbctl_ok("stop", "web-0", NULL);
	stop("web");
}

static void test_others_services(void **state)
{
	struct demo demos[2];

	(void)state;
	run_start_shared(&web, 1);
	file_write(FILE_PATH, WEB "  n: 2\n");
	lbctl_expect(1, "web has a keeper that apply did not start; first lbctl stop web", "apply",
		     FILE_PATH, NULL);
	run_expect_up(&web, 1);
	run_kill(&web);
	lbctl_expect(1, "web has workers of an lbctl run that is dead; first lbctl stop web",
		     "apply", FILE_PATH, NULL);
	lbctl_ok("stop", "web", NULL);
	demo_start_many(demos, 2, ":8080");
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	lbctl_expect(1, "web was made by lbctl attach; first lbctl detach web", "apply", FILE_PATH,
		     NULL);
	lbctl_ok("detach", "web", NULL);
}

/* A mistake in one entry: nothing of the others is done. */
static void test_mistake_changes_nothing(void **state)
{
	(void)state;
	file_write(FILE_PATH, API "web:\n  command: ./app\n  n: many\n");
	lbctl_expect(2, FILE_PATH ":6: -n many: not a number", "apply", FILE_PATH, NULL);
	file_write(FILE_PATH, API "web:\n  command: ./ap\n");
	lbctl_expect(127, FILE_PATH ":4: ./ap: command not found", "apply", FILE_PATH, NULL);
	lbctl_expect(1, "none.yaml: No such file", "apply", DIR_PATH "/none.yaml", NULL);
	lbctl_expect(1, "not a file", "apply", DIR_PATH, NULL);
	run_expect_nothing_left();
}

static void test_start_that_fails(void **state)
{
	(void)state;
	write_app("echo no config >&2; exit 3");
	file_write(FILE_PATH, WEB "  n: 1\n  restart-delay: 1\n");
	lbctl_expect(1, "web could not be started; " LOG_PATH " ends: ", "apply", FILE_PATH, NULL);
	run_expect_nothing_left();
	write_app("");
	lbctl_ok("apply", FILE_PATH, NULL);
	lbctl_expect(0, "no config", "logs", "web", "-n", "1000", NULL);
	stop("web");
}

/* --- run -f and unit -f --- */

static void test_run_from_file(void **state)
{
	pid_t pids[2];

	(void)state;
	file_write(FILE_PATH, WEB "  n: 2\n  policy: rr\n" API);
	run_start_verb(&web, "web", "run", "-f", FILE_PATH, "web", NULL);
	run_pids(&web, pids, 2);
	show_read("web", &show);
	assert_string_equal(show.policy, "rr");
	/* the command that takes it up says all by itself */
	run_kill(&web);
	lbctl_expect(1, "cd " DIR_PATH " && lbctl run --name web -n 2 --policy rr", "reload", "web",
		     NULL);
	run_start_again(&web);
	run_expect_keeper(&web);
	run_expect_same(&web, pids, 2);
	run_stop(&web);
}

static void test_from_file_words(void **state)
{
	(void)state;
	file_write(FILE_PATH, WEB API);
	lbctl_expect(2, "has 2 services; name one: lbctl run -f " FILE_PATH " NAME", "run", "-f",
		     FILE_PATH, NULL);
	lbctl_expect(3, "has no service wib", "run", "-f", FILE_PATH, "wib", NULL);
	lbctl_expect(2, "with -f all options are the file's: leave -n out", "run", "-f", FILE_PATH,
		     "-n", "2", "web", NULL);
	lbctl_expect(2, "\"app\" is one too many", "run", "-f", FILE_PATH, "web", "app", NULL);
	lbctl_expect(2, "too few arguments", "run", NULL);
	lbctl_expect(0, "would run 1 worker of " APP " as service api", "run", "--dry-run", "-f",
		     FILE_PATH, "api", NULL);
	lbctl_expect(0, "lbctl run --name api -n 1 -- " APP " --listen :9090", "unit", "-f",
		     FILE_PATH, "api", NULL);
	lbctl_expect(0, "WorkingDirectory=" DIR_PATH, "unit", "-f", FILE_PATH, "api", NULL);
	lbctl_expect(0, "\"name\": \"api.service\"", "unit", "-f", FILE_PATH, "--json", "api",
		     NULL);
	file_write(FILE_PATH, API "  n: x\n");
	lbctl_expect(2, "unit " FILE_PATH ":4: n is there already", "unit", "-f", FILE_PATH, NULL);
}

#define apply_test(function) cmocka_unit_test_setup_teardown(function, begin, runs_reset)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		apply_test(test_starts_and_does_nothing_then),
		apply_test(test_changes_live),
		apply_test(test_takes_another_keeper),
		apply_test(test_program_that_forks),
		apply_test(test_reload_that_fails),
		apply_test(test_keeper_is_dead),
		apply_test(test_refuses_what_ends_connections),
		apply_test(test_refuses_another_keeper_of_with_controller),
		apply_test(test_prune),
		apply_test(test_logs_in_one_directory),
		apply_test(test_others_services),
		apply_test(test_mistake_changes_nothing),
		apply_test(test_start_that_fails),
		apply_test(test_run_from_file),
		apply_test(test_from_file_words),
	};

	(void)argc;
	runs_enter(argv[0]);
	/* where keepers print to, which is the host's else */
	if (mount("tmpfs", "/var/log", "tmpfs", 0, NULL))
		return 77;
	return cmocka_run_group_tests(tests, runs_begin, runs_check_clean);
}
