/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a keeper remembers of the service's maps, to tell what changed: settings, whoever changed
 * them, and what became of the connections of a worker that ended.
 */
#ifndef KEEPER_BOOKS_H
#define KEEPER_BOOKS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct keeper;
struct keeper_books;

/*
 * What the end of a process cost. `lost` is exact: the kernel counts the accepted connections that
 * a process closes by ending. So is `moved`, but for handshakes that were not complete: they move
 * at their next segment. `to` is who got waiting connections since the last look, so when two
 * workers end within a moment, each is told with the targets of both.
 */
struct keeper_account {
	bool known;	  /* false: there are no books (stopped, no cgroup v2) */
	bool counted;	  /* `lost` is known */
	uint64_t lost;	  /* accepted connections that were open */
	uint64_t moved;	  /* connections that waited to be accepted and went to others */
	uint64_t waiting; /* that wait on, in a socket of --listen */
	json_t *to;	  /* array of worker numbers; never NULL after keeper_account() */
};

/*
 * Looks at the maps and tells of every change of policy, weight and draining since the last look,
 * and for a watched service of sockets that came and went. The first look tells nothing.
 */
void keeper_look(struct keeper *keeper);

/* A process got this slot: what happened there before is not its. */
void keeper_books_begin(struct keeper *keeper, uint32_t slot);

/* The keeper itself changed the slot's state: no news for the next look. */
void keeper_books_note(struct keeper *keeper, uint32_t slot);

/*
 * What happened in the slot (-1: none) since it got its process. Give it to keeper_account_free().
 */
void keeper_account(struct keeper *keeper, uint32_t worker, int slot, struct keeper_account *out);
void keeper_account_free(struct keeper_account *account);

/*
 * "1 accepted connection lost, 17 waiting moved to 0 1 2"; "" when there is nothing to tell, or,
 * with `always`, that there is nothing.
 */
void keeper_account_text(const struct keeper_account *account, bool always, char *out, size_t len);

/* Adds "lost", "moved", "moved_to", "waiting" to an event; null for what is not known. */
void keeper_account_json(const struct keeper_account *account, json_t *event);

void keeper_books_free(struct keeper *keeper);

#endif
