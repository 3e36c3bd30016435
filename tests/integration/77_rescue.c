// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What waits at a worker that hangs is moved to the others: by a keeper, by hand, whatever the
 * worker does meanwhile, and whenever lbctl is killed.
 */
#include "integration/harness/runs.c"

#include <arpa/inet.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>

#include "rescue.h"

#define WORKERS 4
#define MOVED_MS                                                                                   \
	5000 /* until what waits must be answered, on a machine that has other things to do */

static struct run run;
static struct demo demos[WORKERS];
static struct clients clients;
static struct show show;
static pid_t pids[WORKERS];

static json_int_t rescues(void)
{
	json_t *json = lbctl_json("show", "web", "--json", NULL);
	json_int_t n =
		json_integer_value(json_object_get(json_object_get(json, "totals"), "rescued"));

	json_decref(json);
	return n;
}

static void set_quick(void)
{
	lbctl_ok("set", "web", "stall_ms=100", "rescue_ms=100", NULL);
}

static void start_run(void)
{
	run_start(&run, "web", "-n", "4", "--", run_demo(), "--no-reuseport", "--listen", ":8080",
		  NULL);
	run_pids(&run, pids, WORKERS);
	set_quick();
}

/* All of them are answered although one worker hangs, none by that one. */
static void expect_moved(unsigned int connections, int hung)
{
	clients_run(&clients, (struct client_plan){ .connections = connections,
						    .at_once = connections,
						    .deadline_ms = MOVED_MS });
	print_message("%u connections, one worker hangs: all answered within %llu ms\n",
		      connections, (unsigned long long)clients.longest_ns / 1000000);
	assert_int_equal(clients_of(&clients, hung), 0);
}

static bool takes_part(int worker)
{
	clients_run(&clients, (struct client_plan){ .connections = 20 });
	return clients_of(&clients, worker) > 0;
}

/*
 * 1. worker 1 is stopped, 40 connections come: all are answered, its 10 by others; books follow
 * 2. show and events say so; the operator's stop is an operator's stop still
 * 3. more come while it is stopped: all are answered
 * 4. it goes on and takes part again, exactly
 */
static void test_stopped_worker(void **state)
{
	static const unsigned int quarter[] = { 10, 10, 10, 10 };
	struct books before;

	(void)state;
	needs(migrate);
	start_run();
	books_read("web", &before);
	kill(pids[1], SIGSTOP);
	expect_moved(40, 1);
	run_expect_lines(&run, ": 10 waiting connections moved to others", 1);
	run_expect_lines(&run, "does not accept", 1);
	assert_int_equal(rescues(), 1);
	show_read("web", &show);
	assert_string_equal(show.worker[1].state, "stalled");
	assert_int_equal(show.worker[1].selected, 10);
	assert_int_equal(show.worker[1].migrated_out, 10);
	assert_int_equal(show.worker[1].live, 0);
	assert_int_equal(show.migrated, 10);
	assert_int_equal(show.fallback, 0);
	wait_until(process_state(pids[1]) == 'T', RUN_MS);

	for (int i = 0; i < 3; i++)
		expect_moved(400, 1);
	/* it may be held at the moment, for a connection that came as a probe */
	wait_until(process_state(pids[1]) == 'T', RUN_MS);
	kill(pids[1], SIGCONT);
	wait_until(takes_part(1), RUN_MS);
	run_expect_lines(&run, "accepts again", 1);
	clients_run(&clients, (struct client_plan){ .connections = 40 });
	clients_expect(&clients, WORKERS, quarter);
	show_read("web", &show);
	assert_string_equal(show.worker[1].state, "up");
	run_stop(&run);
}

/* Stopped and continued under load, six times: not one request fails. */
static void test_under_load(void **state)
{
	struct job traffic;
	struct wrk wrk;

	(void)state;
	needs(migrate);
	start_run();
	wrk_start(&traffic, "http://127.0.0.1:8080/", "16", 60);
	for (int i = 0; i < 6; i++) {
		kill(pids[i % WORKERS], SIGSTOP);
		wait_until(rescues() > i, RUN_MS);
		kill(pids[i % WORKERS], SIGCONT);
	}
	wrk_stop(&traffic);
	wrk_wait(&traffic, &wrk);
	wrk_expect_no_failure(&wrk);
	show_read("web", &show);
	print_message("%lu requests, %llu moved\n", wrk.requests,
		      (unsigned long long)show.migrated);
	assert_int_equal(show.fallback, 0);
	run_stop(&run);
}

/* The keeper is killed while a worker hangs; the next one moves what waits. */
static void test_next_keeper(void **state)
{
	(void)state;
	needs(migrate);
	start_run();
	lbctl_ok("set", "web", "rescue_ms=0", NULL);
	kill(pids[2], SIGSTOP);
	clients_begin(&clients, (struct client_plan){ .connections = 40, .at_once = 40 });
	clients_collect(&clients, 10);
	run_kill(&run);
	lbctl_ok("set", "web", "rescue_ms=100", NULL);
	run_start_again(&run);
	clients_finish(&clients);
	assert_int_equal(clients.answered, 40);
	assert_int_equal(clients_of(&clients, 2), 0);
	kill(pids[2], SIGCONT);
	wait_until(takes_part(2), RUN_MS);
	run_stop(&run);
}

static const char node_server[] =
	"require('http').createServer((request, answer) => {\n"
	"  const end = Date.now() + (request.url == '/loop' ? 4000 : 0);\n"
	"  if (request.url == '/loop') console.log('looping');\n"
	"  while (Date.now() < end);\n"
	"  answer.setHeader('X-Worker', process.pid);\n"
	"  answer.end('hello');\n"
	"}).listen(8080);\n";

static int ask(const char *text)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(8080) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	return fd;
}

/* A Node.js worker in an endless loop: others answer for it, and its own client in the end. */
static void test_endless_loop(void **state)
{
	static const char request[] = "GET /loop HTTP/1.0\r\n\r\n";
	char answer[1024] = "", *header;
	unsigned int looping = 0;
	ssize_t n, len = 0;
	int fd;

	(void)state;
	needs(migrate);
	if (system("node --version >" HARNESS_DIR "/node 2>&1")) {
		print_message("no node here; the demo worker stands for it\n");
		return;
	}
	file_write(HARNESS_DIR "/app.js", node_server);
	run_start(&run, "web", "-n", "4", "--", "node", HARNESS_DIR "/app.js", NULL);
	run_pids(&run, pids, WORKERS);
	set_quick();
	fd = ask(request);
	run_expect_lines(&run, "looping", 1);
	clients_run(&clients, (struct client_plan){
				      .connections = 40, .at_once = 40, .deadline_ms = MOVED_MS });
	print_message("a loop of 4 s: answered within %llu ms\n",
		      (unsigned long long)clients.longest_ns / 1000000);
	while (len < (ssize_t)sizeof(answer) - 1 &&
	       (n = read(fd, answer + len, sizeof(answer) - 1 - len)) > 0)
		len += n;
	close(fd);
	header = strstr(answer, "X-Worker: ");
	assert_non_null(header);
	for (int i = 0; i < WORKERS; i++)
		looping += atoi(header + strlen("X-Worker: ")) == pids[i];
	assert_int_equal(looping, 1);
	assert_int_equal(clients_of(&clients, atoi(header + strlen("X-Worker: "))), 0);
	wait_until(takes_part(atoi(header + strlen("X-Worker: "))), RUN_MS);
	assert_int_equal(run_lines(&run, "Error"), 0);
	assert_int_equal(run_lines(&run, "started, pid"), WORKERS);
	run_stop(&run);
}

/*
 * nginx, whose master has all sockets, with clients that connect and say nothing: `deferred` keeps
 * their handshakes under way for a minute.
 */
static void test_nginx_and_silent_clients(void **state)
{
	static struct run watch;
	struct nginx nginx;
	int silent[8];

	(void)state;
	needs(migrate);
	nginx_start(&nginx, "listen 8080 reuseport deferred;", "127.0.0.1", 8080);
	lbctl_ok("attach", "--name", "web", "--rescue", ":8080", NULL);
	set_quick();
	run_start_verb(&watch, "web", "watch", "web", NULL);
	show_read("web", &show);
	kill(show.worker[1].pid, SIGSTOP);
	for (size_t i = 0; i < ARRAY_SIZE(silent); i++)
		silent[i] = ask("");
	show_read("web", &show);
	assert_int_equal(show.worker[1].half_open, 2);
	expect_moved(40, show.worker[1].pid);
	show_read("web", &show);
	/* silent ones that nginx has been patient with for long enough may be among them */
	assert_in_range(show.worker[1].migrated_out, 10, 12);
	kill(show.worker[1].pid, SIGCONT);
	wait_until(takes_part(show.worker[1].pid), RUN_MS);
	for (size_t i = 0; i < ARRAY_SIZE(silent); i++)
		close(silent[i]);
	lbctl_ok("stop", "web", NULL);
	assert_int_equal(run_wait(&watch), 0);
	lbctl_ok("detach", "web", NULL);
	nginx_stop(&nginx);
}

/* --- by hand --- */

/* The slots are not held after a rescue, so that the next one may follow at once. */
static void hold_nobody(void)
{
	struct lb_stall *stalls = map_mmap("web", "listener0/lb_stalls", 16 * sizeof(*stalls));

	for (int i = 0; i < 16; i++)
		stalls[i].accepted_ns = UINT64_MAX;
	munmap(stalls, 16 * sizeof(*stalls));
}

/* Workers 0 .. 2 as they should be; worker 3 runs and accepts nothing until SIGUSR1. */
static void start_by_hand(void)
{
	demo_start_many(demos, WORKERS - 1, ":8080");
	demo_start(&demos[3], 3, "--listen", ":8080", "--no-accept", NULL);
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	lbctl_ok("set", "web", "stall_ms=0", NULL);
}

/*
 * 1. 10 of 40 wait at a worker that runs: moved by hand, to the last
 * 2. nothing waits: nothing happens
 * 3. held until it accepts: a connection a second, and more once it has accepted one
 */
static void test_by_hand(void **state)
{
	(void)state;
	needs(migrate);
	start_by_hand();
	clients_begin(&clients, (struct client_plan){ .connections = 40, .at_once = 40 });
	clients_collect(&clients, 10);
	lbctl_expect(0, "web: 10 waiting connections of worker 3 moved to others", "rescue", "3",
		     NULL);
	clients_finish(&clients);
	assert_int_equal(clients.answered, 40);
	assert_int_equal(clients_of(&clients, 3), 0);
	lbctl_expect(0, "web: 0 waiting connections", "rescue", "web", "3", NULL);
	lbctl_expect(3, "no worker 9", "rescue", "web", "9", NULL);
	lbctl_expect(2, "not a worker", "rescue", "web", "all", NULL);
	show_read("web", &show);
	assert_string_equal(show.worker[3].state, "stalled");
	kill(demos[3].pid, SIGUSR1);
	wait_until(takes_part(3), RUN_MS);
	wait_until((show_read("web", &show), !strcmp(show.worker[3].state, "up")), RUN_MS);
	assert_int_equal(takes_part(3), 1);
}

/* All others hang as well: there is nobody to move to, and nothing is touched. */
static void test_nobody_else(void **state)
{
	(void)state;
	needs(migrate);
	start_by_hand();
	clients_begin(&clients, (struct client_plan){ .connections = 40, .at_once = 40 });
	clients_collect(&clients, 10);
	for (int i = 0; i < WORKERS - 1; i++)
		lbctl_ok("drain", "web", (const char *[]){ "0", "1", "2" }[i], NULL);
	lbctl_expect(1, "no other worker accepts", "rescue", "3", NULL);
	kill(demos[3].pid, SIGUSR1);
	clients_finish(&clients);
	assert_int_equal(clients.answered, 40);
	assert_int_equal(clients_of(&clients, 3), 10);
}

/*
 * One process with two sockets: it is not held still, so nothing is moved while it runs; once
 * somebody has stopped it, it is.
 */
static void test_one_process_several_slots(void **state)
{
	(void)state;
	needs(migrate);
	demo_start(&demos[0], 0, "--listen", ":8080", "--listen", ":8080", "--no-accept", NULL);
	demo_start(&demos[1], 1, "--listen", ":8080", NULL);
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	lbctl_ok("set", "web", "stall_ms=0", NULL);
	show_read("web", &show);
	assert_int_equal(show.nr_workers, 3);
	clients_begin(&clients, (struct client_plan){ .connections = 30, .at_once = 30 });
	clients_collect(&clients, 20);
	lbctl_expect(1, "serves several workers", "rescue", "web", "0", NULL);
	kill(demos[0].pid, SIGSTOP);
	wait_until(process_state(demos[0].pid) == 'T', RUN_MS);
	for (int i = 0; i < 2; i++) {
		int worker = 0;

		while (show.worker[worker].pid != demos[0].pid)
			worker++;
		show.worker[worker].pid = 0;
		lbctl_expect(0, " waiting connections of worker", "rescue", "web",
			     (const char *[]){ "0", "1", "2" }[worker], NULL);
	}
	clients_finish(&clients);
	assert_int_equal(clients.answered, 30);
	assert_int_equal(clients_of(&clients, 1), 30);
	wait_until(process_state(demos[0].pid) == 'T', RUN_MS);
}

/* Ends the process when its listener is ever seen not to listen. */
static void *stare(void *arg)
{
	int fd = *(int *)arg, listens = 1;
	socklen_t len = sizeof(listens);

	while (listens)
		getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len);
	_exit(1);
}

/* A worker with two threads that do nothing but look at their listener. */
static pid_t start_staring(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(8080) };
	const int on = 1;
	pthread_t other;
	pid_t pid = fork();
	int fd;

	assert_true(pid >= 0);
	if (pid)
		return pid;
	fd = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) || listen(fd, 100) ||
	    pthread_create(&other, NULL, stare, &fd))
		_exit(2);
	stare(&fd);
	_exit(3);
}

static bool has_workers(size_t n)
{
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	show_read("web", &show);
	return show.nr_workers == n;
}

/* All threads of a worker are held still: none ever sees the listener shut down. */
static void test_worker_sees_nothing(void **state)
{
	unsigned int moved = 0;
	pid_t staring;
	int status, slot = 3;

	(void)state;
	demo_start_many(demos, WORKERS - 1, ":8080");
	assert_true(has_workers(WORKERS - 1));
	staring = start_staring();
	wait_until(has_workers(WORKERS), RUN_MS);
	lbctl_ok("set", "web", "stall_ms=0", NULL);
	hold_nobody();
	for (int i = 0; i < 20; i++) {
		clients_begin(&clients, (struct client_plan){ .connections = 4, .at_once = 4 });
		clients_collect(&clients, 1);
		assert_int_equal(waitpid(rescue_start("web", slot, 0, NULL), &status, 0) > 0, 1);
		moved += rescue_end("web", status) == RESCUE_DONE;
		clients_finish(&clients);
		assert_int_equal(clients.answered, 4);
	}
	assert_int_equal(moved, 20);
	assert_int_equal(waitpid(staring, &status, WNOHANG), 0);
}

/* --- lbctl killed in each step --- */

static const struct {
	const char *name;
	long number;
} steps[] = {
	{ "ptrace", SYS_ptrace },
	{ "pidfd_getfd", SYS_pidfd_getfd },
	{ "shutdown", SYS_shutdown },
	{ "listen", SYS_listen },
};

static bool is_step(long number)
{
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		if (steps[i].number == number)
			return true;
	}
	return false;
}

static pid_t start_traced(void)
{
	const char *lbctl = harness_build_path("lbctl");
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (!pid) {
		freopen("/dev/null", "w", stdout);
		freopen("/dev/null", "w", stderr);
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		execl(lbctl, "lbctl", "rescue", "web", "3", NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	ptrace(PTRACE_SETOPTIONS, pid, NULL,
	       PTRACE_O_TRACEFORK | PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
	ptrace(PTRACE_CONT, pid, NULL, NULL);
	return pid;
}

static bool all_ended(pid_t first, pid_t second)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG | __WALL)) > 0) {
		if (WIFSTOPPED(status))
			ptrace(PTRACE_CONT, pid, NULL, WSTOPSIG(status));
	}
	return !process_lives(first) && (second <= 0 || !process_lives(second));
}

/*
 * Runs `rescue` and kills it when its working process enters or leaves a system call of a step for
 * the nth time; with_parent: the command as well, so that nobody is left to mend it. Returns false
 * if it came to its end before.
 */
static bool kill_at(unsigned int nth, bool with_parent)
{
	pid_t command = start_traced(), worker = 0, pid;
	struct user_regs_struct regs;
	unsigned int seen = 0;
	int status;

	while ((pid = waitpid(-1, &status, __WALL)) > 0) {
		if (pid == command && !WIFSTOPPED(status))
			break;
		if (!WIFSTOPPED(status))
			continue;
		if (status >> 8 == (SIGTRAP | PTRACE_EVENT_FORK << 8))
			ptrace(PTRACE_GETEVENTMSG, pid, NULL, &worker);
		if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
			ptrace(PTRACE_GETREGS, pid, NULL, &regs);
			if (is_step(regs.orig_rax) && seen++ == nth) {
				if (with_parent)
					kill(command, SIGKILL);
				kill(pid, SIGKILL);
				wait_until(all_ended(command, worker), RUN_MS);
				return true;
			}
		}
		ptrace(pid == command ? PTRACE_CONT : PTRACE_SYSCALL, pid, NULL,
		       WSTOPSIG(status) == SIGSTOP || status >> 16 || (WSTOPSIG(status) & 0x80) ?
			       0 :
			       WSTOPSIG(status));
	}
	return false;
}

/*
 * 1. a connection waits at worker 3; `rescue` is killed, alone or with the process that works
 * 2. the next command finds a service of four; worker 3 runs, and answers once it accepts
 * 3. nothing was lost, and round-robin is exact
 */
static void test_killed_in_each_step(void **state)
{
	static const unsigned int each[] = { 5, 5, 5, 5 };
	unsigned int kills = 0;

	(void)state;
	needs(migrate);
	start_by_hand();
	for (bool more = true; more; kills++) {
		clients_begin(&clients, (struct client_plan){ .connections = 4, .at_once = 4 });
		clients_collect(&clients, 1);
		more = kill_at(kills / 2, kills % 2);
		lbctl_ok("set", "web", "stale_ms=1000", NULL);
		kill(demos[3].pid, SIGUSR1);
		clients_finish(&clients);
		if (clients.answered != 4)
			fail_msg("kill %u: %u of 4 answered", kills, clients.answered);
		wait_until(takes_part(3), RUN_MS);
		wait_until((show_read("web", &show), !strcmp(show.worker[3].state, "up")), RUN_MS);
		clients_run(&clients, (struct client_plan){ .connections = 20 });
		clients_expect(&clients, WORKERS, each);
		show_read("web", &show);
		assert_int_equal(show.nr_workers, WORKERS);
		assert_int_equal(show.unregistered, 0);
		kill(demos[3].pid, SIGUSR1);
	}
	print_message("killed at %u points\n", kills - 1);
	assert_true(kills > 20);
}

/* --- at random moments --- */

/*
 * Healthy workers under load, rescued at random moments, LB_TEST_RESCUES times: no request fails,
 * what went out of a slot came into others, and nothing is open in the books in the end.
 */
static void test_random_moments(void **state)
{
	const char *wanted = getenv("LB_TEST_RESCUES");
	unsigned int want = wanted ? atoi(wanted) : 150, done = 0, tried = 0, others = 0;
	uint64_t end_ns = now_ns() + (wanted ? 3600 : 25) * 1000000000ULL;
	uint64_t out = 0, in = 0;
	struct sampler *sampler;
	struct state service;
	struct job traffic;
	struct wrk wrk;

	(void)state;
	needs(migrate);
	srand(20240229);
	run_start(&run, "web", "-n", "4", "--", run_demo(), "--no-reuseport", "--listen", ":8080",
		  "--work-us", "500", NULL);
	run_pids(&run, pids, WORKERS);
	lbctl_ok("set", "web", "stall_ms=0", NULL);
	hold_nobody();
	wrk_start(&traffic, "http://127.0.0.1:8080/", "64", wanted ? 3600 : 30);
	assert_int_equal(state_open(&service, "web", STATE_READ), 0);
	assert_int_equal(sampler_open(&service, &sampler), 0);
	while (done < want && now_ns() < end_ns) {
		pid_t pid = rescue_start("web", rand() % WORKERS, run.pid, sampler);
		int status;

		assert_true(pid > 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		tried++;
		switch (rescue_end("web", status)) {
		case RESCUE_DONE:
			done++;
			break;
		case RESCUE_NOTHING_WAITS:
			break;
		default:
			others++;
		}
	}
	sampler_close(sampler);
	state_close(&service);
	wrk_stop(&traffic);
	wrk_wait(&traffic, &wrk);
	wrk_expect_no_failure(&wrk);
	for (int i = 0; i < WORKERS; i++)
		wait_until((show_read("web", &show), !show.worker[i].live), RUN_MS);
	for (int i = 0; i < WORKERS; i++) {
		in += show.worker[i].migrated_in;
		out += show.worker[i].migrated_out;
	}
	print_message("%u rescues, %u tried, %u not done; %lu requests, %llu moved\n", done, tried,
		      others, wrk.requests, (unsigned long long)in);
	assert_int_equal(in, out);
	assert_true(done > 0);
	assert_int_equal(show.fallback, 0);
	assert_int_equal(run_lines(&run, "exited"), 0);
	run_stop(&run);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_stopped_worker),
		runs_test(test_under_load),
		runs_test(test_next_keeper),
		runs_test(test_endless_loop),
		runs_test(test_nginx_and_silent_clients),
		runs_test(test_by_hand),
		runs_test(test_nobody_else),
		runs_test(test_one_process_several_slots),
		runs_test(test_worker_sees_nothing),
		runs_test(test_killed_in_each_step),
		runs_test(test_random_moments),
	};

	(void)argc;
	stalls_count = true;
	return runs_run(argv[0], tests);
}
