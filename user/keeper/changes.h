/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the keeper changes about its service. It takes the service's lock, which others may have,
 * and a grace period of the kernel's: so changes are collected, and made together in a child, one
 * child after the other.
 */
#ifndef CHANGES_H
#define CHANGES_H

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "base/trouble.h"
#include "host/group.h"
#include "keeper/pins.h"
#include "service/attach.h"

enum change_kind {
	CHANGE_DRAIN,  /* a slot: nothing new for it */
	CHANGE_RESUME, /* a slot: its share again */
	CHANGE_RETIRE, /* a worker: its slots are free */
};

struct change {
	enum change_kind kind;
	uint32_t which;		     /* slot or worker */
	uint32_t worker, generation; /* the caller's: for whom */
};

struct changes_result {
	bool refreshed; /* the service was brought up to date with its sockets, or that failed */
	bool made;	/* there is a new service */
	int status;	/* of the refresh: EXIT_DONE, or with a trouble */
	char text[sizeof(((struct trouble *)0)->text)];
	struct attach_result attach;
};

struct changes_config {
	sd_event *loop;
	struct pins *pins;
	/*
	 * In the child: brings the service up to date with its sockets. `state` is the service,
	 * locked, or NULL where there is none. Returns as attach_groups().
	 */
	int (*refresh)(void *arg, struct state *state, struct attach_result *result,
		       struct trouble *trouble);
	/* In the child, first of all. */
	void (*begin)(void *arg);
	/* These changes were made, if there was a slot to change. */
	void (*done)(void *arg, const struct change *changes, size_t n,
		     const struct changes_result *result);
	/* Somebody holds the lock, or the child was killed; it is tried again. */
	void (*delayed)(void *arg, const char *why);
	void *arg;
};

struct changes;

struct changes *changes_new(const struct changes_config *config);
void changes_free(struct changes *changes);

/* What is wanted is written down until changes_begin(): together, it costs one child. */
void changes_add(struct changes *changes, const struct change *change);
void changes_refresh(struct changes *changes);
/* Counts the connections anew, once no other change is wanted. */
void changes_recount(struct changes *changes);
void changes_begin(struct changes *changes);

/*
 * Is one of changes_add() under way, or wanted? And one that drains this slot? A refresh does not
 * count: who opens and closes sockets without end has one wanted at any time.
 */
bool changes_pending(const struct changes *changes);
bool changes_drain(const struct changes *changes, uint32_t slot);

/* No more are begun. */
void changes_stop(struct changes *changes);

/*
 * Does a child make some now? Its end is told by `done`. And which one gives slots to sockets now?
 * They are numbered from 1; 0 = none does.
 */
bool changes_are_made(const struct changes *changes);
uint64_t changes_giving(const struct changes *changes);

#endif
