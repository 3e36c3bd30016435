// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What a process without privileges may and may not by {"join":{"fd":18}}: descriptors of others,
 * numbers that are something else, workers of a run, ten thousand requests a second.
 */
#include "harness/asks.h"
#include "harness/attacks.h"
#include "harness/events.h"
#include "harness/joins.h"
#include "harness/processes.h"
#include "harness/show.h"
#include "harness/world.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY 65534
#define A_SECOND_NS 1000000000ULL

static struct run run;
static struct show show;

/* --- what is no socket of its own --- */

static int far_socket;

static void wrong_numbers(void)
{
	int fd = by_packets();

	asked(fd, "{\"join\":{\"fd\":400}}", 2, "no descriptor 400");
	asked(fd, "{\"join\":{\"fd\":2147483647}}", 2, "no descriptor");
	asked(fd, "{\"join\":{\"fd\":2147483648}}", 2, "number of the listening socket");
	asked(fd, "{\"join\":{\"fd\":-1}}", 2, "number of the listening socket");
	asked(fd, "{\"join\":{\"fd\":18.0}}", 2, "number of the listening socket");
	asked(fd, "{\"join\":{\"fd\":\"18\"}}", 2, "number of the listening socket");
	asked(fd, "{\"join\":18}", 2, "number of the listening socket");
	asked(fd, "{\"join\":null}", 2, "number of the listening socket");
	asked(fd, "{\"join\":{\"fd\":18,\"worker\":1024}}", 2, "0 to 1023");
	expect(dup2(open("/dev/null", O_RDONLY), 20) == 20, "dup2");
	asked(fd, "{\"join\":{\"fd\":20}}", 2, "not a socket");
	expect(dup2(fd, 21) == 21, "dup2");
	asked(fd, "{\"join\":{\"fd\":21}}", 2, "another family");
	expect(dup2(socket(AF_INET, SOCK_DGRAM, 0), 22) == 22, "dup2");
	asked(fd, "{\"join\":{\"fd\":22}}", 2, "not a TCP socket");
	expect(dup2(far_socket, 23) == 23, "dup2");
	asked(fd, "{\"join\":{\"fd\":23}}", 2, "another network namespace");
}

static void test_wrong_numbers(void **state)
{
	pid_t attacker;

	(void)state;
	asks_watch(&run);
	far_socket = joins_listen_elsewhere();
	attacker = attack(wrong_numbers);
	show_read("web", &show);
	assert_int_equal(show.nr_workers, 1);
	end_attack(attacker);
	close(far_socket);
	asks_end_watch(&run);
}

static void on_alarm(int number)
{
	(void)number;
}

/*
 * Who closes it last waits for minutes, but for the end of a process: while the keeper looks at it,
 * its owner lets go of it.
 */
static void join_with_spoiled(void)
{
	const struct sigaction action = { .sa_handler = on_alarm };

	sigaction(SIGALRM, &action, NULL);
	for (int i = 0; i < 5; i++) {
		int fd = by_packets(), spoiled = spoiled_socket();
		char text[4096];

		expect(dup2(spoiled, NUMBER) == NUMBER, "dup2");
		say(fd, "{\"join\":{\"fd\":18}}");
		alarm(1);
		close(spoiled);
		close(NUMBER);
		alarm(0);
		expect(hear(fd, text) == 2, text);
		asked(fd, "{\"verb\":\"hello\"}", 0, "lbctl");
		close(fd);
	}
}

static void test_spoiled_socket(void **state)
{
	pid_t attacker;

	(void)state;
	asks_watch(&run);
	attacker = attack(join_with_spoiled);
	assert_int_equal(joins_ask("{\"verb\":\"hello\"}", NULL, 0), 0);
	end_attack(attacker);
	asks_end_watch(&run);
}

/* --- descriptors of others --- */

/*
 * A process that was given another's connection has no use of that one's descriptors; and once it
 * has tried, nobody has on this connection.
 */
static void ask_for_the_parents(void)
{
	int fd = by_packets(), status;
	pid_t child;

	be_listener(NUMBER);
	child = fork();
	if (!child) {
		close(NUMBER);
		asked(fd, "{\"join\":{\"fd\":18}}", 4, "another process");
		_exit(0);
	}
	expect(waitpid(child, &status, 0) == child && !status, "the child was refused");
	asked(fd, "{\"join\":{\"fd\":18}}", 4, "another process");
	join_as_18(by_packets());
}

static void test_another_process(void **state)
{
	pid_t attacker;

	(void)state;
	asks_watch(&run);
	attacker = attack(ask_for_the_parents);
	end_attack(attacker);
	asks_end_watch(&run);
}

static int talk; /* a socket that another process connects, and we hear the answer of */

static void connect_talk(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX, .sun_path = JOINS_SOCKET };

	expect(!connect(talk, (struct sockaddr *)&at, sizeof(at)), "connect");
	asked(talk, "{\"verb\":\"hello\"}", 0, "lbctl");
}

static void ask_and_end(int number)
{
	(void)number;
	say(talk, "{\"join\":{\"fd\":18}}");
	_exit(0);
}

static void ask_when_told(void)
{
	const struct sigaction action = { .sa_handler = ask_and_end };

	sigaction(SIGUSR1, &action, NULL);
	connect_talk();
}

/* The next process has this pid, if nobody else begins one meanwhile. */
static void next_pid(pid_t pid)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", pid - 1);
	file_write("/proc/sys/kernel/ns_last_pid", text);
}

/*
 * 1. a process connects; while the keeper is stopped it asks, and ends
 * 2. its pid is that of another one, which has a socket under that number: this is none of its
 */
static void test_reused_pid(void **state)
{
	pid_t asking, other;
	char text[4096];
	int status;

	(void)state;
	asks_watch(&run);
	talk = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	asking = attack(ask_when_told);
	kill(run.pid, SIGSTOP);
	wait_until(process_state(run.pid) == 'T', RUN_MS);
	kill(asking, SIGUSR1);
	assert_int_equal(waitpid(asking, &status, 0), asking);
	assert_int_equal(status, 0);
	/* two ticks of the clock by which the start of a process is known */
	usleep(20000);
	for (next_pid(asking); (other = attack(listen_only)) != asking; next_pid(asking))
		end_attack(other);
	kill(run.pid, SIGCONT);
	status = hear(talk, text);
	if (status != 1 || !strstr(text, "has ended"))
		fail_msg("%d: %s", status, text);
	show_read("web", &show);
	assert_int_equal(show.nr_workers, 1);
	end_attack(other);
	close(talk);
	asks_end_watch(&run);
}

/* It connected as nobody, and is another user now, or has what it opened as one. */
static void test_another_user(void **state)
{
	int status, fd;
	pid_t child;

	(void)state;
	asks_watch(&run);
	fd = joins_listen("0.0.0.0", 8081, NULL);
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		int asks;

		expect(dup2(fd, NUMBER) == NUMBER && !setegid(NOBODY) && !seteuid(NOBODY), "user");
		asks = by_packets();
		asked(asks, "{\"join\":{\"fd\":18}}", 4, "user and group");
		expect(!seteuid(0) && !setresgid(1, 1, 1) && !setresuid(1, 1, 1), "another user");
		asked(asks, "{\"join\":{\"fd\":18}}", 4, "user and group");
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	close(fd);
	asks_end_watch(&run);
}

/* Of a run, who is no worker's process joins by a number no more than with the socket itself. */
static void join_a_run(void)
{
	int fd = by_packets();

	be_listener(NUMBER);
	asked(fd, "{\"join\":{\"fd\":18,\"worker\":0}}", 4, "no worker of web has started");
	asked(fd, "{\"load\":0}", 3, "join first");
}

static void test_stranger_of_a_run(void **state)
{
	pid_t attacker;

	(void)state;
	run_start(&run, "web", "-n", "2", "--policy", "rr", "--user", "nobody", "--", run_demo(),
		  "-q", "--no-reuseport", "--listen", ":8080", NULL);
	run_expect_events(&run, 2, "online", NULL);
	attacker = attack(join_a_run);
	end_attack(attacker);
	run_stop(&run);
}

/* With --allow-join it joins for a worker that it names, whose process does not listen. */
static void join_for_a_worker(void)
{
	int fd = by_packets();

	be_listener(NUMBER);
	asked(fd, "{\"join\":{\"fd\":18}}", 2, "none of them");
	asked(fd, "{\"join\":{\"fd\":18,\"worker\":7}}", 3, "no worker 7");
	asked(fd, "{\"join\":{\"fd\":18,\"worker\":1}}", 0, "worker 1, listening");
}

static void test_allowed_in_a_run(void **state)
{
	pid_t worker;

	(void)state;
	run_start(&run, "web", "-n", "2", "--policy", "rr", "--user", "nobody", "--allow-join",
		  "--port", "8080", "--", "sleep", "1000", NULL);
	run_expect_events(&run, 2, "start", NULL);
	run_expect_keeper(&run);
	worker = attack(join_for_a_worker);
	run_expect_events(&run, 1, "online", "{s:i}", "worker", 1);
	end_attack(worker);
	run_stop(&run);
}

/* --- too much --- */

static void join_as_another(void)
{
	int fd = by_packets();

	be_listener(NUMBER);
	asked(fd, "{\"join\":{\"fd\":18}}", 0, "worker");
	say(fd, "{\"load\":44}");
	asked(fd, "{\"verb\":\"hello\"}", 0, "lbctl");
}

/* What two processes count, of which one attacks. */
static struct {
	uint64_t begun_ns;
	uint64_t asked, answered;
	bool enough;
} * flood;

static void hear_all(int fd)
{
	char text[4096];

	while (recv(fd, text, sizeof(text), MSG_DONTWAIT) > 0)
		__atomic_fetch_add(&flood->answered, 1, __ATOMIC_RELAXED);
}

/* On several connections, as fast as they take it, and on one that is ever a new one. */
static void ask_without_end(void)
{
	static const char join[] = "{\"join\":{\"fd\":18}}\n", load[] = "{\"load\":1}\n";
	int fds[8], fresh;

	be_listener(NUMBER);
	attack_goes_on();
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = i % 2 ? by_packets() : by_lines();
	for (uint64_t n = 0; !flood->enough; n++) {
		int fd = fds[n % ARRAY_SIZE(fds)];
		const char *text = n % 3 ? load : join;

		send(fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL);
		hear_all(fd);
		flood->asked++;
		if (n % 1024)
			continue;
		fresh = by_packets();
		send(fresh, join, strlen(join), MSG_DONTWAIT | MSG_NOSIGNAL);
		close(fresh);
	}
}

/*
 * 1. a process asks more than 10,000 times a second; it is answered what it has a budget for
 * 2. meanwhile another one joins and reports, and root is answered
 */
static void test_flood(void **state)
{
	uint64_t passed_ns;
	pid_t flooder, worker;

	(void)state;
	asks_watch(&run);
	flood = mmap(NULL, sizeof(*flood), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	flood->begun_ns = now_ns();
	flooder = attack(ask_without_end);
	wait_until(flood->asked > 1000, RUN_MS);
	worker = attack(join_as_another);
	for (int i = 0; i < 20; i++)
		assert_int_equal(joins_ask("{\"verb\":\"hello\"}", NULL, 0), 0);
	wait_until(flood->asked > 10000 * ((now_ns() - flood->begun_ns) / A_SECOND_NS + 1), RUN_MS);
	flood->enough = true;
	passed_ns = now_ns() - flood->begun_ns;
	/* of each second so many messages, of which a join is ten */
	assert_true(flood->answered <= 100 * (passed_ns / A_SECOND_NS + 2));
	end_attack(flooder);
	end_attack(worker);
	munmap(flood, sizeof(*flood));
	asks_end_watch(&run);
}

#define join_test(function) cmocka_unit_test_setup_teardown(function, joins_begin, joins_end)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		join_test(test_wrong_numbers),	  join_test(test_spoiled_socket),
		join_test(test_another_process),  join_test(test_reused_pid),
		join_test(test_another_user),	  join_test(test_stranger_of_a_run),
		join_test(test_allowed_in_a_run), join_test(test_flood),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
