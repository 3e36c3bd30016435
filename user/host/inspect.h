/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What only BPF can tell of listening sockets: see bpf/inspect.bpf.c. */
#ifndef INSPECT_H
#define INSPECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lb_inspect.h"

struct inspect_list {
	struct lb_listening *items;
	size_t count;
};

/*
 * Lists the listening TCP sockets of the calling thread's network namespace on a port (0 = all),
 * with `udp` the unconnected UDP sockets as well. Where others have many thousands on their ports,
 * those of one port cost much less. Sockets have a cookie only after sock_diag listed them, so of
 * UDP call sockdiag_listeners() first.
 *
 * Returns 0 or -errno: -EPERM without CAP_BPF and CAP_PERFMON, -EOPNOTSUPP where the kernel has
 * no such iterator. The caller frees the list with inspect_free(), also after an error.
 */
int inspect_listeners(uint16_t port, bool udp, struct inspect_list *out);
/* Loads what that takes, which children of this process have from then on. 0 or -errno. */
int inspect_prepare(void);
void inspect_free(struct inspect_list *list);

/* The entry with this cookie, or NULL. */
const struct lb_listening *inspect_find(const struct inspect_list *list, uint64_t cookie);

#endif
