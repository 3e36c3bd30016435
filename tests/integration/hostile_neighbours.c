// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Who opens more than anybody can look at: a worker, more descriptors, in many processes; a user
 * who has nothing to do with the service, more listening sockets, each on an address of its own.
 * The others are served, replaced and shown as before. And who has more happen than anybody can
 * read fills no log.
 */
#include "harness/attacks.h"
#include "harness/commands.h"
#include "harness/events.h"
#include "harness/runs.h"
#include "harness/servers.h"
#include "harness/world.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONNECTIONS 8
#define MOST_FILES 15000 /* of one process: no more than many systems let everybody have */
#define SOCKETS 120000

static struct run run;

/* --- descriptors of a worker --- */

/* So many, to look at all of which takes longer than a worker has to get ready. */
#define OPENS                                                                                      \
	"import os, resource, time\n"                                                              \
	"most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n"                                   \
	"resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))\n"                               \
	"each = min(most, 500000) - 50\n"                                                          \
	"for i in range(each): os.dup(0)\n"                                                        \
	"for i in range(30000000 // each):\n"                                                      \
	"    if not os.fork(): break\n"                                                            \
	"else: os.write(int(os.environ['LBCTL_CHANNEL_FD']), b'\"opened\"\\n')\n"                  \
	"time.sleep(100000)\n"

static void allow_files(void)
{
	const struct rlimit files = { 1024, 500000 };

	setrlimit(RLIMIT_NOFILE, &files);
}

static void start_worker_that_opens(void)
{
	static char words[256];

	assert_int_equal(chmod(HARNESS_DIR, 0755), 0);
	file_write(HARNESS_DIR "/opens.py", OPENS);
	snprintf(words, sizeof(words),
		 "[ $LBCTL_WORKER != 0 ] || python3 " HARNESS_DIR "/opens.py & "
		 "exec %s -q --no-reuseport --listen :8080",
		 run_demo());
	run_prepare = allow_files;
	run_start(&run, "web", "-n", "4", "--user", "nobody", "--drain-timeout", "500",
		  "--kill-timeout", "500", "--", "sh", "-c", words, NULL);
	run_expect_events(&run, 1, "message", "{s:s}", "message", "opened");
}

/* Each has asked for half of something, so who answers them is looked for when workers leave. */
static void ask(int fds[CONNECTIONS])
{
	static const char half[] = "GET / HTTP/1.1\r\n";

	for (int i = 0; i < CONNECTIONS; i++) {
		struct sockaddr_in at = { .sin_family = AF_INET,
					  .sin_port = htons(8080),
					  .sin_addr = { htonl(INADDR_LOOPBACK) } };

		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(connect(fds[i], (struct sockaddr *)&at, sizeof(at)), 0);
		assert_int_equal(write(fds[i], half, strlen(half)), strlen(half));
	}
}

/*
 * 1. a worker has millions of descriptors; all have connections that have asked for something
 * 2. all are replaced, and their successors get their places in time, that of the one as well
 */
static void test_descriptors_of_a_worker(void **state)
{
	int fds[CONNECTIONS];

	(void)state;
	start_worker_that_opens();
	ask(fds);
	lbctl_ok("reload", "web", NULL);
	run_expect_events(&run, 2, "message", "{s:s}", "message", "opened");
	lbctl_ok("scan", NULL);
	lbctl_ok("show", "web", NULL);
	run_stop(&run);
	for (int i = 0; i < CONNECTIONS; i++)
		close(fds[i]);
}

/* --- what is told of a worker --- */

/* Worker 0 accepts for 60 ms, then for 160 ms it doesn't, while a client of its own connects. */
#define BLINKS                                                                                     \
	"import os, socket, threading, time\n"                                                     \
	"s = socket.socket()\n"                                                                    \
	"s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"                                \
	"s.bind(('', 8080))\n"                                                                     \
	"s.listen(200)\n"                                                                          \
	"s.settimeout(0.01)\n"                                                                     \
	"blinks = os.environ['LBCTL_WORKER'] == '0'\n"                                             \
	"def connect():\n"                                                                         \
	"    while True:\n"                                                                        \
	"        c = socket.socket()\n"                                                            \
	"        c.setblocking(False)\n"                                                           \
	"        c.connect_ex(('127.0.0.1', 8080))\n"                                              \
	"        time.sleep(0.01)\n"                                                               \
	"        c.close()\n"                                                                      \
	"if blinks: threading.Thread(target=connect, daemon=True).start()\n"                       \
	"while True:\n"                                                                            \
	"    if blinks: time.sleep(0.16)\n"                                                        \
	"    end = time.time() + 0.06\n"                                                           \
	"    while time.time() < end:\n"                                                           \
	"        try: s.accept()[0].close()\n"                                                     \
	"        except OSError: pass\n"

#define BLINKS_S 25

/*
 * A worker that stops to accept and begins again, without end, fills no log: of 100 times in 25 s
 * those are told that are usual, and how many were not.
 */
static void test_log_of_a_worker_that_blinks(void **state)
{
	static const char path[] = HARNESS_DIR "/blinks.py";
	unsigned int told;

	(void)state;
	assert_int_equal(chmod(HARNESS_DIR, 0755), 0);
	file_write(path, BLINKS);
	run_start(&run, "web", "-n", "2", "--user", "nobody", "--policy", "rr", "--", "python3",
		  path, NULL);
	run_expect_up(&run, 2);
	sleep(BLINKS_S);
	told = run_events(&run, "stalled", NULL);
	print_message("%u times told\n", told);
	assert_in_range(told, 40, 50 + BLINKS_S + 5);
	run_expect_events(&run, 1, "flood", "{s:i}", "worker", 0);
	run_stop(&run);
}

/* --- listening sockets of a user --- */

/* Of all that are to be opened those from the i-th on, each on an address of its own. */
static void listen_at(uint32_t i, uint32_t n)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(30000) };

	for (; n; n--, i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		at.sin_addr.s_addr = htonl(0x7f010101 + i);
		expect(!bind(fd, (struct sockaddr *)&at, sizeof(at)) && !listen(fd, 1), "listen");
	}
}

static void open_sockets(void)
{
	struct rlimit files;
	uint32_t each;
	int done[2];
	char byte;

	expect(!getrlimit(RLIMIT_NOFILE, &files) && !pipe(done), "pipe");
	each = files.rlim_max < MOST_FILES + 100 ? files.rlim_max - 100 : MOST_FILES;
	for (uint32_t i = 0; i < SOCKETS; i += each) {
		if (fork()) {
			expect(read(done[0], &byte, 1) == 1, "read");
			continue;
		}
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		listen_at(i, each);
		expect(write(done[1], "", 1) == 1, "write");
		for (;;)
			pause();
	}
}

/*
 * 1. somebody has 120,000 listening sockets on other addresses and another port
 * 2. workers are replaced, and their successors get their places in time
 * 3. who asks for all there are is told
 */
static void test_sockets_of_a_neighbour(void **state)
{
	pid_t attacker;

	(void)state;
	run_start(&run, "web", "-n", "4", "--user", "daemon", "--", run_demo(), "-q",
		  "--no-reuseport", "--listen", ":8080", NULL);
	run_expect_up(&run, 4);
	attacker = attack(open_sockets);
	lbctl_ok("reload", "web", NULL);
	lbctl_ok("list", NULL);
	lbctl_ok("scan", NULL);
	end_attack(attacker);
	run_stop(&run);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_descriptors_of_a_worker),
		runs_test(test_log_of_a_worker_that_blinks),
		runs_test(test_sockets_of_a_neighbour),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
