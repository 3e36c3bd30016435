// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What a process of the workers' user can do to the keeper, which is root: nothing that stops it.
 * The attacks run as nobody, who is let in as the workers are; what is told them is the workers'.
 */
#include "harness/attacks.h"
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/events.h"
#include "harness/processes.h"
#include "harness/runs.h"
#include "harness/servers.h"
#include "harness/show.h"
#include "harness/world.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keeper/receive.h"
#include "keeper/spawn_spec.h"
#include "send_fds.h"

#define WORKERS 4
#define PROMPT_MS 10000 /* an answer that nobody delays, on a busy machine */

static struct run run;
static struct clients clients;
static pid_t workers[WORKERS];

/* --- who attacks --- */

static void start_workers(void)
{
	run_start(&run, "web", "-n", "4", "--user", "nobody", "--policy", "rr", "--max-restarts",
		  "1000000", "--restart-delay", "10", "--", run_demo(), "-q", "--no-reuseport",
		  "--listen", ":8080", NULL);
	run_pids(&run, workers, WORKERS);
}

/* A descriptor of a worker's. */
static int taken_from(pid_t pid, int number)
{
	int pidfd = syscall(__NR_pidfd_open, pid, 0);
	int fd = syscall(__NR_pidfd_getfd, pidfd, number, 0);

	expect(fd >= 0, "pidfd_getfd");
	close(pidfd);
	return fd;
}

/* --- a descriptor whose last close waits --- */

/* The keeper's end is in the worker, too. */
static void allow_descriptors(bool allowed)
{
	int fd = taken_from(workers[0], SPAWN_FIRST_FD + 1), value = allowed;

	setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &value, sizeof(value));
	close(fd);
}

static void spoil_channel(void)
{
	int fd = taken_from(workers[0], SPAWN_FIRST_FD);

	send_spoiled(fd, "\"hi\"\n", 2);
	close(fd);
}

static void spoil_channel_allowed(void)
{
	allow_descriptors(true);
	spoil_channel();
}

/* What is unread is closed with the channel, when its worker has ended. */
static void spoil_channel_unread(void)
{
	kill(workers[1], SIGSTOP);
	allow_descriptors(true);
	for (int i = 0; i < 20; i++)
		spoil_channel();
	allow_descriptors(false);
	kill(workers[0], SIGKILL);
}

static void spoil_join(void)
{
	int fd = connect_to(FILES_DIR "/web.sock", SOCK_SEQPACKET);

	send_spoiled(fd, "{\"verb\":\"join\",\"worker\":0}", 1);
}

static const struct {
	const char *name;
	void (*how)(void);
} spoilers[] = {
	{ "a message", spoil_channel },
	{ "a message, once that is allowed", spoil_channel_allowed },
	{ "messages that are not read", spoil_channel_unread },
	{ "a request", spoil_request },
	{ "a join", spoil_join },
	{ "requests of many clients", spoil_many_requests },
	{ "a notice", spoil_notice },
};

/* Fails the test unless the keeper answers in time, and starts a killed worker again. */
static void expect_prompt(const char *during)
{
	uint64_t begin_ns = now_ns();
	struct output output;
	struct job job;
	unsigned int starts = run_events(&run, "start", "{s:i}", "worker", 3);
	const char *const words[] = { harness_build_path("lbctl"), "send", "web", "2", "{}", NULL };

	job_start(&job, words, scaled_ms(PROMPT_MS));
	job_wait(&job, &output);
	if (output.status)
		fail_msg("%s: %s", during, output.err);
	output_free(&output);
	kill(workers[3], SIGKILL);
	wait_until(run_events(&run, "start", "{s:i}", "worker", 3) > starts, PROMPT_MS);
	run_pids(&run, workers, WORKERS);
	print_message("%s: %llu ms\n", during, (unsigned long long)(now_ns() - begin_ns) / 1000000);
}

static void test_descriptors_that_linger(void **state)
{
	pid_t attacker;

	(void)state;
	start_workers();
	for (size_t i = 0; i < ARRAY_SIZE(spoilers); i++) {
		attacker = attack(spoilers[i].how);
		kill(workers[1], SIGCONT);
		expect_prompt(spoilers[i].name);
		end_attack(attacker);
	}
	lbctl_ok("reload", "web", NULL);
	clients_run(&clients, (struct client_plan){ .connections = 40 });
	run_stop(&run);
}

/* --- signals --- */

/* All but itself, so it is none of two: the other might be stopped before it says so. */
static void stop_all(void)
{
	attack_goes_on();
	for (;;)
		kill(-1, SIGSTOP);
}

/* Each new process is stopped as soon as it is nobody's, before its program runs. */
static void test_stopped_before_exec(void **state)
{
	pid_t attacker;

	(void)state;
	start_workers();
	attacker = attack(stop_all);
	for (int i = 0; i < 10; i++) {
		unsigned int exits = run_events(&run, "exit", NULL);

		kill(workers[i % WORKERS], SIGKILL);
		wait_until(i >= WORKERS || run_events(&run, "exit", NULL) > exits, PROMPT_MS);
		lbctl_expect(0, "going on", "cancel", "web", NULL);
	}
	end_attack(attacker);
	command_ok("pkill", "-CONT", "-U", "nobody", NULL);
	run_expect_up(&run, WORKERS);
	run_stop(&run);
}

/* --- floods --- */

/* Beside worker 0, whichever process that is now: floods with what the file names. */
#define FLOOD_FILE HARNESS_DIR "/flood"
#define FLOOD                                                                                      \
	"import os, socket, time\n"                                                                \
	"channel = int(os.environ['LBCTL_CHANNEL_FD'])\n"                                          \
	"notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"                             \
	"notices.connect(os.environ['NOTIFY_SOCKET'])\n"                                           \
	"def sockets():\n"                                                                         \
	"    s = socket.socket()\n"                                                                \
	"    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)\n"                            \
	"    s.bind(('0.0.0.0', 8080))\n"                                                          \
	"    s.listen(5)\n"                                                                        \
	"    time.sleep(0.03)\n"                                                                   \
	"    s.close()\n"                                                                          \
	"ways = {'ready': lambda: os.write(channel, b'\"ready\"\\n' * 585),\n"                     \
	"        'short': lambda: os.write(channel, b'{\"a\":1}\\n' * 500),\n"                     \
	"        'long': lambda: os.write(channel, b'\"' + b'y' * 60000 + b'\"\\n'),\n"            \
	"        'notices': lambda: notices.send(b'READY=1'),\n"                                   \
	"        'sockets': sockets,\n"                                                            \
	"        'no': lambda: time.sleep(0.05)}\n"                                                \
	"while True:\n"                                                                            \
	"    flood = ways[open('" FLOOD_FILE "').read()]\n"                                        \
	"    end = time.time() + 0.2\n"                                                            \
	"    while time.time() < end: flood()\n"

static void start_flooding(void)
{
	static char words[512];

	assert_int_equal(chmod(HARNESS_DIR, 0755), 0);
	file_write(FLOOD_FILE, "no");
	file_write(HARNESS_DIR "/flood.py", FLOOD);
	snprintf(words, sizeof(words),
		 "[ $LBCTL_WORKER != 0 ] || python3 " HARNESS_DIR "/flood.py & "
		 "exec %s -q --no-reuseport --listen :8080",
		 run_demo());
	run_start(&run, "web", "-n", "4", "--user", "nobody", "--policy", "rr", "--max-restarts",
		  "1000000", "--restart-delay", "10", "--", "sh", "-c", words, NULL);
	run_pids(&run, workers, WORKERS);
}

static const char *const floods[] = { "no", "ready", "short", "long", "notices", "sockets" };

#define FLOOD_LOG_BYTES 200000 /* of some seconds; what is not held back writes millions */

static off_t log_bytes(void)
{
	struct stat info;

	return stat(run.log, &info) ? 0 : info.st_size;
}

static unsigned int elapsed_ms(uint64_t since_ns)
{
	return (now_ns() - since_ns) / 1000000;
}

static json_int_t unheard_of(int worker)
{
	json_t *show = lbctl_json("show", "web", "--json", NULL);
	const json_t *row = json_array_get(json_object_get(show, "workers"), worker);
	json_int_t unheard = json_integer_value(json_object_get(row, "unheard"));

	json_decref(show);
	return unheard;
}

static void test_floods(void **state)
{
	(void)state;
	start_flooding();
	for (size_t i = 0; i < ARRAY_SIZE(floods); i++) {
		uint64_t begin_ns = now_ns();
		off_t bytes = log_bytes();
		unsigned int reload_ms;

		file_write(FLOOD_FILE, floods[i]);
		lbctl_ok("reload", "web", NULL);
		reload_ms = elapsed_ms(begin_ns);
		begin_ns = now_ns();
		run_pids(&run, workers, WORKERS);
		expect_prompt(floods[i]);
		print_message("%s: reload %u ms, back in %u ms, %ld bytes\n", floods[i], reload_ms,
			      elapsed_ms(begin_ns), (long)(log_bytes() - bytes));
		assert_true(log_bytes() - bytes < FLOOD_LOG_BYTES);
	}
	/* each process of worker 0 that has flooded, and nobody else */
	assert_in_range(run_events(&run, "flood", "{s:i}", "worker", 0), 3, 9);
	assert_int_equal(run_events(&run, "flood", NULL),
			 run_events(&run, "flood", "{s:i}", "worker", 0));
	wait_until(unheard_of(0) > 10000, RUN_MS);
	assert_int_equal(unheard_of(1), 0);
	run_stop(&run);
}

/* --- another program on the group --- */

static void steal_again(void)
{
	int fd = member_of_group();

	if (fork())
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;; usleep(50000))
		put_classic(fd);
}

static json_int_t taken_off(void)
{
	json_t *show = lbctl_json("show", "web", "--json", NULL);
	json_int_t times =
		json_integer_value(json_object_get(json_object_get(show, "totals"), "taken_off"));

	json_decref(show);
	return times;
}

static bool is_steered(void)
{
	json_t *show = lbctl_json("show", "web", "--json", NULL);
	bool steered = json_is_true(
		json_object_get(json_array_get(json_object_get(show, "listeners"), 0), "steering"));

	json_decref(show);
	return steered;
}

static bool names(const json_t *pids, pid_t pid)
{
	for (size_t i = 0; i < json_array_size(pids); i++) {
		if (json_integer_value(json_array_get(pids, i)) == pid)
			return true;
	}
	return false;
}

static void test_traffic_that_is_taken(void **state)
{
	void (*const ways[])(void) = { steal_once, take_off_once };
	const unsigned int each[WORKERS] = { 10, 10, 10, 10 };
	struct show show;
	pid_t attacker;

	(void)state;
	start_workers();
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		const json_t *event;

		attacker = attack(ways[i]);
		run_expect_events(&run, i + 1, "replaced", NULL);
		event = run_event(&run, i, "replaced", NULL);
		assert_int_equal(json_is_true(json_object_get(event, "classic")), !i);
		assert_true(names(json_object_get(event, "pids"), attacker));
		assert_false(names(json_object_get(event, "pids"), workers[0]));
		/* it is told once it is put back, while the thief is there still */
		assert_true(is_steered());
		assert_int_equal(taken_off(), i + 1);
		clients_run(&clients, (struct client_plan){ .connections = 40 });
		clients_expect(&clients, WORKERS, each);
		show_read("web", &show);
		assert_int_equal(show.unregistered, 1);
		lbctl_ok("reload", "web", NULL);
		end_attack(attacker);
	}
	attacker = attack(steal_again);
	wait_until(taken_off() >= 6, RUN_MS);
	lbctl_ok("reload", "web", NULL);
	lbctl_expect(0, "times", "list", NULL);
	lbctl_expect(0, "another BPF program", "doctor", NULL);
	end_attack(attacker);
	wait_until(is_steered(), RUN_MS);
	/* the first, and as it took another way the second; then not each time */
	assert_in_range(run_events(&run, "replaced", NULL), 3, 4);
	clients_run(&clients, (struct client_plan){ .connections = 40 });
	clients_expect(&clients, WORKERS, each);
	run_stop(&run);
}

/* The same where lbctl watch looks after a server: it is counted, told, and put back. */
static void test_watched_traffic_that_is_taken(void **state)
{
	static struct run watch;
	struct demo demos[WORKERS];
	const json_t *event;
	int fd, zero = 0;

	(void)state;
	demo_start_many(demos, WORKERS, ":8080");
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	run_start_verb(&watch, "web", "watch", "web", NULL);
	run_expect_keeper(&watch);
	process_listeners(demos[0].pid, &fd, 1);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, &zero,
					    sizeof(zero)),
				 0);
		wait_until(taken_off() == i + 1, RUN_MS);
		wait_until(is_steered(), RUN_MS);
	}
	/* of those of one kind the first is told, then the tenth */
	run_expect_events(&watch, 1, "replaced", NULL);
	event = run_event(&watch, 0, "replaced", NULL);
	assert_false(json_is_true(json_object_get(event, "classic")));
	assert_true(names(json_object_get(event, "pids"), getpid()));
	assert_false(names(json_object_get(event, "pids"), demos[0].pid));
	close(fd);
	lbctl_ok("stop", "web", NULL);
	assert_int_equal(run_wait(&watch), 0);
	lbctl_ok("detach", "web", NULL);
	for (int i = 0; i < WORKERS; i++)
		demo_kill(&demos[i], SIGTERM);
}

/* What keeps services apart is a user id: who gives two the same one is told. */
static void test_services_of_one_user(void **state)
{
	static struct run other, third;

	(void)state;
	start_workers();
	run_start(&other, "api", "-n", "1", "--user", "nobody", "--port", "8081", "--", run_demo(),
		  "-q", "--no-reuseport", "--listen", ":8081", NULL);
	run_expect_lines(&other, "its workers have the user of service web", 1);
	run_expect_up(&other, 1);
	lbctl_expect(0, "services api and web have the same user, 65534", "doctor", NULL);
	run_start(&third, "db", "-n", "1", "--user", "nobody", "--port", "8082", "--", run_demo(),
		  "-q", "--no-reuseport", "--listen", ":8082", NULL);
	run_expect_lines(&third, "its workers have the user of services api and web", 1);
	run_expect_up(&third, 1);
	lbctl_expect(0, "services api, db and web have the same user, 65534", "doctor", NULL);
	lbctl_ok("stop", "db", NULL);
	assert_int_equal(run_wait(&third), 0);
	lbctl_ok("stop", "api", NULL);
	assert_int_equal(run_wait(&other), 0);
	run_stop(&run);
}

/* --- a process of the workers' user that none of them has started --- */

static char join_status[] = "?";

/* Joins for worker 0 with a socket of its own, on which it answers nobody. */
static void join_for_another(void)
{
	int fd = connect_to(FILES_DIR "/web.sock", SOCK_SEQPACKET), own = member_of_group();
	const char text[] = "{\"verb\":\"join\",\"worker\":0}";
	char answer[4096] = "";
	json_t *reply;
	ssize_t n;

	expect(send_fds(fd, text, strlen(text), &own, 1) > 0, "join");
	n = recv(fd, answer, sizeof(answer) - 1, 0);
	reply = json_loadb(answer, n > 0 ? n : 0, 0, NULL);
	/* how the test hears of it */
	*join_status = '0' + json_integer_value(json_object_get(reply, "status"));
	expect(reply && !prctl(PR_SET_NAME, join_status), "the answer");
}

static char status_of(pid_t attacker)
{
	char path[64], *text, status;

	snprintf(path, sizeof(path), "/proc/%d/comm", attacker);
	text = file_read(path);
	status = *text;
	free(text);
	return status;
}

static void test_join_for_another(void **state)
{
	const unsigned int each[WORKERS] = { 10, 10, 10, 10 };
	struct show show;
	pid_t attacker;

	(void)state;
	start_workers();
	attacker = attack(join_for_another);
	assert_int_equal(status_of(attacker), '4');
	show_read("web", &show);
	assert_int_equal(show.unregistered, 1);
	clients_run(&clients, (struct client_plan){ .connections = 40 });
	clients_expect(&clients, WORKERS, each);
	end_attack(attacker);
	run_stop(&run);
	run_start(&run, "web", "-n", "4", "--user", "nobody", "--allow-join", "--", run_demo(),
		  "-q", "--no-reuseport", "--listen", ":8080", NULL);
	run_expect_up(&run, WORKERS);
	attacker = attack(join_for_another);
	assert_int_equal(status_of(attacker), '0');
	end_attack(attacker);
	run_stop(&run);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_descriptors_that_linger),
		runs_test(test_stopped_before_exec),
		runs_test(test_floods),
		runs_test(test_traffic_that_is_taken),
		runs_test(test_watched_traffic_that_is_taken),
		runs_test(test_services_of_one_user),
		runs_test(test_join_for_another),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
