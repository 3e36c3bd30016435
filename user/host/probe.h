/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What this kernel can do, found by looking and trying, never by its version number. */
#ifndef PROBE_H
#define PROBE_H

#include <stdbool.h>
#include <stdint.h>

struct features {
	bool btf;      /* the kernel describes its types: without it nothing loads */
	bool fetch;    /* BPF atomics that return the old value: 5.12 */
	bool migrate;  /* ctx->migrating_sk, a closed listener's queue moves: 5.14 */
	bool cast;     /* bpf_rdonly_cast(), accept queues are read at each decision: 6.2 */
	bool iterator; /* BPF iterator over TCP sockets: 5.9 */
	bool track;    /* sockops programs in cgroups, storage that accepted sockets inherit */
	bool bind_setsockopt; /* bind hooks of a cgroup may set socket options: 6.1 */
	bool sample;	      /* BPF programs that user space runs when it likes: 5.14 */
	bool hold;	      /* perf events tell a program whose they are: 5.15 */
	bool late_count;      /* any open connection can be had to tell its states: 6.12 */
};

/*
 * Returns the running kernel's features, probed once per process. Never fails: what can't be
 * probed (no BTF, no CAP_BPF) counts as missing.
 */
const struct features *probe_features(void);

/*
 * May a process without privileges open a pinned map that its file permissions let it open? From
 * 5.19 on, or with the sysctl kernel.unprivileged_bpf_disabled at 0. Else workers of other users
 * report load only through a page that was handed to them. Asks the kernel at each call, as this
 * thread without its capabilities.
 */
bool probe_unprivileged_open(void);

/* Length of a kernel tick, of which the BPF programs' tick clock is made. */
uint64_t probe_tick_ns(void);

#endif
