/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What long work tells on a terminal while it goes on: one line of standard error that is written
 * again and again, and is gone at the end. Nothing of it elsewhere, with --json, and where TERM is
 * dumb or not set.
 */
#ifndef PROGRESS_H
#define PROGRESS_H

#include "cmd/cmd.h"

/* What the events of a keeper say of an operation. All zero but `verb` before the first. */
struct progress_facts {
	const char *verb; /* "reload", "restart", "scale" or "stop" */
	bool begun;	  /* it goes on */
	uint32_t workers; /* that are to be, or with stop to end; 0 = not known */
	uint32_t online;  /* scale: are now */
	uint32_t done;	  /* reload: have a new process; stop: have ended */
	char last[256];	  /* what was told last */
};

/* Takes the next event of lbctl-json(5), also those from before, which are told first. */
void progress_take(struct progress_facts *facts, const json_t *event);

/* "2 of 4 workers replaced; worker 1 (pid 812) is online"; "" = nothing is known yet. */
void progress_text(const struct progress_facts *facts, char *out, size_t bytes);

struct progress {
	bool shown;
	char what[192]; /* "reload web" */
	uint64_t start_ns;
	char line[1024]; /* that is there, "" = none */
};

void progress_begin(struct progress *progress, const struct cmd *cmd, const char *name);
/* Writes the line, with how long it has taken, once it takes longer than a moment. */
void progress_say(struct progress *progress, const char *text);
void progress_end(struct progress *progress);

/*
 * Asks the keeper, on a descriptor that is connected to it, and waits until its answer can be read;
 * where the terminal is to have it, tells what the keeper tells of `verb` meanwhile. Returns 0,
 * -EMSGSIZE or -errno.
 */
int progress_request(const struct cmd *cmd, const char *name, int fd, const json_t *request);

#endif
