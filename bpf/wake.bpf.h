/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Tells whoever keeps the service, and sleeps while nothing happens, that there is a decision, or
 * that a connection migrates: at most one entry for each number that it writes into wake_wanted or
 * migration_wanted. Else this is a compare of two fields whose cache lines a decision has read
 * already.
 *
 * None is missed: who arms writes the number first and reads the counters then, a program counts
 * first (count_in_order()) and reads the number then, so one of the two sees the other.
 */
#ifndef LB_WAKE_BPF_H
#define LB_WAKE_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "decision.bpf.h"
#include "sizes.bpf.h"
#include "wake_map.bpf.h"

/* The last thing that a decision does. */
static __always_inline void wake_keeper(const struct decision *d, __u32 slot)
{
	__u64 wanted = *(volatile __u64 *)&d->config->wake_wanted;

	if (d->counters->wake_answered == wanted)
		return;
	*(volatile __u64 *)&d->counters->wake_answered = wanted;
	tell_keeper(LB_WAKE_ACTIVITY, slot);
}

/*
 * The kernel puts the connection into the slot's queue after this run, and on many kernels wakes
 * nobody who sleeps on it: see user/service/wake_listeners.h.
 */
static __always_inline void tell_migration(const struct decision *d, __u32 slot)
{
	__u64 wanted;

	if (!LB_HAS(lb_sizes.config, struct lb_config, migration_wanted))
		return;
	wanted = *(volatile __u64 *)&d->config->migration_wanted;
	if (d->counters->migration_answered == wanted)
		return;
	*(volatile __u64 *)&d->counters->migration_answered = wanted;
	tell_keeper(LB_WAKE_MIGRATION, slot);
}

#endif
