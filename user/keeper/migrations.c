// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See migrations.h. */
#include "keeper/migrations.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "host/probe.h"
#include "keeper/task.h"
#include "service/wake.h"
#include "service/wake_listeners.h"

#define DEADLINE_MS 5000
/* Who was woken takes what waits. That this can fail is not known: more than that is no use. */
#define AGAIN_US 1000000
#define MOST_AGAIN 10

struct migrations {
	struct migrations_config config;
	enum { TRYING, NEEDED, NOT_NEEDED } needed;
	struct task *task;
	sd_event_source *timer; /* for one more look */
	bool wanted;		/* a look, once the child is done */
	unsigned int again;	/* more looks, if something waits still */
};

struct shared {
	const struct migrations *migrations;
};

enum status {
	QUIET,	  /* of a look: nothing waits; of the trial: not needed */
	WAITS,	  /* something does; it is needed */
	NOT_SEEN, /* the look failed */
};

/* --- in a child --- */

static int run_trial(void *arg)
{
	const struct shared *shared = arg;

	shared->migrations->config.begin(shared->migrations->config.arg);
	return wake_listeners_needed() ? WAITS : QUIET;
}

static int run_look(void *arg)
{
	const struct shared *shared = arg;
	const struct migrations_config *config = &shared->migrations->config;
	int waiting;

	config->begin(config->arg);
	waiting = wake_listeners(pins_state(config->pins), WAKE_LOOKS);
	return waiting < 0 ? NOT_SEEN : waiting ? WAITS : QUIET;
}

static void begin(struct migrations *migrations, const struct task_spec *spec)
{
	const struct shared shared = { .migrations = migrations };

	if (task_start(migrations->config.loop, spec, &shared, migrations, &migrations->task))
		spec->done(migrations, -EAGAIN, NULL);
}

/* --- in the loop --- */

static void look(struct migrations *migrations);

static int on_again(sd_event_source *source, uint64_t usec, void *arg)
{
	(void)source;
	(void)usec;
	look(arg);
	return 0;
}

static void look_again(struct migrations *migrations)
{
	if (!migrations->again)
		return;
	migrations->again--;
	sd_event_source_set_time_relative(migrations->timer, AGAIN_US);
	sd_event_source_set_enabled(migrations->timer, SD_EVENT_ONESHOT);
}

static void on_looked(void *arg, int status, void *shared)
{
	struct migrations *migrations = arg;

	(void)shared;
	migrations->task = NULL;
	if (status != -EAGAIN && migrations->wanted)
		look(migrations);
	else if (status != QUIET)
		look_again(migrations);
}

static const struct task_spec looks = { run_look, on_looked, sizeof(struct shared), DEADLINE_MS };

/* What migrates while the child looks is told anew, as the program is asked for that before. */
static void look(struct migrations *migrations)
{
	const struct state *state = pins_state(migrations->config.pins);

	if (!state || migrations->needed != NEEDED)
		return;
	migrations->wanted = migrations->task;
	if (migrations->task)
		return;
	wake_arm_migration(state);
	begin(migrations, &looks);
}

static void on_tried(void *arg, int status, void *shared)
{
	struct migrations *migrations = arg;

	(void)shared;
	migrations->task = NULL;
	/* where it can't be tried it is done */
	migrations->needed = status == QUIET ? NOT_NEEDED : NEEDED;
	wake_listeners_know(status != QUIET);
	migrations_check(migrations);
}

static const struct task_spec trial = { run_trial, on_tried, sizeof(struct shared), DEADLINE_MS };

void migrations_check(struct migrations *migrations)
{
	if (!migrations)
		return;
	migrations->again = MOST_AGAIN;
	look(migrations);
}

int migrations_new(const struct migrations_config *config, struct migrations **out)
{
	struct migrations *migrations;
	int err;

	*out = NULL;
	if (!probe_features()->migrate)
		return 0;
	migrations = calloc(1, sizeof(*migrations));
	if (!migrations)
		return -ENOMEM;
	migrations->config = *config;
	err = sd_event_add_time_relative(config->loop, &migrations->timer, CLOCK_MONOTONIC, 0, 0,
					 on_again, migrations);
	if (err >= 0)
		err = sd_event_source_set_enabled(migrations->timer, SD_EVENT_OFF);
	if (err < 0) {
		migrations_free(migrations);
		return err;
	}
	begin(migrations, &trial);
	*out = migrations;
	return 0;
}

void migrations_free(struct migrations *migrations)
{
	if (!migrations)
		return;
	task_cancel(migrations->task);
	sd_event_source_disable_unref(migrations->timer);
	free(migrations);
}
