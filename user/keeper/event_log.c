// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See event_log.h. */
#include "keeper/event_log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "base/text_json.h"
#include "keeper/output.h"
#include "lb_abi.h"

#define RECENT_EVENTS 256
#define MOST_TEXT 1024
#define MOST_EVENT_BYTES 16384
#define MOST_VALUE_BYTES 1024

#define AT_ONCE 50
#define SECOND_US 1000000ULL
#define UNTOLD_US (10 * SECOND_US)

/* What one worker can have happen as often as it likes. */
struct often {
	uint64_t since_us; /* when `spent` was right */
	uint64_t told_us;  /* when it was told what was not told */
	uint64_t spent, untold;
};

struct event_log {
	struct output *output;
	json_t *recent;
	json_int_t sequence;
	bool forks;
	void (*follow)(void *arg);
	void *follow_arg;
	struct often often[LB_MAX_WORKERS];
};

struct event_log *event_log_open(sd_event *loop)
{
	struct event_log *log = calloc(1, sizeof(*log));

	if (!log)
		return NULL;
	log->recent = json_array();
	log->output = output_open(loop, STDOUT_FILENO);
	return log;
}

void event_log_close(struct event_log *log)
{
	if (!log)
		return;
	output_close(log->output);
	json_decref(log->recent);
	free(log);
}

void event_log_follow(struct event_log *log, void (*follow)(void *arg), void *arg)
{
	log->follow = follow;
	log->follow_arg = arg;
}

const json_t *event_log_recent(const struct event_log *log)
{
	return log->recent;
}

void event_log_reopen(struct event_log *log)
{
	output_reopen(log->output);
}

/*
 * Who follows gets an event in a packet, and 256 are kept: what is long in a larger one is null,
 * and its key is in "left_out".
 */
static void bound(json_t *event)
{
	json_t *left_out, *value;
	const char *key;
	void *next;

	if (json_dumpb(event, NULL, 0, JSON_COMPACT) <= MOST_EVENT_BYTES)
		return;
	left_out = json_array();
	json_object_foreach_safe(event, next, key, value) {
		if (json_dumpb(value, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY) <= MOST_VALUE_BYTES)
			continue;
		json_array_append_new(left_out, text_json(key));
		json_object_set_new(event, key, json_null());
	}
	/* many that are not long: what others say has changed */
	if (json_dumpb(event, NULL, 0, JSON_COMPACT) > MOST_EVENT_BYTES)
		json_object_clear(event);
	json_object_set_new(event, "left_out", left_out);
}

static void remember(struct event_log *log, json_t *event)
{
	json_array_append(log->recent, event);
	if (json_array_size(log->recent) > RECENT_EVENTS)
		json_array_remove(log->recent, 0);
}

static void print_stamped(struct event_log *log, time_t now, const char *text)
{
	char line[MOST_TEXT + 16];
	struct tm local;
	size_t len;

	len = strftime(line, sizeof(line), "%H:%M:%S ", localtime_r(&now, &local));
	snprintf(line + len, sizeof(line) - len, "%s", text);
	output_line(log->output, line);
}

/* `details` is taken over. */
static void tell(struct event_log *log, const char *type, json_t *details, const char *text)
{
	json_t *event = details ? details : json_object();
	time_t now = time(NULL);

	bound(event);
	print_stamped(log, now, text);
	json_object_set_new(event, "event", text_json(type));
	json_object_set_new(event, "seq", json_integer(++log->sequence));
	json_object_set_new(event, "time", json_integer(now));
	json_object_set_new(event, "text", text_json(text));
	remember(log, event);
	if (log->follow)
		log->follow(log->follow_arg);
	json_decref(event);
}

void event_tell(struct event_log *log, const char *type, json_t *details, const char *format, ...)
{
	char text[MOST_TEXT];
	va_list args;

	va_start(args, format);
	text_vformat(text, sizeof(text), format, args);
	va_end(args);
	tell(log, type, details, text);
}

static void tell_of(struct event_log *log, const char *type, json_t *event, const char *who,
		    pid_t pid, const char *format, va_list args)
{
	char text[MOST_TEXT];
	int len = snprintf(text, sizeof(text), "%s (pid %d) ", who, pid);

	text_vformat(text + len, sizeof(text) - len, format, args);
	json_object_set_new(event, "pid", json_integer(pid));
	tell(log, type, event, text);
}

void event_tell_worker(struct event_log *log, const char *type, uint32_t worker, pid_t pid,
		       json_t *details, const char *format, ...)
{
	json_t *event = details ? details : json_object();
	char who[24];
	va_list args;

	snprintf(who, sizeof(who), "worker %u", worker);
	json_object_set_new(event, "worker", json_integer(worker));
	va_start(args, format);
	tell_of(log, type, event, who, pid, format, args);
	va_end(args);
}

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * SECOND_US + now.tv_nsec / 1000;
}

/* What a second passed for each is as if it had not been told. */
static void recover(struct often *often, uint64_t now_us)
{
	uint64_t seconds = (now_us - often->since_us) / SECOND_US;

	often->spent -= seconds < often->spent ? seconds : often->spent;
	often->since_us += seconds * SECOND_US;
}

static void tell_untold(struct event_log *log, struct often *often, uint32_t worker, pid_t pid)
{
	uint64_t untold = often->untold;

	often->untold = 0;
	event_tell_worker(log, "flood", worker, pid,
			  text_pack("{s:I}", "untold", (json_int_t)untold),
			  "joins, or stops to accept and begins again, more often than is told: "
			  "%lu more times",
			  (unsigned long)untold);
}

bool event_log_may_tell(struct event_log *log, uint32_t worker, pid_t pid)
{
	struct often *often = &log->often[worker % LB_MAX_WORKERS];
	uint64_t now = now_us();

	recover(often, now);
	if (often->spent < AT_ONCE) {
		often->spent++;
		return true;
	}
	often->untold++;
	if (now - often->told_us >= UNTOLD_US) {
		often->told_us = now;
		tell_untold(log, often, worker, pid);
	}
	return false;
}

void event_log_forks(struct event_log *log)
{
	log->forks = true;
}

void event_tell_process(struct event_log *log, const char *type, uint32_t worker, pid_t pid,
			json_t *details, const char *format, ...)
{
	json_t *event = details ? details : json_object();
	char who[24] = "main process";
	va_list args;

	if (log->forks) {
		json_object_set_new(event, "main", json_true());
	} else {
		snprintf(who, sizeof(who), "worker %u", worker);
		json_object_set_new(event, "worker", json_integer(worker));
	}
	va_start(args, format);
	tell_of(log, type, event, who, pid, format, args);
	va_end(args);
}

void event_log_print(struct event_log *log, const char *format, ...)
{
	char text[MOST_TEXT];
	va_list args;

	va_start(args, format);
	text_vformat(text, sizeof(text), format, args);
	va_end(args);
	output_line(log->output, text);
}
