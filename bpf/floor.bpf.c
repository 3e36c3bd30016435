// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The least that a program in the place of steer.bpf.c can cost, as a measure for it:
 * tools/steercost runs both in turns. Never part of a service.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* The service's own: a socket fits into one array only. */
struct {
	__uint(type, BPF_MAP_TYPE_REUSEPORT_SOCKARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} lb_sockets SEC(".maps");

/* Leaves the choice to the kernel's hash. */
SEC("sk_reuseport")
int empty(struct sk_reuseport_md *ctx)
{
	(void)ctx;
	return SK_PASS;
}

/* Always slot 0. */
SEC("sk_reuseport")
int fixed(struct sk_reuseport_md *ctx)
{
	__u32 slot = 0;

	bpf_sk_select_reuseport(ctx, &lb_sockets, &slot, 0);
	return SK_PASS;
}
