// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What commands tell people of a service that was attached: true, complete, in 80 columns. */
#include "harness/commands.h"
#include "harness/servers.h"
#include "harness/show.h"
#include "harness/world.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define MANY 12

static struct demo demos[MANY];
static struct show show;

static void expect(int status, const char *words, const char *const *args)
{
	struct output output;

	lbctl_run(&output, args[0], args[1], args[2], args[2] ? args[3] : NULL,
		  args[2] && args[3] ? args[4] : NULL, NULL);
	if (output.status != status || !(strstr(output.out, words) || strstr(output.err, words)))
		fail_msg("lbctl %s: status %d, want %d with \"%s\": %s%s", args[0], output.status,
			 status, words, output.out, output.err);
	output_free(&output);
}

static void expect_columns(const char *text)
{
	size_t len;

	for (; *text; text += len + (text[len] == '\n')) {
		len = strcspn(text, "\n");
		if (len > 80)
			fail_msg("%zu columns: %.*s", len, (int)len, text);
	}
}

/* --- attach --dry-run --- */

static void expect_dry_run(const char *address, const char *option, const char *policy, bool made)
{
	json_t *json = lbctl_json("attach", "--dry-run", "--json", address, option, NULL);

	assert_string_equal(json_string_value(json_object_get(json, "policy")), policy);
	assert_int_equal(json_is_true(json_object_get(json, "made")), made);
	assert_true(json_is_true(json_object_get(json, "dry_run")));
	json_decref(json);
}

/* It tells the policy that attach then has. */
static void test_dry_run_tells_the_policy(void **state)
{
	(void)state;
	demo_start_many(demos, 2, ":8080");
	lbctl_ok("attach", ":8080", NULL);
	show_read("tcp-8080", &show);
	lbctl_ok("detach", NULL);
	expect_dry_run(":8080", NULL, show.policy, true);
	expect_dry_run(":8080", "--policy=hash", "hash", true);
	expect(0, "would attach tcp-8080: 2 workers of lbctl-demo-work, policy hash",
	       (const char *[]){ "attach", "--dry-run", "--policy=hash", ":8080", NULL });
	lbctl_ok("attach", "--policy", "random", ":8080", NULL);
	expect_dry_run(":8080", NULL, "random", false);
	expect(0, "would refresh tcp-8080",
	       (const char *[]){ "attach", "--dry-run", ":8080", NULL, NULL });
	lbctl_ok("detach", NULL);
}

/* --- drain --- */

static int connect_to(uint16_t port)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(port),
				  .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

static bool has_one(void)
{
	show_read("tcp-8080", &show);
	return show.worker[0].live == 1 && show.worker[1].live == 1 && !show.worker[1].queued;
}

static void expect_drain_json(int left, bool waited)
{
	json_t *json = lbctl_json("drain", "1", "--json", waited ? "--wait=10" : NULL, NULL);

	assert_int_equal(json_integer_value(json_object_get(json, "left")), left);
	assert_int_equal(json_is_integer(json_object_get(json, "waited_ms")), waited);
	json_decref(json);
}

/* What is left is said, and with --wait for how long it took. */
static void test_drain_tells_what_is_left(void **state)
{
	int fds[2];

	(void)state;
	demo_start_many(demos, 2, ":8080");
	lbctl_ok("attach", "--policy", "rr", ":8080", NULL);
	expect(0, "worker 1 draining; nothing is open there\n",
	       (const char *[]){ "drain", "1", NULL });
	lbctl_ok("resume", "1", NULL);
	fds[0] = connect_to(8080);
	fds[1] = connect_to(8080);
	wait_until(has_one(), 10000);
	expect(0, "worker 1 draining; 1 connection is still open\n",
	       (const char *[]){ "drain", "1", NULL });
	expect(0, "all workers draining; 2 connections are still open",
	       (const char *[]){ "drain", "all", NULL });
	expect_drain_json(1, false);
	expect(1, "drained, but after 1 s 1 connection is still open; wait on",
	       (const char *[]){ "drain", "1", "--wait", "1", NULL });
	close(fds[0]);
	close(fds[1]);
	lbctl_ok("resume", "0", NULL);
	expect(0, "worker 1 draining, and empty after ",
	       (const char *[]){ "drain", "1", "--wait", "10", NULL });
	expect_drain_json(0, true);
	expect(0, "worker 1 up\n", (const char *[]){ "resume", "1", NULL });
	lbctl_ok("detach", NULL);
}

/* --- 80 columns --- */

/* Twelve workers: the rates of a second, and what show prints. */
static void test_many_workers_fit(void **state)
{
	struct output output;
	struct job job;

	(void)state;
	demo_start_many(demos, MANY, "0.0.0.0:8080");
	lbctl_ok("attach", "0.0.0.0:8080", NULL);
	lbctl_start(&job, "stats", "--interval", "1", NULL);
	usleep(2500000);
	kill(job.pid, SIGINT);
	job_wait(&job, &output);
	assert_int_equal(output.status, 0);
	assert_non_null(strstr(output.out, "connections/s of each worker\n"));
	expect_columns(output.out);
	output_free(&output);
	for (int wide = 0; wide < 2; wide++) {
		lbctl_run(&output, "show", wide ? "--wide" : NULL, NULL);
		assert_int_equal(output.status, 0);
		if (!wide)
			expect_columns(output.out);
		assert_int_equal(strstr(output.out, "COMMAND") != NULL, wide);
		output_free(&output);
	}
	lbctl_run(&output, "stats", NULL);
	expect_columns(output.out);
	output_free(&output);
	lbctl_ok("detach", NULL);
}

/* --- one socket for several processes --- */

/* A server that forks four workers, which share its socket, as a program of this name. */
static pid_t start_forking(const char *name, const char *more)
{
	char path[64];
	pid_t pid;

	snprintf(path, sizeof(path), HARNESS_DIR "/%s", name);
	command_ok("cp", harness_build_path("lbctl-demo-worker"), path, NULL);
	pid = fork();
	if (!pid) {
		execl(path, path, "-q", "-n", "4", "--shared", "--listen", "0.0.0.0:8080", more,
		      NULL);
		_exit(127);
	}
	return pid;
}

/* Until all four poll, the master is nothing to count. */
static bool refusal_says(const char *words)
{
	struct output output;
	bool says;

	lbctl_run(&output, "attach", ":8080", NULL);
	says = output.status == 1 && strstr(output.err, words);
	output_free(&output);
	return says;
}

static const struct {
	const char *name, *more, *words;
} forking[] = {
	{ "gunicorn", "--no-reuseport", "lbctl run -n 4 -- gunicorn -w 1 ... gives each worker" },
	{ "gunicorn", NULL, "lbctl run -n 4 -- gunicorn -w 1 ... gives each worker" },
	{ "puma", "--no-reuseport", "lbctl run -n 4 -- puma -w 0 ... gives each worker" },
	{ "my-server", "--no-reuseport",
	  "lbctl run -n 4 -- my-server ..., with one worker each, gives each worker" },
};

static void test_forking_servers(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(forking); i++) {
		pid_t pid = start_forking(forking[i].name, forking[i].more);

		wait_until(refusal_says(forking[i].words), 10000);
		expect(1, "0.0.0.0:8080 is one socket that ",
		       (const char *[]){ "attach", ":8080", NULL });
		kill(pid, SIGTERM);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
	}
}

static void test_nginx_without_reuseport(void **state)
{
	struct nginx nginx;

	(void)state;
	nginx_start(&nginx, "listen 8080;", "127.0.0.1", 8080);
	expect(1,
	       "\"listen 8080 reuseport\" in nginx, or lbctl run -n 4 -- nginx ... gives each worker",
	       (const char *[]){ "attach", ":8080", NULL });
	nginx_stop(&nginx);
}

/* One process that has not set it: lbctl can start it, too. */
static void test_without_reuseport(void **state)
{
	(void)state;
	demo_start(&demos[0], 0, "--no-reuseport", "--listen", ":8080", NULL);
	expect(1, "or let lbctl start it: lbctl run -- COMMAND",
	       (const char *[]){ "attach", ":8080", NULL });
}

/* --- words that are near --- */

static void test_setting_in_two_words(void **state)
{
	(void)state;
	demo_start_many(demos, 2, ":8080");
	lbctl_ok("attach", ":8080", NULL);
	expect(2, "limit and 10 are two words; write them as one: limit=10",
	       (const char *[]){ "set", "limit", "10", NULL });
	expect(2, "write them as one: stall_ms=50",
	       (const char *[]){ "set", "tcp-8080", "stall_ms", "50", NULL });
	expect(3, "no such service", (const char *[]){ "set", "limits", "limit=10", NULL });
	lbctl_ok("detach", NULL);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		harness_test(test_dry_run_tells_the_policy),
		harness_test(test_drain_tells_what_is_left),
		harness_test(test_many_workers_fit),
		harness_test(test_setting_in_two_words),
		harness_test(test_forking_servers),
		harness_test(test_nginx_without_reuseport),
		harness_test(test_without_reuseport),
	};

	(void)argc;
	return harness_run(argv[0], tests);
}
