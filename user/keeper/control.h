/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The keeper's side of its control socket: SOCK_SEQPACKET, one JSON object a packet, so a message
 * is whole or not there. Who is let in, and what each verb does, is told by the caller. Nothing
 * here waits for a client: one that does not read gets the rest when it does, as far as that is
 * there.
 */
#ifndef CONTROL_H
#define CONTROL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#define CONTROL_MOST_CLIENTS 64

/*
 * Root and the keeper's own user may all; the group of a run, what changes nothing of what is run
 * and how; the workers' user may join.
 */
enum admission { ADMIT_NOBODY, ADMIT_WORKER, ADMIT_OPERATOR, ADMIT_OWNER };

struct control;
struct client;

struct control_verb {
	const char *verb;
	bool for_watch; /* makes sense where lbctl did not start the workers */
	enum admission takes;
	/* `passed` came with the request, or -1: the callee's to take (it becomes -1) */
	void (*run)(void *arg, struct client *client, const json_t *request, int *passed);
};

struct control_config {
	const char *name; /* of the service */
	bool runs_workers;
	uid_t worker_uid;		  /* may join */
	gid_t group;			  /* LB_NO_GROUP = none */
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
pid_t control_client_pid(const struct client *client);
enum admission control_client_admission(const struct client *client);

/* From now on it gets the events, the last ones that there were first. */
void control_subscribe(struct client *client);
/* There is a new event. */
void control_publish(struct control *control);

/* It is answered by control_close(). */
void control_await_end(struct client *client);

#endif
