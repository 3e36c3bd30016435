/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Fields of the kernel's structs: loads from 6.2 on, before that a helper call for each. */
#ifndef LB_CAST_BPF_H
#define LB_CAST_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

const volatile bool lb_can_cast = false; /* the kernel has bpf_rdonly_cast(): 6.2 */

extern void *bpf_rdonly_cast(void *obj, __u32 btf_id) __ksym __weak;

#define CAST(at, type) ((type *)bpf_rdonly_cast((void *)(at), bpf_core_type_id_kernel(type)))

/* A field of the struct at an address, which may be a number. 0 where there is no memory. */
#define READ(at, type, field)                                                                      \
	(lb_can_cast ? CAST(at, type)->field : BPF_CORE_READ((type *)(at), field))

/* A number, from which the verifier lets helpers go on to a field. */
static __always_inline __u64 address_of(struct bpf_sock *sk)
{
	__u64 address = 0;

	bpf_probe_read_kernel(&address, sizeof(address), &sk);
	return address;
}

/* The same for a socket that the verifier knows. */
#define READ_SOCK(sk, field)                                                                       \
	(lb_can_cast ? CAST(sk, struct sock)->field :                                              \
		       BPF_CORE_READ((struct sock *)address_of(sk), field))

#endif
