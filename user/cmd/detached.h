/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Keepers that go on when the command that started them has ended: as units of systemd, below
 * /run/systemd/system and so gone with the next boot, where that runs; else as processes that leave
 * the terminal and print to /var/log/lbctl/NAME.keeper.log. Why not systemd-run: the unit of
 * lbctl unit says in some thirty lines how a keeper is stopped, restarted and watched over, and
 * that is the one that is tested.
 */
#ifndef DETACHED_H
#define DETACHED_H

#include "cmd/kept.h"
#include "cmd/services.h"

/*
 * Starts the keeper of a service, `kept` being its command line, in place of the one that there may
 * be: its workers stay. Returns, when all workers are online, EXIT_DONE, or EXIT_FAILED after a
 * message was printed.
 */
int detached_start(const struct service_entry *entry, const struct kept *kept);

/* Has the next start of the unit, as after a crash, be by this command line. Returns as above. */
int detached_update(const struct service_entry *entry, const struct kept *kept);

/* The service was stopped. */
void detached_forget(const char *name);

#endif
