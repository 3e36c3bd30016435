// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What a keeper tells the service manager that started it (sd_notify(3)): ready once all workers
 * are, reloading while one gets a new process, and a status line. Nothing without NOTIFY_SOCKET.
 */
#include "keeper/keeper.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <time.h>

void keeper_status(struct keeper *keeper, const char *format, ...)
{
	char text[sizeof(keeper->status)];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	text[strcspn(text, "\n")] = '\0';
	if (!strcmp(text, keeper->status))
		return;
	strcpy(keeper->status, text);
	sd_notifyf(0, "STATUS=%s", text);
}

void keeper_say_ready(struct keeper *keeper)
{
	if (keeper->said == KEEPER_SAID_READY)
		return;
	keeper->said = KEEPER_SAID_READY;
	sd_notify(0, "READY=1");
}

/* The time stamp lets units of Type=notify-reload tell this reload from an earlier one. */
static void say_reloading(struct keeper *keeper)
{
	struct timespec now;

	if (keeper->said != KEEPER_SAID_READY)
		return;
	keeper->said = KEEPER_SAID_RELOADING;
	clock_gettime(CLOCK_MONOTONIC, &now);
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
		   (uint64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000);
}

void keeper_say_stopping(struct keeper *keeper)
{
	keeper->said = KEEPER_SAID_STOPPING;
	sd_notify(0, "STOPPING=1");
}

void keeper_notify(struct keeper *keeper)
{
	uint32_t online = 0, given_up = 0;
	bool renewing = false;

	if (!keeper->options.argv || keeper->said == KEEPER_SAID_STOPPING)
		return;
	for (uint32_t i = 0; i < keeper->wanted; i++) {
		const struct keeper_worker *seat = &keeper->workers[i];

		online += seat->current && seat->current->online;
		given_up += seat->gave_up;
		renewing |= seat->renew || seat->next;
	}
	if (renewing)
		say_reloading(keeper);
	else if (online == keeper->wanted || keeper->said == KEEPER_SAID_RELOADING)
		keeper_say_ready(keeper);
	keeper_status(keeper, "%u of %u workers online%s%s", online, keeper->wanted,
		      given_up ? ", others given up" : "", renewing ? ", reloading" : "");
}
