/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the control socket consists of, for control_doors.c and control_read.c alone. */
#ifndef CONTROL_PARTS_H
#define CONTROL_PARTS_H

#include "keeper/budget.h"
#include "keeper/control.h"
#include "keeper/lines.h"

#define CONTROL_PAUSE_US 100000
#define CONTROL_BUDGETS 1024 /* one for all processes whose pids leave the same rest */

/* Why nothing is read of a client. */
enum { HELD_FOR_ANSWER = 1, HELD_BY_BUDGET = 2 };

struct client {
	struct control *control;
	struct client *next;
	uint64_t id;
	int fd;
	uint64_t since_us; /* it is connected */
	struct peer peer;
	bool has_others; /* another process than that has sent something, too */
	enum admission admission;
	struct lines *lines; /* NULL: it sends packets */
	unsigned int held;
	struct budget budget; /* of one whose pid we don't see */
	uint64_t joined;      /* the cookie of its socket, 0 = it has not joined; */
	uint32_t slot;	      /* and the slot of that */
	json_int_t next_seq;  /* of the event that it is sent next; 0 = it does not follow them */
	bool awaits_end;      /* asked for the stop; the answer comes when all is gone */
	sd_event_source *source;
};

/* A socket that clients connect to. */
struct door {
	struct control *control;
	int fd;
	bool takes_lines;
	sd_event_source *source;
};

struct control {
	struct control_config config;
	sd_event *loop;
	struct door packets, lines;
	sd_event_source *pause, *more;
	struct client *clients;
	uint64_t last_id;
	struct budget budgets[CONTROL_BUDGETS]; /* by pid */
	char obstacle[160];
};

/* control_doors.c: hangs up. */
void client_free(struct client *client);
/* Sends what it has not been sent yet of the events, as far as it reads. */
void client_catch_up(struct client *client);

/* control_read.c: it has sent something, or reads what it is sent; `client` is an argument. */
int client_on_event(sd_event_source *source, int fd, uint32_t events, void *client);
/* Does what these bytes ask for, and answers. `*passed` came with them, or is -1. */
void client_handle(struct client *client, const char *bytes, size_t n, int *passed);

#endif
