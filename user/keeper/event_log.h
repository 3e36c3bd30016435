/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What happens to a service, told as it happens: a line on standard output for people, an object
 * for those who follow (`lbctl events`), who get the last ones first.
 */
#ifndef EVENT_LOG_H
#define EVENT_LOG_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

struct event_log;

/* NULL without memory. */
struct event_log *event_log_open(sd_event *loop);
void event_log_close(struct event_log *log);

/* Is called after each event from now on; one at a time. */
void event_log_follow(struct event_log *log, void (*follow)(void *arg), void *arg);

/* The last of them, oldest first: an array of the log's. "seq" counts them from 1, without gaps. */
const json_t *event_log_recent(const struct event_log *log);

/*
 * Tells what happened: `type` and `details` (taken over, may be NULL) for programs, the rest for
 * people.
 */
void event_tell(struct event_log *log, const char *type, json_t *details, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* The same of a worker's process; the text begins "worker 3 (pid 4711) ". */
void event_tell_worker(struct event_log *log, const char *type, uint32_t worker, pid_t pid,
		       json_t *details, const char *format, ...)
	__attribute__((format(printf, 6, 7)));

/*
 * The same of a process that lbctl has started. Under --forks that is the main process, which is no
 * worker: the text begins "main process (pid 4711) ", and "main" is true instead of "worker".
 */
void event_tell_process(struct event_log *log, const char *type, uint32_t worker, pid_t pid,
			json_t *details, const char *format, ...)
	__attribute__((format(printf, 6, 7)));
void event_log_forks(struct event_log *log);

/*
 * May one more thing be told that this worker can have happen as often as it likes? So many at
 * once, then one a second; how often it may not is told every ten seconds (event "flood").
 */
bool event_log_may_tell(struct event_log *log, uint32_t worker, pid_t pid);

/* A line that is no event. */
void event_log_print(struct event_log *log, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Standard output leads elsewhere now. */
void event_log_reopen(struct event_log *log);

#endif
