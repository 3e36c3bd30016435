/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Asking whoever empties waiting listeners (keeper/holder.h) to look. It sets asked_ns to 0 before
 * it looks, so there is one entry per look, and who asks after that is not missed.
 */
#ifndef LB_ASK_BPF_H
#define LB_ASK_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "hold_maps.bpf.h"
#include "lb_hold.h"
#include "wake_map.bpf.h"

static __always_inline void ask(struct lb_hold *hold, __u64 now_ns)
{
	struct lb_ask entry = { .slot = LB_NO_SLOT };

	if (!__sync_val_compare_and_swap(&hold->asked_ns, 0, now_ns))
		bpf_ringbuf_output(&lb_ask, &entry, sizeof(entry), BPF_RB_FORCE_WAKEUP);
}

/* Does nobody answer? Then its keeper is told, once. */
static __always_inline bool is_unanswered(struct lb_hold *hold, __u64 now_ns)
{
	__u64 asked_ns = *(volatile __u64 *)&hold->asked_ns;

	if (!lb_hold_is_unanswered(asked_ns, now_ns))
		return false;
	if (hold->told_ns != asked_ns) {
		hold->told_ns = asked_ns;
		tell_keeper(LB_WAKE_UNANSWERED, LB_NO_SLOT);
	}
	return true;
}

#endif
