// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See holder.h. */
#include "keeper/holder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text_json.h"
#include "keeper/hold_loop.h"
#include "keeper/task.h"
#include "service/hold.h"

#define SHORT_PAUSE_US 200000ULL
#define FIRST_PAUSE_US 1000000ULL
#define LONGEST_PAUSE_US 60000000ULL
#define GOOD_LIFE_US 2000000ULL /* after that an end is the first one again */

struct holder {
	struct holder_config config;
	struct task *task;
	uint64_t serial; /* of the pins that it has opened */
	int tell_fd, report_fd;
	sd_event_source *reports, *timer;
	uint64_t begun_us;
	uint64_t pause_us; /* the last one, after a failure */
	bool stopped;
	char why[112]; /* told last: why nothing can be held */
};

struct shared {
	const struct holder *holder;
	int told_fd, report_fd;
};

/* --- in the child --- */

static int run(void *arg)
{
	const struct shared *shared = arg;
	const struct holder_config *config = &shared->holder->config;

	config->begin(config->arg);
	return hold_loop_run(config->name, shared->told_fd, shared->report_fd);
}

/* --- in the loop --- */

static void tell_word(struct holder *holder, const struct hold_report *report)
{
	switch (report->word) {
	case HOLD_STARTED:
		holder->config.started(holder->config.arg, (uint32_t)report->number);
		break;
	case HOLD_BEGINS:
		holder->why[0] = '\0';
		event_tell(holder->config.log, "holding",
			   text_pack("{s:I}", "work_us", (json_int_t)(report->number / 1000)),
			   "a connection that finds no idle worker waits for one from now on");
		break;
	case HOLD_ENDS:
		event_tell(holder->config.log, "not-holding", NULL,
			   "connections no longer wait for an idle worker");
		break;
	case HOLD_CANNOT:
		if (!strcmp(holder->why, report->text))
			break;
		memcpy(holder->why, report->text, sizeof(holder->why));
		event_tell(holder->config.log, "not-holding",
			   text_pack("{s:s}", "why", report->text),
			   "no connection can wait for an idle worker: %s", report->text);
		break;
	}
}

static int on_report(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct holder *holder = arg;
	struct hold_report report;

	(void)events;
	if (read(fd, &report, sizeof(report)) == (ssize_t)sizeof(report)) {
		report.text[sizeof(report.text) - 1] = '\0';
		tell_word(holder, &report);
		return 0;
	}
	/* it has ended, as its exit will say */
	sd_event_source_set_enabled(source, SD_EVENT_OFF);
	return 0;
}

static void let_go(struct holder *holder)
{
	const struct state *state = pins_state(holder->config.pins);

	holder->reports = sd_event_source_disable_unref(holder->reports);
	close_fd(&holder->report_fd);
	close_fd(&holder->tell_fd);
	holder->config.started(holder->config.arg, 0);
	if (state && holder->serial == pins_serial(holder->config.pins))
		hold_reset(state);
}

static int on_pause_end(sd_event_source *source, uint64_t usec, void *arg)
{
	struct holder *holder = arg;

	(void)source;
	(void)usec;
	holder->timer = sd_event_source_disable_unref(holder->timer);
	holder->config.ended(holder->config.arg);
	holder_check(holder);
	return 0;
}

static void pause_first(struct holder *holder, uint64_t us)
{
	if (!holder->stopped && !holder->timer)
		sd_event_add_time_relative(holder->config.loop, &holder->timer, CLOCK_MONOTONIC, us,
					   0, on_pause_end, holder);
}

static uint64_t now_us(const struct holder *holder)
{
	uint64_t now = 0;

	sd_event_now(holder->config.loop, CLOCK_MONOTONIC, &now);
	return now;
}

/* After a failure, longer each time. */
static uint64_t next_pause(struct holder *holder)
{
	if (now_us(holder) - holder->begun_us > GOOD_LIFE_US)
		holder->pause_us = 0;
	holder->pause_us = holder->pause_us ? holder->pause_us * 2 : FIRST_PAUSE_US;
	if (holder->pause_us > LONGEST_PAUSE_US)
		holder->pause_us = LONGEST_PAUSE_US;
	return holder->pause_us;
}

static void on_end(void *arg, int status, void *shared)
{
	struct holder *holder = arg;

	(void)status;
	(void)shared;
	holder->task = NULL;
	/* its last words */
	while (holder->reports && sd_event_source_get_enabled(holder->reports, NULL) > 0)
		on_report(holder->reports, holder->report_fd, 0, holder);
	let_go(holder);
	pause_first(holder, next_pause(holder));
}

static const struct task_spec spec = { run, on_end, sizeof(struct shared), TASK_NO_DEADLINE };

/* Both ends of each are in the child, too, which closes what is not its own. */
static int start(struct holder *holder)
{
	int told[2] = { -1, -1 }, reports[2] = { -1, -1 };
	struct shared shared = { .holder = holder };
	int err = 0;

	if (pipe2(told, O_CLOEXEC | O_NONBLOCK) || pipe2(reports, O_CLOEXEC | O_NONBLOCK))
		err = -errno;
	shared.told_fd = told[0];
	shared.report_fd = reports[1];
	if (!err)
		err = task_start(holder->config.loop, &spec, &shared, holder, &holder->task);
	if (!err)
		err = sd_event_add_io(holder->config.loop, &holder->reports, reports[0], EPOLLIN,
				      on_report, holder);
	close_fd(&told[0]);
	close_fd(&reports[1]);
	holder->tell_fd = told[1];
	holder->report_fd = reports[0];
	return err < 0 ? err : 0;
}

/* The next one is begun once its sockets are surely closed. */
static void end(struct holder *holder, uint64_t pause_us)
{
	/* before it goes, so that what migrates goes to a worker, and not to its next one */
	let_go(holder);
	task_cancel(holder->task);
	holder->task = NULL;
	let_go(holder);
	pause_first(holder, pause_us);
}

static void begin(struct holder *holder)
{
	holder->serial = pins_serial(holder->config.pins);
	holder->begun_us = now_us(holder);
	if (start(holder))
		end(holder, LONGEST_PAUSE_US);
}

void holder_check(struct holder *holder)
{
	const struct state *state;
	bool wanted;

	if (!holder || holder->stopped)
		return;
	state = pins_state(holder->config.pins);
	wanted = state && hold_is_wanted(state);
	if (holder->task && (!wanted || holder->serial != pins_serial(holder->config.pins)))
		end(holder, SHORT_PAUSE_US);
	if (wanted && !holder->task && !holder->timer)
		begin(holder);
}

void holder_tell(struct holder *holder)
{
	holder_check(holder);
	/* if that fails it has enough to read */
	if (holder && holder->task && write(holder->tell_fd, "", 1) < 0)
		return;
}

void holder_is_stuck(struct holder *holder)
{
	if (!holder || !holder->task)
		return;
	event_tell(holder->config.log, "not-holding", text_pack("{s:s}", "why", "no answer"),
		   "the process that lets waiting connections go does not answer: it is ended, and "
		   "what waits goes to the workers");
	end(holder, next_pause(holder));
}

struct holder *holder_new(const struct holder_config *config)
{
	struct holder *holder = calloc(1, sizeof(*holder));

	if (!holder)
		return NULL;
	holder->config = *config;
	holder->tell_fd = holder->report_fd = -1;
	return holder;
}

void holder_stop(struct holder *holder)
{
	if (!holder || holder->stopped)
		return;
	holder->stopped = true;
	holder->timer = sd_event_source_disable_unref(holder->timer);
	end(holder, 0);
}

void holder_free(struct holder *holder)
{
	holder_stop(holder);
	free(holder);
}
