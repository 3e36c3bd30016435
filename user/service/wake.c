// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See wake.h; the other side is bpf/wake.bpf.h. */
#include "service/wake.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>

struct wake {
	const struct state *state;
	struct ring_buffer *ring;
	unsigned int kinds; /* of the entries that were taken */
};

/* Its kind is all that an entry has to say: who is told looks at all slots. */
static int take_entry(void *arg, void *entry, size_t bytes)
{
	struct wake *wake = arg;
	const struct lb_wake *told = entry;

	if (bytes >= sizeof(*told))
		wake->kinds |= 1U << (told->kind & 31);
	return 0;
}

int wake_open(const struct state *state, struct wake **wake)
{
	struct wake *opened = calloc(1, sizeof(*opened));
	int err = 0;

	if (!opened)
		return -ENOMEM;
	opened->state = state;
	opened->ring = ring_buffer__new(state->maps[MAP_WAKE], take_entry, opened, NULL);
	if (!opened->ring)
		err = -errno;
	else
		err = wake_drain(opened, NULL);
	if (err < 0) {
		wake_close(opened);
		return err;
	}
	*wake = opened;
	return 0;
}

void wake_close(struct wake *wake)
{
	if (wake)
		ring_buffer__free(wake->ring);
	free(wake);
}

int wake_fd(const struct wake *wake)
{
	return ring_buffer__epoll_fd(wake->ring);
}

void wake_arm(struct wake *wake)
{
	struct lb_config *config = wake->state->config;

	/* a full barrier: what the caller reads next is read after it */
	__atomic_fetch_add(&config->wake_wanted, 1, __ATOMIC_SEQ_CST);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void wake_arm_migration(const struct state *state)
{
	struct lb_config *config = state->config;

	if (!LB_HAS(state->arrays[MAP_CONFIG].value_bytes, struct lb_config, migration_wanted))
		return;
	__atomic_fetch_add(&config->migration_wanted, 1, __ATOMIC_SEQ_CST);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

int wake_drain(struct wake *wake, unsigned int *kinds)
{
	int taken;

	wake->kinds = 0;
	taken = ring_buffer__consume(wake->ring);
	if (kinds)
		*kinds = wake->kinds;
	return taken;
}

uint64_t wake_decisions(const struct wake *wake)
{
	const struct state *state = wake->state;
	struct lb_counters counters = { 0 };
	uint32_t zero = 0;
	uint64_t sum;

	state_lookup(state, MAP_COUNTERS, &zero, &counters, sizeof(counters));
	sum = counters.fallback_none + counters.migrate_failed + counters.held;
	for (uint32_t slot = 0; slot < state_used_slots(state); slot++) {
		const struct lb_stats *stats = state_stats(state, slot);

		sum += __atomic_load_n(&stats->selected, __ATOMIC_RELAXED) +
		       __atomic_load_n(&stats->migrated_in, __ATOMIC_RELAXED);
	}
	return sum;
}
