/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a connection carries with it, for the programs that count connections. */
#ifndef LB_TRACK_BPF_H
#define LB_TRACK_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "counters.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct lb_conn);
} lb_conns SEC(".maps");

/* The counts that the connection is part of; NULL when another socket has taken its slot over. */
static __always_inline struct lb_stats *counters_of(const struct lb_conn *conn)
{
	__u32 slot = conn->slot;
	struct lb_worker *worker = bpf_map_lookup_elem(&lb_workers, &slot);

	if (!worker || worker->generation != conn->generation)
		return NULL;
	return bpf_map_lookup_elem(&lb_stats, &slot);
}

/* Where the connection is now, if it has migrated: only of a slot that some have left. */
static __always_inline struct lb_conn *migrated_of(__u32 slot, __u64 cookie)
{
	struct lb_stats *stats = bpf_map_lookup_elem(&lb_stats, &slot);

	return stats && stats->migrated_out ? bpf_map_lookup_elem(&lb_migrated, &cookie) : NULL;
}

#endif
