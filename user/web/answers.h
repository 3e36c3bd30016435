/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The answers to requests of HTTP. What they say comes from the process that has the rights to
 * look, which is asked by frames: one question of a kind at a time, whose answer is for all who
 * wait for it, and for those who come within ANSWERS_FRESH_MS.
 */
#ifndef ANSWERS_H
#define ANSWERS_H

#include <stdbool.h>

#include "web/mhd.h"

#define ANSWERS_FRESH_MS 250
#define ANSWERS_BODY_BYTES 1024 /* the most of a request */
#define ANSWERS_FRAME_BYTES (64 << 20)
#define ANSWERS_EVENTS 256 /* that who looks on is sent first, of EVENTS_BYTES at most */
#define ANSWERS_EVENTS_BYTES (256 << 10)

struct answers;

struct answers_config {
	int reader_fd;
	const char *hosts; /* names of Host: besides those of loopback; NULL = none */
	bool changes;	   /* may be asked for */
};

/* NULL without memory. The strings stay the caller's. */
struct answers *answers_new(const struct answers_config *config);

/* For MHD_start_daemon() and MHD_OPTION_NOTIFY_COMPLETED, with a struct answers. */
enum MHD_Result answers_on_request(void *answers, struct MHD_Connection *connection,
				   const char *url, const char *method, const char *version,
				   const char *data, size_t *data_bytes, void **context);
void answers_on_end(void *answers, struct MHD_Connection *connection, void **context,
		    enum MHD_RequestTerminationCode code);

/* Takes what the other process has answered. Returns 0, -EPIPE (it is gone) or -errno. */
int answers_take(struct answers *answers);

/* Once a second: asks anew for those who look on. */
void answers_tick(struct answers *answers);

#endif
