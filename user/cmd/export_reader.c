// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See export_reader.h. */
#include "cmd/export_reader.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "base/text_json.h"
#include "base/trouble.h"
#include "cmd/change_job.h"
#include "cmd/export_pictures.h"
#include "cmd/follow.h"
#include "cmd/metrics.h"
#include "cmd/show_json.h"
#include "cmd/views.h"
#include "web/change.h"
#include "web/frame.h"

/* A command that makes a change. */
struct job {
	struct reader *reader;
	uint32_t id;
	struct change_job command;
	sd_event_source *source;
};

struct reader {
	struct reader_config config;
	sd_event *loop;
	struct frame in;
	struct follow follow;
	struct pictures pictures;
	size_t changing;
};

/* --- looking --- */

static uint64_t time_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * 1000ULL + now.tv_nsec / 1000000;
}

static json_t *state_json(struct reader *reader, const struct views *views, bool follows)
{
	json_t *list = json_array(), *shown = json_array(), *unreadable = json_array(), *events;

	for (size_t i = 0; i < views->count; i++) {
		json_array_append_new(list, show_list_json(&views->at[i]));
		json_array_append_new(shown, show_json(&views->at[i]));
		if (follows && views->at[i].keeper)
			follow_add(&reader->follow, views->at[i].name);
	}
	for (size_t i = 0; i < views->nr_unreadable; i++) {
		json_t *row = show_error_json(views->unreadable[i].name,
					      views->unreadable[i].trouble.text);

		json_array_append(list, row);
		json_array_append_new(unreadable, row);
	}
	if (!follows)
		follow_end(&reader->follow);
	events = follow_take(&reader->follow);
	pictures_events(&reader->pictures, events);
	return text_pack("{s:I, s:o, s:o, s:o, s:o, s:b}", "time_ms", (json_int_t)time_ms(), "list",
			 list, "services", shown, "unreadable", unreadable, "events", events,
			 "following", follows);
}

static int answer_metrics(struct reader *reader, const struct views *views)
{
	_cleanup_free_ char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	if (!out)
		return -ENOMEM;
	metrics_print(out,
		      reader->in.head.kind == FRAME_OPENMETRICS ? METRICS_OPENMETRICS :
								  METRICS_PROMETHEUS,
		      views->at, views->count);
	if (fclose(out))
		return -ENOMEM;
	return frame_write(reader->config.web_fd, reader->in.head.kind, reader->in.head.id, text,
			   bytes);
}

static int answer_state(struct reader *reader, const struct views *views)
{
	bool follows = reader->in.head.bytes && *reader->in.body == '1';
	json_t *state = state_json(reader, views, follows);
	_cleanup_free_ char *text = state ? json_dumps(state, JSON_COMPACT) : NULL;

	json_decref(state);
	if (!text)
		return -ENOMEM;
	return frame_write(reader->config.web_fd, FRAME_STATE, reader->in.head.id, text,
			   strlen(text));
}

/* The question has the service's name; an empty answer says that there is none. */
static int answer_picture(struct reader *reader)
{
	_cleanup_free_ char *text = NULL;
	size_t bytes = 0;
	FILE *out = open_memstream(&text, &bytes);
	int err = out ? pictures_write(&reader->pictures, reader->in.body, out) : -ENOMEM;

	if (out && fclose(out))
		err = -ENOMEM;
	if (err && err != -ENOENT)
		return err;
	return frame_write(reader->config.web_fd, FRAME_PICTURE, reader->in.head.id, text,
			   err ? 0 : bytes);
}

static int answer_look(struct reader *reader)
{
	struct views views;
	int err = views_load(&views, NULL, NULL);

	if (!err)
		pictures_look(&reader->pictures, views.at, views.count, time_ms() / 1e3);
	if (!err && reader->in.head.kind == FRAME_STATE)
		err = answer_state(reader, &views);
	else if (!err && reader->in.head.kind == FRAME_PICTURE)
		err = answer_picture(reader);
	else if (!err)
		err = answer_metrics(reader, &views);
	views_free(&views);
	return err;
}

/* --- changing --- */

/* What HTTP has for an exit status. */
static const uint32_t statuses[] = {
	[EXIT_DONE] = 200,	[EXIT_FAILED] = 500,   [EXIT_USAGE] = 400,
	[EXIT_NOT_FOUND] = 404, [EXIT_NOT_ABLE] = 403,
};

static int answer_change(struct reader *reader, uint32_t id, uint32_t http, uint32_t status,
			 const char *text)
{
	_Alignas(struct change_answer) char bytes[sizeof(struct change_answer) + CHANGE_SAID_BYTES];
	struct change_answer *answer = (struct change_answer *)bytes;

	answer->http = http;
	answer->status = status;
	text_format(answer->text, CHANGE_SAID_BYTES, "%s", text);
	return frame_write(reader->config.web_fd, FRAME_CHANGE, id, bytes,
			   sizeof(*answer) + strlen(answer->text) + 1);
}

static void job_free(struct job *job)
{
	job->reader->changing--;
	sd_event_source_disable_unref(job->source);
	change_job_leave(&job->command);
	free(job);
}

/* It has closed its output, and so ends. */
static int job_end(struct job *job)
{
	struct reader *reader = job->reader;
	int status = change_job_end(&job->command), err;

	if (status >= (int)(sizeof(statuses) / sizeof(*statuses)))
		status = EXIT_FAILED;
	err = answer_change(reader, job->id, statuses[status], status, job->command.said);
	job_free(job);
	return err ? sd_event_exit(reader->loop, err) : 0;
}

static int on_said(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct job *job = arg;

	(void)source;
	(void)fd;
	(void)events;
	return change_job_read(&job->command) ? job_end(job) : 0;
}

static int job_start(struct reader *reader, const struct change_words *words)
{
	struct job *job = calloc(1, sizeof(*job));
	int err;

	if (!job)
		return -ENOMEM;
	job->reader = reader;
	job->id = reader->in.head.id;
	reader->changing++;
	err = change_job_start(&job->command, (char *const *)words->argv);
	if (!err)
		err = sd_event_add_io(reader->loop, &job->source, job->command.fd, EPOLLIN, on_said,
				      job);
	if (err < 0)
		job_free(job);
	return err < 0 ? err : 0;
}

/* Returns 0 or -errno: who asks and can't be answered is none to go on with. */
static int begin_change(struct reader *reader)
{
	struct change change = { 0 };
	struct change_words words;
	uint32_t id = reader->in.head.id;
	int err;

	if (reader->in.head.bytes == sizeof(change))
		memcpy(&change, reader->in.body, sizeof(change));
	if (!reader->config.token || change_token_differs(&change, reader->config.token))
		return answer_change(reader, id, 401, EXIT_NOT_ABLE,
				     "a change takes Authorization: Bearer TOKEN, the word in the "
				     "file of --token-file");
	if (change_command(&change, &words))
		return answer_change(reader, id, 400, EXIT_USAGE, "not a change that there is");
	if (reader->changing >= READER_MOST_CHANGES)
		return answer_change(reader, id, 503, EXIT_FAILED,
				     "too many changes are under way; try again");
	err = job_start(reader, &words);
	return err ? answer_change(reader, id, 500, EXIT_FAILED, strerror(-err)) : 0;
}

/* --- the process --- */

static int on_question(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct reader *reader = arg;
	int got = frame_read(fd, &reader->in, sizeof(struct change)), err;

	(void)source;
	(void)events;
	if (got < 0)
		return sd_event_exit(reader->loop, got);
	if (!got)
		return 0;
	err = reader->in.head.kind == FRAME_CHANGE ? begin_change(reader) : answer_look(reader);
	frame_drop(&reader->in);
	return err ? sd_event_exit(reader->loop, err) : 0;
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *arg)
{
	struct reader *reader = arg;

	(void)source;
	(void)info;
	return sd_event_exit(reader->loop, 0);
}

int reader_run(const struct reader_config *config)
{
	static const int ends[] = { SIGTERM, SIGINT };
	struct reader reader = { .config = *config };
	int err = sd_event_new(&reader.loop);
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < 2; i++)
		sigaddset(&set, ends[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < 2 && err >= 0; i++)
		err = sd_event_add_signal(reader.loop, NULL, ends[i], on_signal, &reader);
	if (err >= 0)
		err = sd_event_add_io(reader.loop, NULL, config->web_fd, EPOLLIN, on_question,
				      &reader);
	if (err >= 0) {
		sd_notify(0, "READY=1");
		err = sd_event_loop(reader.loop);
		sd_notify(0, "STOPPING=1");
	}
	follow_end(&reader.follow);
	pictures_free(&reader.pictures);
	frame_drop(&reader.in);
	sd_event_unref(reader.loop);
	return err;
}
