/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From a client's address to an index, for policy hash. No seed: the same client gets the same
 * worker on every host, and again after the service was detached and attached. So clients who
 * choose their address can choose their worker.
 */
#ifndef LB_HASH_H
#define LB_HASH_H

#include "lb_pick.h"

/* splitmix64's finalizer (Steele, Lea, Flood, "Fast splittable pseudorandom number generators"). */
static __always_inline __u64 lb_mix(__u64 x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

/* The first `bits` of 64; all of them from 64 on. */
static __always_inline __u64 lb_prefix_mask(__u64 bits)
{
	if (!bits)
		return 0;
	return bits < 64 ? ~0ULL << (64 - bits) : ~0ULL;
}

/* Both halves in host order. */
static __always_inline __u64 lb_hash_ipv6(__u64 high, __u64 low, __u64 prefix)
{
	high &= lb_prefix_mask(prefix);
	low &= lb_prefix_mask(prefix > 64 ? prefix - 64 : 0);
	return lb_mix(lb_mix(high) + low + 1);
}

static __always_inline __u64 lb_hash_ipv4(__u32 address, __u64 prefix)
{
	return lb_hash_ipv6(0, 0xffff00000000ULL | (address & lb_prefix_mask(prefix) >> 32), 128);
}

static __always_inline int lb_is_mapped(__u64 high, __u64 low)
{
	return !high && low >> 32 == 0xffff;
}

/* Where the n-th draw for a client looks in the table: the same entries in the same order. */
static __always_inline __u64 lb_hash_draw(__u64 hash, __u32 n)
{
	return n ? lb_mix(hash + n * 0x9e3779b97f4a7c15ULL) : hash;
}

#endif
