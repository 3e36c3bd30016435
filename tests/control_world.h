/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A control socket for unit tests, of service web, with verbs that do next to nothing. */
#ifndef CONTROL_WORLD_H
#define CONTROL_WORLD_H

#include <jansson.h>
#include <stdbool.h>
#include <systemd/sd-event.h>

#include "check.h"
#include "keeper/control.h"

extern sd_event *loop;
extern struct control *control;
extern json_t *events;
extern json_int_t last_seq;
extern int passed_now;	     /* hello came with a descriptor */
extern struct client *waits; /* the last that asked for stop: it gets no answer */
extern struct admission_rule rule;

/* For cmocka: opened by a run before each test, closed after it. */
int control_begin(void **state);
int control_end(void **state);
int control_open_as(bool runs_workers);
#define with_control(test) cmocka_unit_test_setup_teardown(test, control_begin, control_end)

void control_run_all(void);
int control_connect_client(void);
/* The status of what has come, -1 = nothing, -2 = the connection is closed. */
int control_status_of(int fd);
/* As that; -3 = it can't be sent. */
int control_ask(int fd, const char *text);

#endif
