/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What made the kernel look the listener up. Only a SYN and a migration are new decisions.
 */
#ifndef LB_CLASSIFY_BPF_H
#define LB_CLASSIFY_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "decision.bpf.h"

enum segment {
	SEGMENT_UNKNOWN, /* not the TCP header of our port: don't trust a byte of it */
	SEGMENT_SYN,
	SEGMENT_OTHER,
	SEGMENT_MIGRATION, /* a waiting connection of a closing listener; has no packet */
};

struct tcp_header {
	__be16 source;
	__be16 dest;
	__be32 seq;
	__be32 ack_seq;
	__u8 doff; /* high half: length of the header in 32-bit words */
	__u8 flags;
};

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

/*
 * netfilter's `socket` and `tproxy` look up from prerouting, with the data at the IP header,
 * whose bytes 2 and 3 (total length, or half a flow label) may happen to equal the port.
 */
static __always_inline bool is_ip_header(const void *at, __u32 len)
{
	const __u8 *bytes = at;

	switch (bytes[0] >> 4) {
	case 4:
		return (__u32)(bytes[2] << 8 | bytes[3]) == len;
	case 6:
		return (__u32)(bytes[4] << 8 | bytes[5]) + 40 == len;
	default:
		return false;
	}
}

struct udp_header {
	__be16 source;
	__be16 dest;
	__be16 len; /* with this header */
	__be16 check;
};

/*
 * Is this the UDP header of our port? A datagram from a port of 16384 to 20479 whose length is the
 * port would look like an IP header, but that its own length stands where IP has a random id.
 */
static __always_inline bool is_our_datagram(const struct sk_reuseport_md *ctx)
{
	const struct udp_header *udp = ctx->data;

	if ((const void *)(udp + 1) > ctx->data_end || udp->dest != bpf_htons(lb_port))
		return false;
	return udp->len == bpf_htons(ctx->len) || !is_ip_header(udp, ctx->len);
}

static __always_inline enum segment classify(const struct sk_reuseport_md *ctx)
{
	const struct tcp_header *tcp = ctx->data;

	if (lb_can_migrate && ctx->migrating_sk)
		return SEGMENT_MIGRATION;
	if ((const void *)(tcp + 1) > ctx->data_end || tcp->dest != bpf_htons(lb_port))
		return SEGMENT_UNKNOWN;
	if (tcp->doff >> 4 < 5 || is_ip_header(tcp, ctx->len))
		return SEGMENT_UNKNOWN;
	if ((tcp->flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) == TCP_SYN)
		return SEGMENT_SYN;
	return SEGMENT_OTHER;
}

#endif
