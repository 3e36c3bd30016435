/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What workers without privileges may reach: a second bpffs at WORKER_PINS_ROOT, open to all, in
 * which lb_load and lb_cookies of services made with --group are pinned for that group.
 * /sys/fs/bpf itself is closed (mode 0700) on hosts with systemd.
 */
#ifndef WORKER_PINS_H
#define WORKER_PINS_H

#include "service/state.h"
#include "base/trouble.h"

#define WORKER_PINS_ROOT "/run/lbctl/bpf"

/* Pins the maps for config->group, if it has one; safe to repeat. EXIT_DONE or a trouble. */
int worker_pins_publish(const struct state *state, struct trouble *trouble);

/* Takes the pins of a service away; there may be none. */
void worker_pins_remove(const char *name);

#endif
