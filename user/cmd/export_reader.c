// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See export_reader.h. */
#include "cmd/export_reader.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "base/text_json.h"
#include "base/trouble.h"
#include "cmd/follow.h"
#include "cmd/metrics.h"
#include "cmd/show_json.h"
#include "cmd/view.h"
#include "web/change.h"
#include "web/frame.h"

#define SAID_BYTES 1024 /* of what a command prints */

/* A command that makes a change. */
struct change_job {
	struct reader *reader;
	uint32_t id;
	pid_t pid;
	int fd; /* what it prints */
	char said[SAID_BYTES];
	size_t bytes;
	sd_event_source *source;
};

struct reader {
	struct reader_config config;
	sd_event *loop;
	struct frame in;
	struct follow follow;
	size_t changing;
};

/* --- looking --- */

struct services {
	struct view *views;
	size_t count;
	json_t *unreadable; /* as rows of list --json */
};

static void services_free(struct services *services)
{
	for (size_t i = 0; i < services->count; i++)
		view_free(&services->views[i]);
	free(services->views);
	json_decref(services->unreadable);
}

static void add_service(struct services *services, const char *name, struct census *census)
{
	struct view *view = &services->views[services->count];
	struct trouble trouble;
	int err = view_load_name(name, census, view);

	if (!err) {
		view_load_usage(view);
		services->count++;
	} else if (err != -ENOENT) {
		state_trouble(&trouble, name, err);
		json_array_append_new(services->unreadable, show_error_json(name, trouble.text));
	}
}

/* Without a bpffs there are none; 0 or -errno. */
static int services_load(struct services *services)
{
	_cleanup_free_ char(*names)[LB_NAME_MAX + 1] = NULL;
	struct census census = { .of_all = true };
	size_t n = 0;
	int err = state_names(&names, &n);

	*services = (struct services){ .unreadable = json_array() };
	if (err && err != -ENODEV)
		return err;
	services->views = calloc(n + 1, sizeof(*services->views));
	if (!services->views)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		add_service(services, names[i], &census);
	census_free(&census);
	return 0;
}

static uint64_t time_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * 1000ULL + now.tv_nsec / 1000000;
}

static json_t *state_json(struct reader *reader, const struct services *services, bool follows)
{
	json_t *list = json_array(), *shown = json_array(), *row, *events;
	size_t i;

	for (i = 0; i < services->count; i++) {
		json_array_append_new(list, show_list_json(&services->views[i]));
		json_array_append_new(shown, show_json(&services->views[i]));
		if (follows && services->views[i].keeper)
			follow_add(&reader->follow, services->views[i].name);
	}
	json_array_foreach(services->unreadable, i, row) {
		json_array_append(list, row);
	}
	if (!follows)
		follow_end(&reader->follow);
	events = follow_take(&reader->follow);
	return text_pack("{s:I, s:o, s:o, s:o, s:o, s:b}", "time_ms", (json_int_t)time_ms(), "list",
			 list, "services", shown, "unreadable", json_incref(services->unreadable),
			 "events", events, "following", follows);
}

static int answer_metrics(struct reader *reader, const struct services *services)
{
	_cleanup_free_ char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	if (!out)
		return -ENOMEM;
	metrics_print(out,
		      reader->in.head.kind == FRAME_OPENMETRICS ? METRICS_OPENMETRICS :
								  METRICS_PROMETHEUS,
		      services->views, services->count);
	if (fclose(out))
		return -ENOMEM;
	return frame_write(reader->config.web_fd, reader->in.head.kind, reader->in.head.id, text,
			   bytes);
}

static int answer_state(struct reader *reader, const struct services *services)
{
	bool follows = reader->in.head.bytes && *reader->in.body == '1';
	json_t *state = state_json(reader, services, follows);
	_cleanup_free_ char *text = state ? json_dumps(state, JSON_COMPACT) : NULL;

	json_decref(state);
	if (!text)
		return -ENOMEM;
	return frame_write(reader->config.web_fd, FRAME_STATE, reader->in.head.id, text,
			   strlen(text));
}

static int answer_look(struct reader *reader)
{
	struct services services;
	int err = services_load(&services);

	if (!err && reader->in.head.kind == FRAME_STATE)
		err = answer_state(reader, &services);
	else if (!err)
		err = answer_metrics(reader, &services);
	services_free(&services);
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
	_Alignas(struct change_answer) char bytes[sizeof(struct change_answer) + SAID_BYTES];
	struct change_answer *answer = (struct change_answer *)bytes;

	answer->http = http;
	answer->status = status;
	text_format(answer->text, SAID_BYTES, "%s", text);
	return frame_write(reader->config.web_fd, FRAME_CHANGE, id, bytes,
			   sizeof(*answer) + strlen(answer->text) + 1);
}

static void job_free(struct change_job *job)
{
	job->reader->changing--;
	sd_event_source_disable_unref(job->source);
	close_fd(&job->fd);
	free(job);
}

/* It has closed its output, and so ends. */
static int job_end(struct change_job *job)
{
	struct reader *reader = job->reader;
	int result = 0, status = EXIT_FAILED, err;

	waitpid(job->pid, &result, 0);
	if (WIFEXITED(result) && WEXITSTATUS(result) < (int)(sizeof(statuses) / sizeof(*statuses)))
		status = WEXITSTATUS(result);
	job->said[strcspn(job->said, "\n")] = '\0';
	err = answer_change(reader, job->id, statuses[status], status, job->said);
	job_free(job);
	return err ? sd_event_exit(reader->loop, err) : 0;
}

static int on_said(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct change_job *job = arg;
	char rest[SAID_BYTES];
	size_t room = sizeof(job->said) - 1 - job->bytes;
	ssize_t n = read(fd, room ? job->said + job->bytes : rest, room ? room : sizeof(rest));

	(void)source;
	(void)events;
	if (n < 0 && errno == EINTR)
		return 0;
	if (n <= 0)
		return job_end(job);
	job->bytes += room ? n : 0;
	return 0;
}

/* The signals that this process waits for are not blocked in it. Returns 0 or -errno. */
static int job_spawn(struct change_job *job, char *const argv[], int out)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	sigset_t none;
	int err;

	sigemptyset(&none);
	posix_spawn_file_actions_init(&files);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
	posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&files, out, STDERR_FILENO);
	err = posix_spawn(&job->pid, "/proc/self/exe", &files, &attributes, argv, environ);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attributes);
	return -err;
}

static int job_start(struct reader *reader, const struct change_words *words)
{
	struct change_job *job = calloc(1, sizeof(*job));
	int ends[2], err;

	if (!job)
		return -ENOMEM;
	*job = (struct change_job){ .reader = reader, .id = reader->in.head.id, .fd = -1 };
	reader->changing++;
	err = pipe2(ends, O_CLOEXEC) ? -errno : 0;
	if (!err) {
		job->fd = ends[0];
		err = job_spawn(job, (char *const *)words->argv, ends[1]);
		close(ends[1]);
	}
	if (!err)
		err = sd_event_add_io(reader->loop, &job->source, job->fd, EPOLLIN, on_said, job);
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
	frame_drop(&reader.in);
	sd_event_unref(reader.loop);
	return err;
}
