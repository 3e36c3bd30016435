// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See turn.h. */
#include "keeper/turn.h"

#include <stdlib.h>
#include <time.h>

struct turn {
	sd_event *loop;
	sd_event_source *deferred, *timer;
	unsigned int work;
	void (*run)(void *arg, unsigned int work);
	void *arg;
};

static int on_deferred(sd_event_source *source, void *arg)
{
	struct turn *turn = arg;
	unsigned int work = turn->work;

	(void)source;
	turn->work = 0;
	turn->run(turn->arg, work);
	return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *arg)
{
	(void)source;
	(void)usec;
	turn_mark(arg, TURN_DECIDE);
	return 0;
}

struct turn *turn_new(sd_event *loop, void (*run)(void *arg, unsigned int work), void *arg)
{
	struct turn *turn = calloc(1, sizeof(*turn));

	if (!turn)
		return NULL;
	*turn = (struct turn){ .loop = loop, .run = run, .arg = arg };
	if (sd_event_add_defer(loop, &turn->deferred, on_deferred, turn) < 0 ||
	    sd_event_add_time(loop, &turn->timer, CLOCK_MONOTONIC, UINT64_MAX, 1000, on_timer,
			      turn) < 0) {
		turn_free(turn);
		return NULL;
	}
	sd_event_source_set_enabled(turn->deferred, SD_EVENT_OFF);
	return turn;
}

void turn_free(struct turn *turn)
{
	if (!turn)
		return;
	sd_event_source_disable_unref(turn->deferred);
	sd_event_source_disable_unref(turn->timer);
	free(turn);
}

void turn_mark(struct turn *turn, unsigned int work)
{
	turn->work |= work;
	sd_event_source_set_enabled(turn->deferred, SD_EVENT_ONESHOT);
}

void turn_at(struct turn *turn, uint64_t at_us)
{
	sd_event_source_set_time(turn->timer, at_us);
	sd_event_source_set_enabled(turn->timer,
				    at_us == UINT64_MAX ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
}

uint64_t turn_now(const struct turn *turn)
{
	uint64_t now_us = 0;

	sd_event_now(turn->loop, CLOCK_MONOTONIC, &now_us);
	return now_us;
}
