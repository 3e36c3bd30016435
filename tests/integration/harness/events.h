/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The events of a run, as its keepers publish them: the test subscribes to each keeper's socket,
 * also to that of the next one, and keeps all events as JSON objects. "keeper" is added, the pid of
 * who told; "seq" says which are told again to somebody who subscribes again.
 *
 * What is looked for is a type and `fields`, which with what follows is a format of json_pack() for
 * an object, or NULL: an event is like that if its values for these keys are the same. An object is
 * the same if it holds those keys, and a text of "text" if it holds those words:
 *
 *	run_expect_events(&run, 1, "exit", "{s:i, s:s}", "worker", 2, "signal", "SIGKILL");
 */
#ifndef HARNESS_EVENTS_H
#define HARNESS_EVENTS_H

#include <jansson.h>
#include <stddef.h>

struct run;

/* Fails the test, with all events and the log, unless so many are told soon, and no more. */
void run_expect_events(const struct run *run, unsigned int count, const char *type,
		       const char *fields, ...);
/* How many were told so far. */
unsigned int run_events(const struct run *run, const char *type, const char *fields, ...);
/* The n-th of them, from 0; fails the test if there are fewer. Not to be json_decref()ed. */
const json_t *run_event(const struct run *run, size_t n, const char *type, const char *fields, ...);
/* Fails the test unless all that was told is of these types; the last one is NULL. */
void run_expect_types(const struct run *run, const char *const *types);

/*
 * Until the lbctl that was started last answers: it has found what lives of the run, as far as it
 * sees at first glance.
 */
void run_expect_keeper(const struct run *run);

/* To stderr. */
void run_show_events(const struct run *run);

/* --- for runs.c --- */

/* From now on the events of this name are kept; those from before are not. */
void events_follow(const char *name);
/* Nobody's any more. */
void events_forget(void);
/* Takes what has come; never waits. */
void events_take(void);

#endif
