// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See pins.h. */
#include "keeper/pins.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#define CLOCK_GRAIN_NS 10000000 /* of the time of files: a tick of a kernel of 100 Hz */

struct pins {
	char name[LB_NAME_MAX + 1];
	struct state state;
	bool is_open;
	struct stat seen; /* its directory, when it was opened */
	uint64_t serial;
	struct settings settings; /* of the last one that was open */
};

struct pins *pins_new(const char *name)
{
	struct pins *pins = calloc(1, sizeof(*pins));

	if (pins)
		snprintf(pins->name, sizeof(pins->name), "%s", name);
	return pins;
}

void pins_free(struct pins *pins)
{
	if (!pins)
		return;
	pins_close(pins);
	free(pins);
}

void pins_close(struct pins *pins)
{
	pins_settings(pins);
	if (pins->is_open)
		state_close(&pins->state);
	pins->is_open = false;
}

struct state *pins_state(struct pins *pins)
{
	return pins->is_open ? &pins->state : NULL;
}

/* The maps are there as long as we have them, whoever removed the pins. */
const struct settings *pins_settings(struct pins *pins)
{
	if (pins->is_open)
		settings_read(&pins->state, &pins->settings);
	return pins->settings.policy ? &pins->settings : NULL;
}

uint64_t pins_serial(const struct pins *pins)
{
	return pins->serial;
}

/*
 * Every pin that comes, goes or is replaced changes the time of the directory; a new listener has
 * its pins before it counts.
 */
static bool is_current(const struct pins *pins)
{
	struct stat now;

	return !stat(pins->state.dir, &now) && now.st_ino == pins->seen.st_ino &&
	       now.st_dev == pins->seen.st_dev && now.st_mtim.tv_sec == pins->seen.st_mtim.tv_sec &&
	       now.st_mtim.tv_nsec == pins->seen.st_mtim.tv_nsec &&
	       pins->state.config->nr_listeners == pins->state.nr_listeners;
}

/* So soon after a change, another one may leave the time as it is: it is not gone by. */
static void distrust_new(struct stat *seen)
{
	struct timespec now;
	int64_t age_ns;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	age_ns = (now.tv_sec - seen->st_mtim.tv_sec) * 1000000000LL + now.tv_nsec -
		 seen->st_mtim.tv_nsec;
	if (age_ns < CLOCK_GRAIN_NS)
		seen->st_mtim.tv_sec = 0;
}

/* The time is that of before, so that what changes meanwhile is seen. */
static bool open_state(struct pins *pins)
{
	char path[STATE_PATH_BYTES];

	snprintf(path, sizeof(path), STATE_ROOT "/%s", pins->name);
	if (stat(path, &pins->seen))
		return false;
	distrust_new(&pins->seen);
	return !state_open(&pins->state, pins->name, STATE_READ);
}

bool pins_check(struct pins *pins)
{
	bool was_open = pins->is_open;

	if (was_open && is_current(pins))
		return false;
	pins_close(pins);
	pins->serial++;
	pins->is_open = open_state(pins);
	return was_open || pins->is_open;
}

int pins_slot_of(const struct state *state, uint64_t cookie)
{
	for (uint32_t i = 0; cookie && i < state->nr_listeners; i++) {
		for (uint32_t slot = 0; slot < state_used_slots(state); slot++) {
			if (state_queue(state, i, slot)->cookie == cookie)
				return slot;
		}
	}
	return -1;
}
