/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One decision: what a run of the program knows about it, and whether there is one to make.
 */
#ifndef LB_DECISION_BPF_H
#define LB_DECISION_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "counters.bpf.h"
#include "lb_pick.h"
#include "maps.bpf.h"

/* Constants of one program instance, set by lbctl before it loads the object. */
const volatile __u32 lb_listener = 0;	    /* index in lb_config.listeners */
const volatile __u16 lb_port = 0;	    /* host order */
const volatile bool lb_can_migrate = false; /* the kernel has ctx->migrating_sk: 5.14 */

/* Can this program hold connections? They are TCP's, and it takes atomics of Linux 5.12. */
#if defined(LB_DATAGRAM) || defined(LB_NO_FETCH)
#define CAN_HOLD false
#else
#define CAN_HOLD true
#endif

struct decision {
	struct sk_reuseport_md *ctx;
	struct lb_config *config;
	struct lb_counters *counters;
	__u64 word;    /* lb_config.word, read once */
	bool all_busy; /* with LB_WORD_HOLDS: the scan found no idle worker */
	bool far;      /* with LB_WORD_HOLDS: who is idle now need not be when the handshake ends */
};

/* Policy and table of this decision; false: not ours to read, which is counted. */
static __always_inline bool read_word(struct decision *d)
{
	d->word = *(volatile __u64 *)&d->config->word;
	if (d->config->abi_version == LB_ABI_VERSION)
		return true;
	count(&d->counters->fallback_config);
	return false;
}

/* False: what is new is the kernel's to place, which is counted. */
static __always_inline bool is_to_be_decided(const struct decision *d)
{
	if (lb_word_policy(d->word) == LB_POLICY_KERNEL) {
		count(&d->counters->kernel_policy);
		return false;
	}
	if (!lb_word_length(d->word)) {
		count(&d->counters->fallback_empty);
		return false;
	}
	return true;
}

#endif
