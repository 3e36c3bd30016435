// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See counters.h. */
#include "harness/counters.h"

#include <bpf/bpf.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "harness/kernel.h"
#include "harness/maps.h"
#include "harness/world.h"

void counters_read(const char *service, struct counters *counters)
{
	int counters_fd = map_open(service, "lb_counters"),
	    stats_fd = map_open(service, "lb_stats");
	struct lb_counters values;
	struct lb_stats stats;
	uint32_t zero = 0;

	memset(counters, 0, sizeof(*counters));
	counters->sent_again = kernel_counter("TcpRetransSegs");
	assert_int_equal(bpf_map_lookup_elem(counters_fd, &zero, &values), 0);
	counters->cursor = values.cursor;
#define X(field, help) counters->field = values.field;
	LB_COUNTERS(X)
#undef X
	for (uint32_t slot = 0; slot < COUNTERS_SLOTS; slot++) {
		assert_int_equal(bpf_map_lookup_elem(stats_fd, &slot, &stats), 0);
#define X(field, help) counters->field[slot] = stats.field;
		LB_SLOT_COUNTERS(X)
#undef X
	}
	close(counters_fd);
	close(stats_fd);
}

/*
 * A segment that is sent again and comes when its connection is over finds the listener. So does
 * one that comes while another CPU puts the open connection in the place of the half-open one: the
 * kernel's look-up takes no lock. It takes a CPU that is interrupted just there: with emulated CPUs
 * that happens some times in a thousand, on a virtual machine beside others a few times in a night.
 */
#define MOST_RACES 8

static unsigned int compare_field(const char *name, int slot, uint64_t before, uint64_t after,
				  uint64_t want)
{
	char slot_name[32] = "";

	if (after - before == want)
		return 0;
	if (slot >= 0)
		snprintf(slot_name, sizeof(slot_name), " of slot %d", slot);
	print_error("%s%s: got %+lld, want %+lld\n", name, slot_name, (long long)(after - before),
		    (long long)want);
	return 1;
}

/* Look-ups that nobody expects, each forgiven once; they decide nothing. */
static void forgive(uint64_t *counter, uint64_t expected, uint64_t *most)
{
	uint64_t surplus = *counter - expected;

	if (*counter < expected || surplus > *most)
		return;
	*most -= surplus;
	*counter = expected;
}

void counters_compare(const char *service, const struct counters *before,
		      const struct counters *want, const char *file, int line)
{
	unsigned int wrong = 0;
	struct counters after;
	uint64_t strays;

	counters_read(service, &after);
	strays = after.sent_again - before->sent_again + MOST_RACES;
	forgive(&after.ack_recent, before->ack_recent + want->ack_recent, &strays);
	forgive(&after.ack_stray, before->ack_stray + want->ack_stray, &strays);
	wrong += compare_field("cursor", -1, before->cursor, after.cursor, want->cursor);
#define X(field, help) wrong += compare_field(#field, -1, before->field, after.field, want->field);
	LB_COUNTERS(X)
#undef X
	for (int i = 0; i < COUNTERS_SLOTS; i++) {
#define X(field, help)                                                                             \
	wrong += compare_field(#field, i, before->field[i], after.field[i], want->field[i]);
		LB_SLOT_COUNTERS(X)
#undef X
	}
	if (wrong) {
		print_error("%s:%d: %u counters of %s are not as expected\n", file, line, wrong,
			    service);
		fail();
	}
}

uint64_t counters_selected(const struct counters *counters)
{
	uint64_t sum = 0;

	for (int i = 0; i < COUNTERS_SLOTS; i++)
		sum += counters->selected[i];
	return sum;
}

uint64_t counters_decisions(const char *service)
{
	struct counters now;

	counters_read(service, &now);
	return counters_selected(&now) + now.kernel_policy + now.fallback_config +
	       now.fallback_empty + now.fallback_none;
}
