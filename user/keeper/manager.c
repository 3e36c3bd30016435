// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See manager.h. */
#include "keeper/manager.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#include "base/parse.h"
#include "base/text.h"

void manager_status(struct manager *manager, const char *format, ...)
{
	char text[sizeof(manager->status)];
	va_list args;

	va_start(args, format);
	text_vformat(text, sizeof(text), format, args);
	va_end(args);
	if (!strcmp(text, manager->status))
		return;
	strcpy(manager->status, text);
	sd_notifyf(0, "STATUS=%s", text);
}

void manager_ready(struct manager *manager)
{
	if (manager->said == MANAGER_READY)
		return;
	manager->said = MANAGER_READY;
	sd_notify(0, "READY=1");
}

/* The time stamp lets units of Type=notify-reload tell this reload from an earlier one. */
static void say_reloading(struct manager *manager)
{
	struct timespec now;

	if (manager->said != MANAGER_READY)
		return;
	manager->said = MANAGER_RELOADING;
	clock_gettime(CLOCK_MONOTONIC, &now);
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
		   (uint64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000);
}

void manager_stopping(struct manager *manager)
{
	manager->said = MANAGER_STOPPING;
	sd_notify(0, "STOPPING=1");
}

/* What `wanted` of its processes are, in the words of sd_notify(3). */
static void say_state(struct manager *manager, const struct plan_summary *processes,
		      uint32_t wanted)
{
	if (processes->renewing)
		say_reloading(manager);
	else if (processes->online + processes->finished == wanted ||
		 manager->said == MANAGER_RELOADING)
		manager_ready(manager);
}

void manager_tell(struct manager *manager, const struct plan_summary *workers, uint32_t wanted)
{
	if (manager->said == MANAGER_STOPPING)
		return;
	say_state(manager, workers, wanted);
	manager_status(manager, "%u of %u workers online%s%s%s", workers->online, wanted,
		       workers->failed ? ", others given up" : "",
		       workers->finished ? ", others ended for good" : "",
		       workers->renewing ? ", reloading" : "");
}

void manager_tell_forks(struct manager *manager, const struct plan_summary *mains, uint32_t workers)
{
	if (manager->said == MANAGER_STOPPING)
		return;
	say_state(manager, mains, 1);
	manager_status(manager, "%u worker%s online%s%s%s", workers, plural(workers),
		       mains->failed ? ", their main process given up" : "",
		       mains->finished ? ", their main process ended for good" : "",
		       mains->renewing ? ", reloading" : "");
}
