/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The ring buffer by which the programs wake a keeper: see wake.bpf.h. */
#ifndef LB_WAKE_MAP_BPF_H
#define LB_WAKE_MAP_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "lb_abi.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} lb_wake SEC(".maps");

/* Should the ring be full because nobody reads, there is nobody to be told. */
static __always_inline void tell_keeper(enum lb_wake_kind kind, __u32 slot)
{
	struct lb_wake entry = { .kind = kind, .slot = slot };

	bpf_ringbuf_output(&lb_wake, &entry, sizeof(entry), BPF_RB_FORCE_WAKEUP);
}

#endif
