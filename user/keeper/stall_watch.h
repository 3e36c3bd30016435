/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the keeper does about workers that hang: it samples their queues while something waits
 * there, tells who is stalled and who recovered, and begins rescues. Before 5.14 (features.sample)
 * it does nothing. While nothing waits it sleeps, and the data plane wakes it; it hears of
 * connections that migrate, too, and passes that on.
 */
#ifndef STALL_WATCH_H
#define STALL_WATCH_H

#include <systemd/sd-event.h>

#include "keeper/changes.h"
#include "keeper/event_log.h"
#include "keeper/holder.h"
#include "keeper/migrations.h"
#include "keeper/pins.h"

struct stall_watch;

/*
 * `migrations` is told of those, and `holder` if it does not answer; NULL = nobody is. Returns 0
 * with *watch, which is NULL where the kernel can't, or -errno.
 */
int stall_watch_new(sd_event *loop, struct pins *pins, struct changes *changes,
		    struct migrations *migrations, struct holder *holder, struct event_log *log,
		    struct stall_watch **watch);
void stall_watch_free(struct stall_watch *watch);

/* There is a service, or other settings: look now. NULL is fine. */
void stall_watch_check(struct stall_watch *watch);

/*
 * Now and then: looks if nothing else would make it look, as who changed a setting may not say so.
 */
void stall_watch_tick(struct stall_watch *watch);

/* No look and no rescue from now on: the service is about to go. */
void stall_watch_stop(struct stall_watch *watch);

#endif
