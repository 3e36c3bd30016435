// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * One program in a cgroup for all services there that count connections. Without it each would
 * have its own lb_track there, and the kernel would run all of them for each event of any socket;
 * more than 64 it does not take. This one runs the lb_track of the service that the connection is
 * of.
 *
 * Which one that is, is in the connection's storage: the value that it inherited from its listener
 * is in the lb_conns of that service, so the id of that map names the service. It is read from the
 * kernel's own list of what is stored, as a program can't look for a map that it does not know.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "cast.bpf.h"
#include "lb_dispatch.h"
#include "lb_pick.h"

/* Values in a socket's storage that are looked at; others may have theirs there too. */
#define MOST_STORED 16

/* Anything else would overrule what other programs answer to the kernel. */
#define GO_ON 1

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, LB_MAX_COUNTED);
	__type(key, __u32);
	__type(value, __u32);
} lb_programs SEC(".maps");

/* Id of a service's lb_conns -> index of its lb_track in lb_programs. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, LB_MAX_COUNTED);
	__type(key, __u32);
	__type(value, __u32);
} lb_indexes SEC(".maps");

/* A connection begins or ends; most of what the kernel tells is something else. */
static __always_inline bool counts(const struct bpf_sock_ops *ops)
{
	switch (ops->op) {
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		return true;
	case BPF_SOCK_OPS_STATE_CB: /* args: old state, new state */
		return lb_state_is_open(ops->args[0]) && !lb_state_is_open(ops->args[1]);
	}
	return false;
}

SEC("sockops")
int lb_dispatch(struct bpf_sock_ops *ops)
{
	struct bpf_sock *sk = counts(ops) ? ops->sk : NULL;
	__u64 storage, node, elem, map;
	__u32 id, *index;

	if (!sk)
		return GO_ON;
	storage = (__u64)READ_SOCK(sk, sk_bpf_storage);
	node = storage ? (__u64)READ(storage, struct bpf_local_storage, list.first) : 0;
	for (int i = 0; i < MOST_STORED && node; i++) {
		elem = node - bpf_core_field_offset(struct bpf_local_storage_elem, snode);
		map = (__u64)READ(elem, struct bpf_local_storage_elem, sdata.smap);
		id = READ(map, struct bpf_local_storage_map, map.id);
		index = bpf_map_lookup_elem(&lb_indexes, &id);
		/* returns only if there is no program */
		if (index)
			bpf_tail_call(ops, &lb_programs, *index);
		node = (__u64)READ(node, struct hlist_node, next);
	}
	return GO_ON;
}
