// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A user who has nothing to do with the service opens more listening sockets than anybody can look
 * at, each on an address of its own. The workers are replaced and shown as before.
 */
#include "harness/attacks.h"
#include "harness/commands.h"
#include "harness/runs.h"
#include "harness/servers.h"
#include "harness/world.h"

#include <arpa/inet.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST_FILES 15000 /* of one process: no more than many systems let everybody have */
#define SOCKETS 120000

static struct run run;

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
		runs_test(test_sockets_of_a_neighbour),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
