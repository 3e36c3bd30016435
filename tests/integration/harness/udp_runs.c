// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See udp_runs.h. */
#include "harness/udp_runs.h"

#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness/datagrams.h"
#include "harness/maps.h"
#include "harness/show.h"
#include "harness/world.h"

pid_t udp_ask_for(const char *text, bool v6, char answer[64])
{
	int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), at = 0, pid = 0;
	struct pollfd ready = { fd, POLLIN, 0 };
	char got[128] = "";

	udp_say_text(fd, v6, text);
	if (poll(&ready, 1, scaled_ms(ANSWER_MS)) == 1 && recv(fd, got, sizeof(got) - 1, 0) > 0)
		sscanf(got, "%d %n", &pid, &at);
	close(fd);
	snprintf(answer, 64, "%.63s", got + at);
	return pid;
}

pid_t udp_ask_pid(bool v6)
{
	char answer[64];

	return udp_ask_for("x", v6, answer);
}

void udp_expect_even(const struct run *run, const pid_t *pids, unsigned int n, bool v6)
{
	unsigned int got[LB_MAX_WORKERS] = { 0 };
	static struct show show;

	stalls_forgive();
	show_read("dns", &show);
	for (unsigned int i = 0; i < n; i++)
		got[i] = show.worker[i].selected;
	for (unsigned int i = 0; i < n * UDP_EACH; i++) {
		pid_t pid = udp_ask_pid(v6);
		unsigned int who = 0;

		while (who < n && pids[who] != pid)
			who++;
		if (who == n) {
			run_show_log(run);
			fail_msg("pid %d answered", pid);
		}
		got[who]++;
	}
	show_read("dns", &show);
	assert_int_equal(show.nr_workers, n);
	for (unsigned int i = 0; i < n; i++) {
		assert_int_equal(show.worker[i].pid, pids[i]);
		assert_int_equal(show.worker[i].selected, got[i]);
	}
	assert_int_equal(show.fallback, 0);
}
