// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See measured.h. */
#include "harness/measured.h"

#include <errno.h>
#include <string.h>

#include "harness/world.h"
#include "service/latency.h"

#define END_MS 20000
#define SLACK_NS 500000 /* of stamps that the kernel does not make at once */

void needs_latency(void)
{
	static int tried = 1;

	if (tried > 0)
		tried = latency_try();
	if (tried == -EOPNOTSUPP) {
		print_message("needs programs that measure latency, which this kernel refuses\n");
		skip();
	}
}

void needs_own_pace(void)
{
	if (scaled_load(100) == 100)
		return;
	print_message("needs CPUs that are not emulated\n");
	skip();
}

void measured_read(const char *service, struct lb_latency sums[MEASURED_WORKERS])
{
	struct state state;

	memset(sums, 0, MEASURED_WORKERS * sizeof(*sums));
	assert_int_equal(state_open(&state, service, STATE_READ), 0);
	assert_true(latency_is_on(&state));
	for (uint32_t slot = 0; slot < state_used_slots(&state); slot++) {
		uint32_t worker = state_worker(&state, slot)->worker;

		if (worker < MEASURED_WORKERS)
			latency_add(&state, slot, &sums[worker]);
	}
	state_close(&state);
}

uint32_t measured_worker(const char *service, uint32_t slot)
{
	struct state state;
	uint32_t worker;

	assert_int_equal(state_open(&state, service, STATE_READ), 0);
	worker = state_worker(&state, slot)->worker;
	state_close(&state);
	assert_true(worker < MEASURED_WORKERS);
	return worker;
}

uint64_t measured_total(const char *service, size_t offset)
{
	static struct lb_latency sums[MEASURED_WORKERS];
	uint64_t sum = 0;

	measured_read(service, sums);
	for (int i = 0; i < MEASURED_WORKERS; i++)
		sum += latency_count((const void *)((const char *)&sums[i] + offset));
	return sum;
}

void measured_expect(const char *service, uint64_t connections, uint64_t answers)
{
	wait_until(MEASURED(service, lifetime) >= connections, END_MS);
	assert_int_equal(MEASURED(service, lifetime), connections);
	assert_int_equal(MEASURED(service, wait), connections);
	assert_int_equal(MEASURED(service, first_byte), answers);
}

void measured_expect_near(const char *what, int worker, uint64_t got_ns, uint64_t least_ns,
			  uint64_t most_ns)
{
	if (got_ns + got_ns / 20 + SLACK_NS < least_ns ||
	    got_ns > most_ns + most_ns / 20 + SLACK_NS)
		fail_msg("%s of worker %d: measured %.3f ms, its clients %.3f to %.3f", what,
			 worker, got_ns / 1e6, least_ns / 1e6, most_ns / 1e6);
}
