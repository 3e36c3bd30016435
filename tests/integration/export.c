// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * lbctl export: what it says is what the commands say; who is no page of ours is refused; silent
 * clients keep nobody out; what reads what they send has no rights.
 */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/events.h"
#include "harness/http.h"
#include "harness/processes.h"
#include "harness/runs.h"
#include "harness/world.h"

#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKERS 4
#define TOKEN "a-word-of-24-letters-xyz"
#define AS_JSON "Content-Type: application/json\r\n"
#define WITH_TOKEN AS_JSON "Authorization: Bearer " TOKEN "\r\n"
#define IDLE 1000
#define IDLE_MOST_KB 32768

static struct run run;
static struct export export;
static struct clients clients;

/* Without the lines whose figures change by themselves. */
static char *steady(const char *metrics)
{
	char *kept = calloc(1, strlen(metrics) + 1), *at = kept;
	size_t len;

	for (; *metrics; metrics += len + (metrics[len] == '\n')) {
		len = strcspn(metrics, "\n");
		if (strstr(metrics, "_cpu_seconds") == metrics + strlen("lbctl_worker") ||
		    strstr(metrics, "_memory_bytes") == metrics + strlen("lbctl_worker"))
			continue;
		memcpy(at, metrics, len);
		at += len;
		*at++ = '\n';
	}
	return kept;
}

static void expect_metrics(void)
{
	_cleanup_output_ struct output output;
	_cleanup_http_ struct http http;
	char *want, *got;

	lbctl_run(&output, "stats", "--prometheus", NULL);
	assert_int_equal(output.status, 0);
	http_get(&http, "/metrics");
	assert_non_null(strstr(http.head, "Content-Type: text/plain; version=0.0.4"));
	assert_non_null(strstr(http.body,
			       "\nlbctl_worker_selected_total{service=\"web\",worker=\"0\"} 10\n"));
	assert_non_null(strstr(http.body, "\nlbctl_decisions_total{service=\"web\"} 40\n"));
	want = steady(output.out);
	got = steady(http.body);
	assert_string_equal(got, want);
	free(want);
	free(got);
}

static void expect_openmetrics(void)
{
	_cleanup_http_ struct http http;

	http_ask(&http, "GET", "/metrics", "Accept: application/openmetrics-text\r\n", NULL);
	assert_int_equal(http.status, 200);
	assert_non_null(strstr(http.head, "Content-Type: application/openmetrics-text; version=1"));
	assert_non_null(strstr(http.body, "# TYPE lbctl_worker_selected counter\n"));
	assert_non_null(strstr(http.body, "\nlbctl_worker_selected_total{"));
	assert_string_equal(http.body + strlen(http.body) - strlen("\n# EOF\n"), "\n# EOF\n");
}

/* All keys that both have, and as many; figures of time and memory go on. */
static void expect_same(const json_t *got, json_t *want)
{
	const char *key;
	json_t *value;

	assert_int_equal(json_object_size(got), json_object_size(want));
	json_object_foreach(want, key, value) {
		if (!json_equal(json_object_get(got, key), value) && strcmp(key, "workers"))
			fail_msg("%s differs", key);
	}
}

static void expect_json(void)
{
	_cleanup_http_ struct http one, all;
	json_t *show = lbctl_json("show", "web", "--json", NULL);
	json_t *list = lbctl_json("list", "--json", NULL);
	json_t *got, *workers;

	http_get(&one, "/api/services/web");
	got = json_loads(one.body, 0, NULL);
	expect_same(got, show);
	workers = json_object_get(got, "workers");
	assert_int_equal(json_array_size(workers), WORKERS);
	assert_int_equal(
		json_integer_value(json_object_get(json_array_get(workers, 3), "selected")), 10);
	json_decref(got);
	http_get(&all, "/api/services");
	got = json_loads(all.body, 0, NULL);
	assert_true(json_equal(got, list));
	json_decref(got);
	json_decref(show);
	json_decref(list);
}

static void test_each_page(void **state)
{
	_cleanup_http_ struct http page, about, head;

	(void)state;
	run_start(&run, "web", "-n", "4", "--policy", "rr", "--port", "8080", "--", run_demo(),
		  "--listen", "127.0.0.1:8080", NULL);
	run_expect_up(&run, WORKERS);
	clients_run(&clients, (struct client_plan){ .connections = 40 });
	export_start(&export, NULL);
	expect_metrics();
	expect_openmetrics();
	expect_json();
	http_get(&page, "/");
	assert_non_null(strstr(page.head, "Content-Type: text/html"));
	assert_non_null(strstr(page.head, "Content-Security-Policy: default-src 'none';"));
	assert_non_null(strstr(page.body, "</html>"));
	assert_null(strstr(page.body, "@nonce@"));
	/* nothing of elsewhere */
	assert_null(strstr(page.body, "http://"));
	assert_null(strstr(page.body, "https://"));
	assert_null(strstr(page.body, " src="));
	http_get(&about, "/api/about");
	assert_non_null(strstr(about.body, "\"changes\": false"));
	http_ask(&head, "HEAD", "/metrics", "", NULL);
	assert_int_equal(head.status, 200);
	assert_string_equal(head.body, "");
	export_stop(&export);
	run_stop(&run);
}

#define HOST "Host: localhost:9190\r\n"
static const struct {
	const char *request; /* its end is added */
	int status;
} refused[] = {
	{ "GET / HTTP/1.1\r\nHost: evil.example\r\n", 403 },
	{ "GET /metrics HTTP/1.1\r\nHost: localhost.evil.example\r\n", 403 },
	{ "GET / HTTP/1.1\r\nHost: evil.example\r\nHost: localhost\r\n", 403 },
	{ "GET / HTTP/1.1\r\n", 400 },
	{ "GET / HTTP/1.0\r\n", 403 },
	{ "GET / HTTP/1.1\r\n" HOST "Origin: http://evil.example\r\n", 403 },
	{ "GET /api/events HTTP/1.1\r\n" HOST "Origin: null\r\n", 403 },
	{ "GET /nothing HTTP/1.1\r\n" HOST, 404 },
	{ "GET /api/services/none HTTP/1.1\r\n" HOST, 404 },
	{ "GET /api/services/../about HTTP/1.1\r\n" HOST, 404 },
	{ "GET /%2e%2e/etc/passwd HTTP/1.1\r\n" HOST, 404 },
	{ "GET /metrics%00x HTTP/1.1\r\n" HOST, 404 },
	{ "POST / HTTP/1.1\r\nContent-Length: 0\r\n" HOST, 405 },
	{ "DELETE /api/services/web HTTP/1.1\r\n" HOST, 405 },
	{ "OPTIONS /api/services/web/reload HTTP/1.1\r\n" HOST, 405 },
	{ "HEAD /api/events HTTP/1.1\r\n" HOST, 405 },
	{ "POST /api/services/web/reload HTTP/1.1\r\nContent-Length: 2\r\n" HOST WITH_TOKEN, 403 },
	{ "rubbish\r\n", 0 }, /* hung up on */
	{ "GET / HTTP/9.9\r\n" HOST, 505 },
	{ "GET / HTTP/1.1\r\n" HOST "no colon\r\n", 400 },
	{ "POST / HTTP/1.1\r\n" HOST "Content-Length: -1\r\n", 400 },
};

static void expect_status(const char *name, const char *request, size_t n, int status)
{
	_cleanup_http_ struct http http;

	http_send(&http, http_connect(), request, n);
	/* a page that goes on is none that was refused */
	if (http.status != status)
		fail_msg("%s: %d, want %d", name, http.status, status);
}

static void test_what_is_refused(void **state)
{
	static char giant[1 << 20];
	char request[512];
	_cleanup_http_ struct http http;

	(void)state;
	run_start_shared(&run, WORKERS);
	export_start(&export, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		snprintf(request, sizeof(request), "%sConnection: close\r\n\r\n",
			 refused[i].request);
		expect_status(refused[i].request, request, strlen(request), refused[i].status);
	}
	memset(giant, 'x', sizeof(giant));
	memcpy(giant, "GET / HTTP/1.1\r\nX: ", strlen("GET / HTTP/1.1\r\nX: "));
	expect_status("a giant header", giant, sizeof(giant), 431);
	memcpy(giant, "GET /xxxxxxxxxxxxxxxxxxxxxxxxx", strlen("GET / HTTP/1.1\r\nX: "));
	expect_status("a giant path", giant, sizeof(giant), 414);
	memset(giant, 0, sizeof(giant));
	http_send(&http, http_connect(), giant, sizeof(giant));
	assert_true(http.status == 0 || http.status >= 400);
	http_free(&http);
	http_get(&http, "/metrics");
	export_stop(&export);
	run_stop(&run);
}

static void count_descriptors(pid_t pid, size_t most)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	if (count_entries(path, false) > most)
		fail_msg("%zu descriptors", count_entries(path, false));
}

/* A client that connects and says nothing, or half of something, is the first to go. */
static void test_idle_connections(void **state)
{
	const struct rlimit many = { IDLE + 200, IDLE + 200 };
	static int fds[IDLE];
	uint64_t begin_ns;

	(void)state;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &many), 0);
	run_start_shared(&run, WORKERS);
	export_start(&export, NULL);
	for (size_t i = 0; i < IDLE; i++) {
		fds[i] = http_connect();
		assert_true(fds[i] >= 0);
		if (i % 2)
			send(fds[i], "GET /metr", 9, MSG_NOSIGNAL);
	}
	begin_ns = now_ns();
	for (size_t i = 0; i < 10; i++) {
		_cleanup_http_ struct http http;

		http_get(&http, "/metrics");
	}
	/* before those that are idle would have been hung up on for that alone */
	assert_true(now_ns() - begin_ns < scaled_ms(8000) * 1000000);
	count_descriptors(export.web, 100);
	print_message("%d idle connections: %lu KiB resident\n", IDLE,
		      process_resident_kib(export.web));
	if (!getenv("SANITIZE"))
		assert_true(process_resident_kib(export.web) < IDLE_MOST_KB);
	for (size_t i = 0; i < IDLE; i++)
		close(fds[i]);
	export_stop(&export);
	run_stop(&run);
}

/* --- events --- */

/* Reads on until the text is there. */
static void read_until(int fd, char *text, size_t size, const char *words)
{
	size_t got = strlen(text);
	ssize_t n;

	while (!strstr(text, words)) {
		n = recv(fd, text + got, size - 1 - got, 0);
		if (n <= 0)
			fail_msg("no %s in: %.4000s", words, text);
		got += n;
		text[got] = '\0';
	}
}

static int follow(void)
{
	static const char request[] = "GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n";
	int fd = http_connect();

	assert_true(fd >= 0);
	assert_int_equal(send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL), sizeof(request) - 1);
	return fd;
}

static void test_events(void **state)
{
	static char text[1 << 20];
	_cleanup_http_ struct http http;
	uint64_t begin_ns;
	int fds[17];

	(void)state;
	run_start_shared(&run, WORKERS);
	export_start(&export, NULL);
	*text = '\0';
	fds[0] = follow();
	read_until(fds[0], text, sizeof(text), "Content-Type: text/event-stream");
	read_until(fds[0], text, sizeof(text), "event: state\ndata: {");
	/* what the keeper told before is told first */
	read_until(fds[0], text, sizeof(text), "\"event\":\"online\"");
	lbctl_ok("drain", "web", "1", NULL);
	read_until(fds[0], text, sizeof(text), "\"event\":\"drain\"");
	read_until(fds[0], text, sizeof(text), "\"state\":\"draining\"");
	assert_non_null(strstr(text, "\"service\":\"web\""));
	/* and many of them soon */
	for (char weight[2] = "2"; *weight <= '9'; ++*weight)
		lbctl_ok("set-weight", "web", "all", weight, NULL);
	begin_ns = now_ns();
	for (size_t i = 1; i < 16; i++)
		fds[i] = follow();
	*text = '\0';
	read_until(fds[15], text, sizeof(text), "has weight 9 (had 8)");
	assert_true(now_ns() - begin_ns < scaled_ms(5000) * 1000000);
	/* one too many */
	http_ask(&http, "GET", "/api/events", "", NULL);
	assert_int_equal(http.status, 503);
	for (size_t i = 0; i < 16; i++)
		close(fds[i]);
	/* there is room again once they are seen to be gone */
	fds[16] = follow();
	*text = '\0';
	read_until(fds[16], text, sizeof(text), "HTTP/1.1 ");
	close(fds[16]);
	export_stop(&export);
	run_stop(&run);
}

/* A keeper that is stopped, and takes nobody any more, keeps no answer back. */
static void test_stopped_keeper(void **state)
{
	(void)state;
	run_start_shared(&run, WORKERS);
	export_start(&export, NULL);
	assert_int_equal(kill(run.pid, SIGSTOP), 0);
	for (size_t i = 0; i < 40; i++) {
		_cleanup_http_ struct http http;

		http_get(&http, "/api/services/web");
		assert_non_null(strstr(http.body, "\"alive\": true"));
		usleep(260000); /* until what was said is not fresh any more */
	}
	assert_int_equal(kill(run.pid, SIGCONT), 0);
	export_stop(&export);
	run_stop(&run);
}

/* --- rights --- */

static void expect_line(pid_t pid, const char *line)
{
	char path[64], *text;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	text = file_read(path);
	if (!strstr(text, line))
		fail_msg("no %s in %s", line, text);
	free(text);
}

static void test_rights(void **state)
{
	static const char request[] = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n"
				      "Connection: close\r\n\r\n";
	_cleanup_http_ struct http http;
	struct stat file;
	int status;

	(void)state;
	run_start_shared(&run, WORKERS);
	export_start(&export, "--listen", "unix:" EXPORT_SOCKET, "--group", "12345", NULL);
	expect_line(export.web, "\nUid:\t65534\t65534\t65534\t65534\n");
	expect_line(export.web, "\nGroups:\t \n");
	expect_line(export.web, "\nCapEff:\t0000000000000000\n");
	expect_line(export.web, "\nCapPrm:\t0000000000000000\n");
	expect_line(export.web, "\nNoNewPrivs:\t1\n");
	assert_int_equal(stat(EXPORT_SOCKET, &file), 0);
	assert_int_equal(file.st_mode & 07777, 0660);
	assert_int_equal(file.st_gid, 12345);
	http_send(&http, http_connect_unix(), request, sizeof(request) - 1);
	assert_int_equal(http.status, 200);
	assert_non_null(strstr(http.body, "service=\"web\""));
	assert_true(http_connect() < 0);
	export_stop(&export);
	assert_int_not_equal(stat(EXPORT_SOCKET, &file), 0);

	export_start(&export, "--listen", "unix:" EXPORT_SOCKET, NULL);
	assert_int_equal(kill(export.web, SIGKILL), 0);
	assert_int_equal(waitpid(export.pid, &status, 0), export.pid);
	assert_int_equal(WEXITSTATUS(status), 1);
	run_stop(&run);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_each_page),	  runs_test(test_what_is_refused),
		runs_test(test_idle_connections), runs_test(test_events),
		runs_test(test_stopped_keeper),	  runs_test(test_rights),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
