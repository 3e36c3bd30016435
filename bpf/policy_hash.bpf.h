/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * hash: a client's address, or the network it is in (hash_prefix4, hash_prefix6), always goes to
 * the same worker. lbctl writes a table as Maglev has it (see schedule_build_hash()): when a worker
 * comes or goes, its share of the clients moves and few others. A worker that can't take a
 * connection is passed over by another draw for that client, and nobody else is moved.
 *
 * Good when a worker remembers something about its clients: sessions, caches, connection limits
 * per client. It knows nothing of load, and is uneven by as much as clients are: few of them, or
 * many behind one address translator, make some workers busy and others idle.
 */
#ifndef LB_POLICY_HASH_BPF_H
#define LB_POLICY_HASH_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "decision.bpf.h"
#include "lb_hash.h"
#include "maps.bpf.h"
#include "schedule.bpf.h"

#define IPV4_SOURCE 12 /* offset in the IP header */
#define IPV6_SOURCE 8
#define FAMILY_IPV4 2
#define PROTOCOL_IPV4 0x0800

static __always_inline __u64 hash_address(const __be32 at[4], const struct lb_config *config)
{
	__u64 high = (__u64)bpf_ntohl(at[0]) << 32 | bpf_ntohl(at[1]);
	__u64 low = (__u64)bpf_ntohl(at[2]) << 32 | bpf_ntohl(at[3]);

	if (lb_is_mapped(high, low))
		return lb_hash_ipv4(low, config->hash_prefix4);
	return lb_hash_ipv6(high, low, config->hash_prefix6);
}

/*
 * The barrier: one load from either address would be arithmetic on the pointer, which is forbidden.
 */
static __always_inline void read_peer(const struct bpf_sock *conn, __be32 at[4])
{
	__be32 ipv4 = conn->dst_ip4;

	asm volatile("" : "+r"(ipv4));
	at[3] = ipv4;
	if (conn->family == FAMILY_IPV4)
		return;
	at[0] = conn->dst_ip6[0];
	at[1] = conn->dst_ip6[1];
	at[2] = conn->dst_ip6[2];
	at[3] = conn->dst_ip6[3];
}

/*
 * The client's hash; 0 where its address can't be read. A migration has no packet, but the
 * connection itself. Global, so that the verifier walks it once.
 */
__attribute__((noinline)) __u64 lb_hash_client(struct sk_reuseport_md *ctx)
{
	__be32 at[4] = { 0, 0, bpf_htonl(0xffff), 0 };
	struct lb_config *config;
	struct bpf_sock *conn;
	__u32 zero = 0;
	long err;

	config = bpf_map_lookup_elem(&lb_config, &zero);
	if (!config)
		return 0;
	conn = lb_can_migrate ? ctx->migrating_sk : NULL;
	if (conn) {
		read_peer(conn, at);
		return hash_address(at, config);
	}
	if (ctx->eth_protocol == bpf_htons(PROTOCOL_IPV4))
		err = bpf_skb_load_bytes_relative(ctx, IPV4_SOURCE, &at[3], sizeof(at[3]),
						  BPF_HDR_START_NET);
	else
		err = bpf_skb_load_bytes_relative(ctx, IPV6_SOURCE, at, sizeof(at),
						  BPF_HDR_START_NET);
	return err ? 0 : hash_address(at, config);
}

static __always_inline __u32 pick_hash(const struct decision *d, __u32 draw)
{
	return schedule_slot(d, lb_hash_draw(lb_hash_client(d->ctx), draw));
}

#endif
