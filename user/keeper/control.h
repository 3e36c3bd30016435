/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The keeper's side of its control socket: SOCK_SEQPACKET, one JSON object a packet, so a message
 * is whole or not there; and of the socket beside it, SOCK_STREAM, one JSON object a line, for
 * workers in languages that know no other. Who is let in, and what each verb does, is told by the
 * caller. Nothing here waits for a client: one that does not read gets the rest when it does, as
 * far as that is there. And none keeps us busy: who may be a worker is read no further once its
 * process has said what is taken of one in a second (budget.h), until the next second.
 */
#ifndef CONTROL_H
#define CONTROL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "keeper/admission.h"
#include "keeper/peer.h"

/* Of root and the keeper's user, of --group, of workers but those that have joined. */
#define CONTROL_MOST_CLIENTS 64
#define CONTROL_MOST_OPERATORS 32
#define CONTROL_MOST_WORKERS 32
/* Who is connected for so long and asks nothing is hung up on where his place is needed. */
#define CONTROL_IDLE_US 1000000

struct control;
struct client;

/* What a worker may ask for may be said as a key, too: {"load":7} is {"verb":"load","load":7}. */
struct control_verb {
	const char *verb;
	bool for_watch; /* makes sense where lbctl did not start the workers */
	enum admission takes;
	/* `passed` came with the request, or -1: the callee's to take (it becomes -1) */
	void (*run)(void *arg, struct client *client, const json_t *request, int *passed);
};

struct control_config {
	const char *name; /* of the service */
	struct admission_rule rule;
	const struct control_verb *verbs; /* ends with a NULL verb */
	const json_t *events;		  /* the last ones, each with its number, "seq" */
	void *arg;
};

/* Returns 0 with *control, or -errno. `config` and all that it points to stay the caller's. */
int control_open(sd_event *loop, const struct control_config *config, struct control **control);

/* Why not all who may connect can, or NULL: without CAP_CHOWN. */
const char *control_obstacle(const struct control *control);

/* Tells whoever waits for the end how it went, last, as they take it that all is gone then. */
void control_close(struct control *control, int status, const char *text);

void control_reply(struct client *client, int status, const char *text);
/* `value` is taken over, and goes with a descriptor unless `passed` is -1, which stays ours. */
void control_reply_with(struct client *client, json_t *value, int passed);

/* A number by which a client that may be gone meanwhile is found again; never 0. */
uint64_t control_client_id(const struct client *client);
struct client *control_find(struct control *control, uint64_t id);
enum admission control_client_admission(const struct client *client);

/* The process that connected. */
const struct peer *control_client_peer(const struct client *client);
/* Its connection, which stays ours; -1 where another process has sent something, too. */
int control_client_connection(const struct client *client);

/* What it has asked for costs as much as so many messages more. */
void control_spend(struct client *client, uint32_t messages);

/* Nothing more is read of it until it is released. */
void control_hold(struct client *client);
void control_release(struct client *client);

/*
 * It has joined with the socket of this cookie, in this slot, and reports for it: one client a
 * slot, the last. It takes no place of others that connect; so these are no more than slots.
 */
void control_set_joined(struct client *client, uint64_t cookie, uint32_t slot);
/* The cookie, 0 = it has not joined. */
uint64_t control_client_joined(const struct client *client);

/* From now on it gets the events, the last ones that there were first. */
void control_subscribe(struct client *client);
/* There is a new event. */
void control_publish(struct control *control);

/* It is answered by control_close(). */
void control_await_end(struct client *client);

#endif
