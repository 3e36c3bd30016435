/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Stores into lb_load: the only lines of the library that the BPF programs see the effect of. */
#include "report.h"

#define STORE(field, value) __atomic_store_n(&(field), (value), __ATOMIC_RELAXED)
#define LOAD(field) __atomic_load_n(&(field), __ATOMIC_RELAXED)

/* ended first: a connection counted in between must not show as closed and never opened. */
static struct lbctl_counts take(const struct lbctl_counts *counts)
{
	struct lbctl_counts taken = {
		.ended = __atomic_load_n(&counts->ended, __ATOMIC_ACQUIRE),
		.opened = LOAD(counts->opened),
		.base = LOAD(counts->base),
	};

	return taken;
}

static bool same(const struct lbctl_counts *a, const struct lbctl_counts *b)
{
	return a->base == b->base && a->opened == b->opened && a->ended == b->ended;
}

static uint64_t load_of(const struct lbctl_counts *taken)
{
	uint64_t load;

	if (taken->opened <= taken->ended)
		return taken->base;
	if (__builtin_add_overflow(taken->base, taken->opened - taken->ended, &load))
		return UINT64_MAX;
	return load;
}

uint64_t lbctl_counts_load(const struct lbctl_counts *counts)
{
	struct lbctl_counts taken = take(counts);

	return load_of(&taken);
}

/*
 * Two threads that report at once may store in any order. Each looks at the counts again after its
 * stores, so that whoever comes last leaves the latest figures. The fences pair up between the
 * threads: count, fence, store in one, and store, fence, look in the other.
 */
static void store_counts(struct lb_load *entry, const struct lbctl_counts *counts)
{
	struct lbctl_counts stored, now;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	now = take(counts);
	do {
		stored = now;
		STORE(entry->opened, stored.opened);
		STORE(entry->ended, stored.ended);
		STORE(entry->load, load_of(&stored));
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		now = take(counts);
	} while (!same(&stored, &now));
}

void lbctl_report_store(struct lb_load *entry, const struct lbctl_counts *counts, uint64_t now_ns)
{
	store_counts(entry, counts);
	STORE(entry->heartbeat_ns, now_ns);
	__atomic_store_n(&entry->reported_ns, now_ns, __ATOMIC_RELEASE);
}

void lbctl_report_heartbeat(struct lb_load *entry, const struct lbctl_counts *counts,
			    uint64_t now_ns)
{
	if (LOAD(counts->reported))
		lbctl_report_store(entry, counts, now_ns);
	else
		STORE(entry->heartbeat_ns, now_ns);
}

bool lbctl_report_is_closed(const struct lb_load *entry)
{
	return LOAD(entry->closed) != 0;
}
