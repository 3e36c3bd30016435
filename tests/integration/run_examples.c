// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * lbctl run and programs that nobody wrote for it: the examples in Node.js as they are, a static
 * binary, nginx in the foreground; connections that are kept alive; workers that talk all the time.
 * Node.js is no dependency of the tests: where it is, it is tested.
 */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/events.h"
#include "harness/load.h"
#include "harness/processes.h"
#include "harness/runs.h"
#include "harness/servers.h"
#include "harness/show.h"
#include "harness/world.h"

#include <limits.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define WORKERS 4
#define URL "http://127.0.0.1:8080/"

static struct run run;
static struct show show;
static struct clients clients;

static const char *example(const char *name)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", harness_build_path("../tools/examples"), name);
	return path;
}

/* --- the examples --- */

/* Loaded before a program: at its end it writes down how many connections its servers had. */
static const char count_js[] = "const net = require('net'), fs = require('fs');\n"
			       "const listen = net.Server.prototype.listen;\n"
			       "let count = 0;\n"
			       "net.Server.prototype.listen = function (...args) {\n"
			       "  this.on('connection', () => count++);\n"
			       "  return listen.apply(this, args);\n"
			       "};\n"
			       "process.on('exit', () => fs.writeFileSync('" HARNESS_DIR
			       "/count-' + process.env.LBCTL_WORKER, String(count)));\n";

static void count_in_node(void)
{
	setenv("NODE_OPTIONS", "--require " HARNESS_DIR "/count.js", 1);
}

static void start_counted(const char *name)
{
	file_write(HARNESS_DIR "/count.js", count_js);
	run_prepare = count_in_node;
	run_start(&run, "web", "-n", "4", "--policy", "rr", "--", "node", example(name), NULL);
	run_expect_events(&run, WORKERS, "online", NULL);
	/* exact on a busy machine, too, where one that does not accept for 100 ms is passed over */
	lbctl_ok("set", "web", "stall_ms=0", NULL);
}

/* By what lbctl says and by what the workers say themselves. */
static void expect_counts(unsigned int each)
{
	char path[64], *count;

	show_read("web", &show);
	assert_int_equal(show.decisions, WORKERS * each);
	for (int i = 0; i < WORKERS; i++)
		assert_int_equal(show.worker[i].selected, each);
	run_stop(&run);
	for (int i = 0; i < WORKERS; i++) {
		snprintf(path, sizeof(path), HARNESS_DIR "/count-%d", i);
		count = file_read(path);
		assert_int_equal(atoi(count), each);
		free(count);
	}
}

static void test_http_example_under_siege(void **state)
{
	struct siege siege;

	(void)state;
	needs_node();
	start_counted("http.js");
	siege_run(&siege, "http://127.0.0.1:3000/", "100", "2");
	assert_int_equal(siege.transactions, 200);
	expect_counts(50);
}

static void expect_hello(uint16_t port)
{
	const struct sockaddr_in at = { .sin_family = AF_INET,
					.sin_port = htons(port),
					.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char text[16] = "";

	assert_int_equal(connect(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(recv(fd, text, sizeof(text) - 1, MSG_WAITALL), 6);
	assert_string_equal(text, "hello\n");
	close(fd);
}

static void test_tcp_example(void **state)
{
	(void)state;
	needs_node();
	start_counted("app.js");
	for (int i = 0; i < 200; i++)
		expect_hello(8124);
	expect_counts(50);
}

/* The lines that the master prints about its worker, or NULL. Without lbctl when run is NULL. */
static char *lines_of_master(const char *text)
{
	char *at = strstr(text, "worker says: ready\n"), *end, *pid;

	end = at ? strstr(at, "}\n") : NULL;
	pid = end ? strstr(at, ", pid: ") : NULL;
	if (!pid || pid > end)
		return NULL;
	return strndup(at, pid - at);
}

/* 1. master and worker by child_process.fork alone  2. the same under lbctl run: the same lines */
static void test_message_example(void **state)
{
	const char *argv[] = { "node", example("master.js"), NULL };
	char *alone, *below, *log;
	struct output output;

	(void)state;
	needs_node();
	command_run(&output, argv, COMMAND_MS);
	alone = lines_of_master(output.out);
	if (!alone)
		fail_msg("the example said: %s%s", output.out, output.err);
	output_free(&output);
	run_start(&run, "web", "-n", "1", "--max-restarts", "0", "--", "node", example("master.js"),
		  NULL);
	assert_int_equal(run_wait(&run), 1);
	log = file_read(run.log);
	below = lines_of_master(log);
	if (!below)
		fail_msg("under lbctl it said: %s", log);
	assert_string_equal(alone, "worker says: ready\nworker says: { answer: 'hello you'");
	assert_string_equal(alone, below);
	free(alone);
	free(below);
	free(log);
	run_expect_nothing_left();
}

/* The worker of that example, with lbctl for a master. */
static void test_worker_of_the_message_example(void **state)
{
	(void)state;
	needs_node();
	run_start(&run, "web", "-n", "2", "--wait-ready", "--", "node", example("worker.js"), NULL);
	run_expect_events(&run, 2, "online", NULL);
	run_expect_events(&run, 1, "message", "{s:i, s:s}", "worker", 0, "message", "ready");
	lbctl_ok("send", "web", "0", "{\"greet\": \"you\"}", NULL);
	run_expect_events(&run, 1, "message", "{s:i, s:{s:s}}", "worker", 0, "message", "answer",
			  "hello you");
	run_expect_events(&run, 0, "message", "{s:i, s:{}}", "worker", 1, "message");
	lbctl_ok("send", "web", "all", "{\"greet\": \"both\"}", NULL);
	run_expect_events(&run, 2, "message", "{s:{s:s}}", "message", "answer", "hello both");
	run_stop(&run);
}

/* --- Node.js under load --- */

#define APP HARNESS_DIR "/app.js"
static const char graceful_js[] =
	"const server = require('http').createServer((request, answer) => answer.end('hello'));\n"
	"server.listen(8080);\n"
	"process.on('SIGTERM', () => server.close(() => process.exit(0)));\n";

/*
 * 1. wrk runs; a new version has a syntax error: reload exits with 1
 * 2. the old workers serve, no request failed; repaired, a worker can be restarted
 */
static void test_reload_with_a_syntax_error(void **state)
{
	pid_t pids[WORKERS];
	struct wrk wrk;
	struct job job;

	(void)state;
	needs_node();
	file_write(APP, graceful_js);
	run_start(&run, "web", "-n", "4", "--", "node", APP, NULL);
	run_pids(&run, pids, WORKERS);
	wrk_start(&job, URL, "16", 100);
	file_write(APP, "const server = {;\n");
	lbctl_expect(1, "exited with status 1", "reload", "web", NULL);
	run_expect_same(&run, pids, WORKERS);
	file_write(APP, graceful_js);
	lbctl_ok("restart", "web", "2", NULL);
	assert_false(process_lives(pids[2]));
	wrk_stop(&job);
	wrk_wait(&job, &wrk);
	wrk_expect_no_failure(&wrk);
	run_stop(&run);
}

/* 100 lines and 10 messages a second, of 4 KB: nobody reads them for a while. */
static const char talking_js[] =
	"const server = require('http').createServer((request, answer) => answer.end('hello'));\n"
	"server.listen(8080);\n"
	"setInterval(() => console.log('a line'), 10);\n"
	"setInterval(() => process.send('m'.repeat(4096)), 100);\n"
	"process.on('SIGTERM', () => server.close(() => process.exit(0)));\n";
/*
 * The same in Python, if told to talk. It asks clients to close their connections when it is to
 * end, and waits until they did; what is in its queue goes when it closes its socket.
 */
#define GRACEFUL_PY HARNESS_DIR "/graceful.py"
static const char graceful_py[] =
	"import http.server, os, signal, sys, threading, time\n"
	"ending = False\n"
	"class Handler(http.server.BaseHTTPRequestHandler):\n"
	"    protocol_version = 'HTTP/1.1'\n"
	"    def do_GET(self):\n"
	"        self.send_response(200)\n"
	"        self.send_header('Content-Length', '0')\n"
	"        if ending:\n"
	"            self.send_header('Connection', 'close')\n"
	"        self.end_headers()\n"
	"    def log_message(self, *args):\n"
	"        pass\n"
	"class Server(http.server.ThreadingHTTPServer):\n"
	"    daemon_threads = False\n"
	"    request_queue_size = 500\n"
	"def end(*args):\n"
	"    global ending\n"
	"    ending = True\n"
	"    threading.Thread(target=server.shutdown).start()\n"
	"def talk():\n"
	"    for i in range(100000):\n"
	"        print('a line', flush=True)\n"
	"        if i % 10 == 0:\n"
	"            os.write(int(os.environ['LBCTL_CHANNEL_FD']), b'\"%s\"\\n' % (b'm' * 4096))\n"
	"        time.sleep(.01)\n"
	"server = Server(('', 8080), Handler)\n"
	"signal.signal(signal.SIGTERM, end)\n"
	"if 'talk' in sys.argv:\n"
	"    threading.Thread(target=talk, daemon=True).start()\n"
	"server.serve_forever()\n"
	"server.server_close()\n";

/*
 * 1. wrk runs; the controller is killed, and for a while nobody reads what workers say
 * 2. no request failed, no worker died; the next one finds all, reads them again, and scales
 */
static void kill_controller_of(const char *interpreter, const char *path)
{
	pid_t pids[WORKERS], more[6];
	unsigned int lines, messages;
	struct wrk wrk;
	struct job job;

	run_start(&run, "web", "-n", "4", "--", interpreter, path, "talk", NULL);
	run_pids(&run, pids, WORKERS);
	wait_until(run_lines(&run, "mmm") > WORKERS, RUN_MS);
	wrk_start(&job, URL, "8", 100);
	run_kill(&run);
	lines = run_lines(&run, "a line");
	wait_until(run_lines(&run, "a line") > lines + WORKERS * 100, RUN_MS);
	run_expect_same(&run, pids, WORKERS);
	messages = run_lines(&run, "mmm");
	run_start_again(&run);
	run_expect_keeper(&run);
	wait_until(run_lines(&run, "mmm") > messages + WORKERS, RUN_MS);
	lbctl_ok("scale", "web", "6", NULL);
	run_pids(&run, more, 6);
	assert_memory_equal(more, pids, sizeof(pids));
	lbctl_ok("scale", "web", "4", NULL);
	run_expect_same(&run, pids, WORKERS);
	wrk_stop(&job);
	wrk_wait(&job, &wrk);
	print_message("%lu requests\n", wrk.requests);
	wrk_expect_no_failure(&wrk);
	run_stop(&run);
}

static void test_talking_workers_of_a_killed_controller(void **state)
{
	(void)state;
	file_write(HARNESS_DIR "/talking.js", talking_js);
	file_write(GRACEFUL_PY, graceful_py);
	if (has_node())
		kill_controller_of("node", HARNESS_DIR "/talking.js");
	else
		kill_controller_of("python3", GRACEFUL_PY);
}

/* --- kept alive --- */

/* 16 connections that stay as long as the server lets them. */
static void wrk_start_kept(struct job *job)
{
	const char *argv[] = { "wrk",  "-t",	    "1",   "-c", "16", "-d",
			       "100s", "--timeout", "10s", URL,	 NULL };

	job_start(job, argv, 120 * 1000);
	load_steps_back(job);
}

static void test_kept_connections(void **state)
{
	static const char *const policies[] = { "random", "least-conn", "rr" };
	struct wrk wrk;
	struct job job;

	(void)state;
	file_write(GRACEFUL_PY, graceful_py);
	run_start(&run, "web", "-n", "4", "--kill-timeout", "20000", "--", "python3", GRACEFUL_PY,
		  NULL);
	run_expect_up(&run, WORKERS);
	wrk_start_kept(&job);
	for (int i = 0; i < 3; i++)
		lbctl_ok("set-policy", "web", policies[i], NULL);
	for (int i = 0; i < 2; i++)
		lbctl_ok("reload", "web", NULL);
	lbctl_ok("scale", "web", "8", NULL);
	lbctl_ok("scale", "web", "2", NULL);
	lbctl_ok("scale", "web", "4", NULL);
	run_kill(&run);
	run_start_again(&run);
	run_expect_keeper(&run);
	wrk_stop(&job);
	wrk_wait(&job, &wrk);
	print_message("%lu requests\n", wrk.requests);
	wrk_expect_no_failure(&wrk);
	run_stop(&run);
}

/* --- other programs --- */

/* No library to preload into, no runtime to configure. */
static void test_static_binary(void **state)
{
	char program[PATH_MAX];
	pid_t pids[WORKERS];

	(void)state;
	needs(bind_setsockopt);
	snprintf(program, sizeof(program), "%s", harness_build_path("static-server"));
	run_start(&run, "web", "-n", "4", "--policy", "rr", "--", program, NULL);
	run_pids(&run, pids, WORKERS);
	clients_run(&clients, (struct client_plan){ .connections = 200, .at_once = 16 });
	for (int i = 0; i < WORKERS; i++)
		assert_int_equal(clients_of(&clients, pids[i]), 50);
	run_stop(&run);
}

static const char nginx_conf[] =
	"daemon off; user nobody nogroup; worker_processes 2;\n"
	"error_log " HARNESS_DIR "/error.log;\n"
	"pid " HARNESS_DIR "/nginx.pid;\n"
	"events {}\n"
	"http {\n"
	"  access_log off;\n"
	"  client_body_temp_path " HARNESS_DIR "/body;\n"
	"  proxy_temp_path " HARNESS_DIR "/proxy;\n"
	"  fastcgi_temp_path " HARNESS_DIR "/fastcgi;\n"
	"  uwsgi_temp_path " HARNESS_DIR "/uwsgi;\n"
	"  scgi_temp_path " HARNESS_DIR "/scgi;\n"
	"  server { listen 8080; add_header X-Worker $pid; return 200 hello; }\n"
	"}\n";

/* Every worker is a whole nginx, whose two processes share a socket. Its master is killed. */
static void test_nginx(void **state)
{
	pid_t masters[WORKERS], children[2];

	(void)state;
	file_write(HARNESS_DIR "/nginx.conf", nginx_conf);
	run_start(&run, "web", "-n", "4", "--policy", "rr", "--", "nginx", "-e",
		  HARNESS_DIR "/error.log", "-c", HARNESS_DIR "/nginx.conf", NULL);
	run_expect_events(&run, WORKERS, "online", NULL);
	clients_run(&clients, (struct client_plan){ .connections = 200, .at_once = 16 });
	run_expect_up(&run, WORKERS);
	show_read("web", &show);
	assert_int_equal(show.decisions, 200);
	for (int i = 0; i < WORKERS; i++)
		assert_int_equal(show.worker[i].selected, 50);
	assert_int_equal(processes_children(run.pid, masters, WORKERS), WORKERS);
	wait_until(processes_children(masters[2], children, 2) == 2, RUN_MS);
	assert_int_equal(kill(masters[2], SIGKILL), 0);
	wait_until(!process_lives(children[0]) && !process_lives(children[1]), RUN_MS);
	run_expect_events(&run, WORKERS + 1, "online", NULL);
	clients_run(&clients, (struct client_plan){ .connections = 40 });
	show_read("web", &show);
	for (int i = 0; i < WORKERS; i++)
		assert_int_equal(show.worker[i].selected, 60);
	run_stop(&run);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_http_example_under_siege),
		runs_test(test_tcp_example),
		runs_test(test_message_example),
		runs_test(test_worker_of_the_message_example),
		runs_test(test_reload_with_a_syntax_error),
		runs_test(test_talking_workers_of_a_killed_controller),
		runs_test(test_kept_connections),
		runs_test(test_static_binary),
		runs_test(test_nginx),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
