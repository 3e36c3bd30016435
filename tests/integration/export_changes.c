// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* lbctl export --allow-changes: who may change what, over HTTP. */
#include "harness/commands.h"
#include "harness/events.h"
#include "harness/http.h"
#include "harness/runs.h"
#include "harness/show.h"
#include "harness/world.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define WORKERS 4
#define TOKEN "a-word-of-24-letters-xyz"
#define TOKEN_FILE HARNESS_DIR "/token"
#define AS_JSON "Content-Type: application/json\r\n"
#define WITH_TOKEN AS_JSON "Authorization: Bearer " TOKEN "\r\n"

static struct run run;
static struct export export;

static void expect_change(int status, const char *headers, const char *path, const char *body)
{
	_cleanup_http_ struct http http;

	http_ask(&http, "POST", path, headers, body);
	if (http.status != status)
		fail_msg("%s %s: %d, want %d: %s", path, body ? body : "", http.status, status,
			 http.body);
}

#define WEB "/api/services/web"
static const struct {
	int status;
	const char *headers, *path, *body;
} bad_changes[] = {
	{ 401, AS_JSON, WEB "/workers/0/drain", "{}" },
	{ 401, AS_JSON "Authorization: Bearer wrong\r\n", WEB "/workers/0/drain", "{}" },
	{ 401, AS_JSON "Authorization: Bearer " TOKEN "x\r\n", WEB "/policy",
	  "{\"policy\":\"rr\"}" },
	{ 401, AS_JSON "Authorization: Basic " TOKEN "\r\n", WEB "/reload", "" },
	{ 415, "Authorization: Bearer " TOKEN "\r\n", WEB "/reload", "" },
	{ 415, "Content-Type: text/plain\r\nAuthorization: Bearer " TOKEN "\r\n", WEB "/reload",
	  "{}" },
	{ 403, WITH_TOKEN "Origin: http://evil.example\r\n", WEB "/reload", "{}" },
	{ 400, WITH_TOKEN, WEB "/workers/0/drain", "{" },
	{ 400, WITH_TOKEN, WEB "/policy", "{\"policy\":\"none\"}" },
	{ 400, WITH_TOKEN, WEB "/workers/0/weight", "{\"weight\":257}" },
	{ 404, WITH_TOKEN, WEB "/workers/9/drain", "{}" },
	{ 404, WITH_TOKEN, "/api/services/none/reload", "{}" },
	{ 404, WITH_TOKEN, WEB "/stop", "{}" },
};

static void test_changes(void **state)
{
	static char long_body[4096];
	struct show show, before;
	pid_t pids[WORKERS];

	(void)state;
	file_write(TOKEN_FILE, TOKEN "\n");
	assert_int_equal(chmod(TOKEN_FILE, 0600), 0);
	run_start_shared(&run, WORKERS);
	run_pids(&run, pids, WORKERS);
	export_start(&export, "--allow-changes", "--token-file", TOKEN_FILE, NULL);
	show_read("web", &before);
	for (size_t i = 0; i < ARRAY_SIZE(bad_changes); i++)
		expect_change(bad_changes[i].status, bad_changes[i].headers, bad_changes[i].path,
			      bad_changes[i].body);
	memset(long_body, ' ', sizeof(long_body) - 1);
	expect_change(413, WITH_TOKEN, WEB "/reload", long_body);
	show_read("web", &show);
	assert_memory_equal(show.policy, before.policy, sizeof(show.policy));
	run_expect_same(&run, pids, WORKERS);

	expect_change(200, WITH_TOKEN, WEB "/policy", "{\"policy\":\"random\"}");
	expect_change(200, WITH_TOKEN, WEB "/workers/1/weight", "{\"weight\":7}");
	expect_change(200, WITH_TOKEN "Origin: http://localhost:9190\r\n", WEB "/workers/2/drain",
		      "{}");
	show_read("web", &show);
	assert_string_equal(show.policy, "random");
	assert_int_equal(show.worker[1].weight, 7);
	assert_string_equal(show.worker[2].state, "draining");
	run_expect_events(&run, 1, "drain", "{s:i}", "worker", 2);
	expect_change(200, WITH_TOKEN, WEB "/workers/2/resume", "");
	expect_change(200, WITH_TOKEN, WEB "/reload", "");
	show_read("web", &show);
	assert_string_equal(show.worker[2].state, "up");
	for (size_t i = 0; i < WORKERS; i++)
		assert_int_not_equal(show.worker[i].pid, pids[i]);
	export_stop(&export);
	run_stop(&run);
}

static void test_who_may_hold_the_token(void **state)
{
	(void)state;
	file_write(TOKEN_FILE, TOKEN "\n");
	assert_int_equal(chmod(TOKEN_FILE, 0604), 0);
	lbctl_expect(1, "everybody", "export", "--allow-changes", "--token-file", TOKEN_FILE, NULL);
	assert_int_equal(chmod(TOKEN_FILE, 0600), 0);
	file_write(TOKEN_FILE, "short\n");
	lbctl_expect(1, "16", "export", "--allow-changes", "--token-file", TOKEN_FILE, NULL);
	lbctl_expect(2, "--token-file", "export", "--allow-changes", NULL);
	lbctl_expect(2, "--allow-changes", "export", "--token-file", TOKEN_FILE, NULL);
	lbctl_expect(2, "loopback", "export", "--listen", "0.0.0.0:9190", NULL);
	lbctl_expect(2, "loopback", "export", "--listen", "[::]:9190", NULL);
	lbctl_expect(2, "absolute", "export", "--listen", "unix:here", NULL);
	lbctl_expect(2, "root", "export", "--user", "root", NULL);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_changes),
		runs_test(test_who_may_hold_the_token),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
