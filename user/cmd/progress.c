// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See progress.h. */
#include "cmd/progress.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "keeper/control_client.h"

#define MOMENT_NS 300000000 /* what is done by then tells nothing */
#define STEP_MS 250
#define LINE_BYTES sizeof(((struct progress *)0)->line)
#define CLEAR "\r\033[K" /* from the beginning of the line to its end */

/* --- facts --- */

static bool is(const json_t *event, const char *key, const char *text)
{
	const char *value = json_string_value(json_object_get(event, key));

	return value && !strcmp(value, text);
}

static bool begins(const struct progress_facts *facts, const json_t *event)
{
	if (!strcmp(facts->verb, "stop"))
		return is(event, "event", "stop");
	return is(event, "event", "begin") && is(event, "verb", facts->verb);
}

static void count(struct progress_facts *facts, const json_t *event)
{
	bool stops = !strcmp(facts->verb, "stop");

	if (is(event, "event", "online")) {
		facts->online++;
		facts->done += !stops;
	} else if (is(event, "event", "exit")) {
		facts->online -= facts->online > 0;
		facts->done += stops;
	}
}

void progress_take(struct progress_facts *facts, const json_t *event)
{
	const char *text = json_string_value(json_object_get(event, "text"));

	if (!text)
		return;
	if (begins(facts, event)) {
		facts->begun = true;
		facts->done = 0;
		facts->workers = json_integer_value(json_object_get(event, "workers"));
		facts->online = json_integer_value(json_object_get(event, "online"));
		*facts->last = '\0';
	} else if (facts->begun && is(event, "event", facts->verb)) {
		facts->begun = false;
	} else if (facts->begun) {
		count(facts, event);
		text_format(facts->last, sizeof(facts->last), "%s", text);
	}
}

void progress_text(const struct progress_facts *facts, char *out, size_t bytes)
{
	const char *separator = *facts->last ? "; " : "";

	*out = '\0';
	if (!facts->begun)
		return;
	if (!facts->workers)
		snprintf(out, bytes, "%s", facts->last);
	else if (!strcmp(facts->verb, "scale"))
		snprintf(out, bytes, "%u online, %u are to be%s%s", facts->online, facts->workers,
			 separator, facts->last);
	else
		snprintf(out, bytes, "%u of %u worker%s %s%s%s", facts->done, facts->workers,
			 facts->workers == 1 ? "" : "s",
			 strcmp(facts->verb, "stop") ? "replaced" : "ended", separator,
			 facts->last);
}

/* --- the line --- */

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

static void write_line(const char *text)
{
	ssize_t n = write(STDERR_FILENO, text, strlen(text));

	/* a terminal that is gone shows nothing */
	(void)n;
}

void progress_begin(struct progress *progress, const struct cmd *cmd, const char *name)
{
	const char *kind = getenv("TERM");

	progress->shown = !cmd->json && !cmd->dry_run && isatty(STDERR_FILENO) && kind && *kind &&
			  strcmp(kind, "dumb") != 0;
	progress->start_ns = now_ns();
	*progress->line = '\0';
	text_format(progress->what, sizeof(progress->what), "%s %s", cmd->command->name, name);
}

void progress_say(struct progress *progress, const char *text)
{
	uint64_t taken_ns = now_ns() - progress->start_ns;
	char line[LINE_BYTES], shown[LINE_BYTES + sizeof(CLEAR)];
	struct winsize size;

	if (!progress->shown || taken_ns < MOMENT_NS)
		return;
	text_format(line, sizeof(line), "%s, %lu s%s%s", progress->what,
		    (unsigned long)(taken_ns / 1000000000), *text ? ": " : "", text);
	/* one that is longer would go on in the next line, and stay */
	if (!ioctl(STDERR_FILENO, TIOCGWINSZ, &size) && size.ws_col)
		text_cut(line, size.ws_col - 1);
	if (!strcmp(line, progress->line))
		return;
	strcpy(progress->line, line);
	snprintf(shown, sizeof(shown), CLEAR "%s", line);
	write_line(shown);
}

void progress_end(struct progress *progress)
{
	if (*progress->line)
		write_line(CLEAR);
	progress->shown = false;
}

/* --- a keeper's --- */

/* Those who follow events get them from here on. -1 where that can't be had. */
static int follow(const char *name)
{
	_cleanup_close_ int fd = control_connect_now(name);
	json_t *request = text_pack("{s:s}", "verb", "events");
	int err = fd < 0 ? fd : control_request(fd, request);

	json_decref(request);
	return err ? -1 : fd_steal(&fd);
}

static void take_events(struct progress_facts *facts, int *fd)
{
	json_t *event;
	int err;

	while (!(err = control_receive(*fd, &event))) {
		progress_take(facts, event);
		json_decref(event);
	}
	/* the keeper is gone */
	if (err != -EAGAIN)
		close_fd(fd);
}

static void tell_until_answer(struct progress *progress, const char *verb, int fd, int events)
{
	struct progress_facts facts = { .verb = verb };
	char text[LINE_BYTES];
	struct pollfd fds[] = { { .fd = fd, .events = POLLIN }, { .events = POLLIN } };

	do {
		progress_text(&facts, text, sizeof(text));
		progress_say(progress, text);
		fds[1].fd = events;
		fds[0].revents = fds[1].revents = 0;
		if (poll(fds, 2, STEP_MS) < 0 && errno != EINTR)
			break;
		if (fds[1].revents)
			take_events(&facts, &events);
	} while (!fds[0].revents);
	close_fd(&events);
}

int progress_request(const struct cmd *cmd, const char *name, int fd, const json_t *request)
{
	const char *verb = cmd->command->name;
	struct progress progress;
	int events = -1, err;

	progress_begin(&progress, cmd, name);
	/* restart of all is a reload */
	if (json_string_value(json_object_get(request, "verb")))
		verb = json_string_value(json_object_get(request, "verb"));
	if (!strcmp(verb, "reload-env"))
		verb = "reload";
	if (progress.shown)
		events = follow(name);
	err = control_request(fd, request);
	if (!err && progress.shown)
		tell_until_answer(&progress, verb, fd, events);
	else
		close_fd(&events);
	progress_end(&progress);
	return err;
}
