// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The counters of obey.h's service, held against what sock_diag, /proc and ss say. */

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "harness/commands.h"
#include "harness/counters.h"
#include "harness/maps.h"
#include "harness/obey.h"
#include "harness/show.h"
#include "harness/world.h"
#include "host/group.h"

int64_t live_sum(void)
{
	int64_t sum = 0;

	for (int i = 0; i < COUNTERS_SLOTS; i++) {
		if (stats[i].live < 0)
			fail_msg("live of slot %d is %lld", i, (long long)stats[i].live);
		sum += stats[i].live;
	}
	return sum;
}

uint64_t opened_sum(void)
{
	uint64_t sum = 0;

	for (int i = 0; i < COUNTERS_SLOTS; i++)
		sum += stats[i].opened;
	return sum;
}

/* What sock_diag and /proc say of the connections that each slot's process has accepted. */
static void ask_sock_diag(int64_t said[COUNTERS_SLOTS])
{
	struct lb_worker *rows = map_mmap("web", "lb_workers", COUNTERS_SLOTS * sizeof(*rows));
	struct groups groups;

	memset(said, 0, COUNTERS_SLOTS * sizeof(*said));
	assert_int_equal(groups_find(-1, PORT, 0, GROUP_LIVE | GROUP_QUICK, &groups), 0);
	for (size_t g = 0; g < groups.count; g++) {
		for (size_t i = 0; i < groups.items[g].nr_members; i++) {
			const struct member *member = &groups.items[g].members[i];

			for (int slot = 0; slot < COUNTERS_SLOTS; slot++) {
				if (rows[slot].pid && rows[slot].pid == (uint32_t)member->pid)
					said[slot] += member->live;
			}
		}
	}
	groups_free(&groups);
	munmap(rows, COUNTERS_SLOTS * sizeof(*rows));
}

bool counters_are_right(void)
{
	int64_t said[COUNTERS_SLOTS];

	ask_sock_diag(said);
	for (int slot = 0; slot < COUNTERS_SLOTS; slot++) {
		if (stats[slot].live != said[slot])
			return false;
	}
	return true;
}

/* To stderr: cmocka cuts what is longer than a kilobyte. */
static void show_counters(void)
{
	const char *const ask_ss[] = { "ss", "-tanpe", "sport = :8080", NULL };
	int64_t said[COUNTERS_SLOTS];
	struct output show, sockets;

	ask_sock_diag(said);
	for (int slot = 0; slot < COUNTERS_SLOTS; slot++) {
		if (stats[slot].live || said[slot])
			fprintf(stderr, "slot %d: live is %lld, and by sock_diag %lld\n", slot,
				(long long)stats[slot].live, (long long)said[slot]);
	}
	lbctl_run(&show, "stats", "web", NULL);
	command_run(&sockets, ask_ss, 10000);
	fprintf(stderr, "%s%s", show.out, sockets.out);
	output_free(&show);
	output_free(&sockets);
}

void expect_right_counters(int ms)
{
	uint64_t end_ns = now_ns() + scaled_ms(ms) * 1000000;

	while (!counters_are_right()) {
		if (now_ns() > end_ns) {
			show_counters();
			fail_msg("the counters are wrong");
		}
		harness_nap();
	}
}

bool slot_is_right(int slot)
{
	int64_t said[COUNTERS_SLOTS];

	ask_sock_diag(said);
	return stats[slot].live == said[slot];
}

int slot_of_process(pid_t pid)
{
	struct lb_worker *rows = map_mmap("web", "lb_workers", COUNTERS_SLOTS * sizeof(*rows));
	int slot = 0;

	while (slot < COUNTERS_SLOTS && rows[slot].pid != (uint32_t)pid)
		slot++;
	munmap(rows, COUNTERS_SLOTS * sizeof(*rows));
	assert_true(slot < COUNTERS_SLOTS);
	return slot;
}

void expect_live(int64_t a, int64_t b, int64_t c, int64_t d)
{
	const int64_t want[] = { a, b, c, d };

	for (int i = 0; i < WORKERS; i++) {
		if (stats[i].live != want[i])
			fail_msg("live: got %lld/%lld/%lld/%lld, want %lld/%lld/%lld/%lld",
				 (long long)stats[0].live, (long long)stats[1].live,
				 (long long)stats[2].live, (long long)stats[3].live, (long long)a,
				 (long long)b, (long long)c, (long long)d);
	}
}
