// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What a keeper remembers of the service's maps, to tell what changed: settings, whoever changed
 * them, and what became of the connections of a worker that ended.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "keeper/keeper.h"
#include "lb_pick.h"
#include "service/service.h"
#include "service/state.h"
#include "service/steer.h"
#include "service/track.h"

#define MOST_NAMED 8 /* targets of a move in a text */

/* One slot, as last seen. */
struct seen_slot {
	struct lb_worker row;
	bool open; /* it had a socket */
	uint64_t cut, moved_out, moved_in;
	uint64_t moved_in_now;
};

struct keeper_books {
	bool valid; /* there was a look, at the service that is there now */
	uint64_t created_ns;
	uint32_t policy;
	struct seen_slot slots[LB_MAX_SLOTS];
};

static bool has_socket(const struct state *state, uint32_t slot)
{
	if (!lb_slot_is_open(state_worker(state, slot)->state))
		return false;
	for (uint32_t i = 0; i < state->nr_listeners; i++) {
		if (steer_registered_cookie(state, i, slot))
			return true;
	}
	return false;
}

static void see_counters(const struct state *state, uint32_t slot, struct seen_slot *seen)
{
	const struct lb_stats *stats = state_stats(state, slot);

	seen->cut = stats->cut;
	seen->moved_out = stats->migrated_out;
	seen->moved_in = stats->migrated_in;
}

static struct keeper_books *books_of(struct keeper *keeper)
{
	if (!keeper->books)
		keeper->books = calloc(1, sizeof(*keeper->books));
	return keeper->books;
}

static void see_all(const struct state *state, struct keeper_books *books)
{
	*books = (struct keeper_books){
		.valid = true,
		.created_ns = state->config->created_ns,
		.policy = lb_word_policy(state->config->word),
	};
	for (uint32_t slot = 0; slot < state->config->used_slots; slot++) {
		books->slots[slot].row = state_worker_copy(state, slot);
		see_counters(state, slot, &books->slots[slot]);
		books->slots[slot].open = has_socket(state, slot);
	}
}

/* --- what others changed --- */

static void tell_policy(struct keeper *keeper, uint32_t before, uint32_t now)
{
	keeper_event(keeper, "policy",
		     json_pack("{s:s, s:s}", "policy", policy_name(now), "before",
			       policy_name(before)),
		     "policy %s (was %s)", policy_name(now), policy_name(before));
}

static void tell_weight(struct keeper *keeper, const struct lb_worker *before,
			const struct lb_worker *now)
{
	keeper_event(keeper, "weight",
		     json_pack("{s:i, s:i, s:i}", "worker", now->worker, "weight", now->weight,
			       "before", before->weight),
		     "worker %u has weight %u (had %u)", now->worker, now->weight, before->weight);
}

static void tell_draining(struct keeper *keeper, const struct lb_worker *now)
{
	bool drained = now->state == LB_SLOT_DRAINING;

	keeper_event(keeper, drained ? "drain" : "resume",
		     json_pack("{s:i, s:i}", "worker", now->worker, "pid", now->pid),
		     drained ? "worker %u (pid %u) is drained" :
			       "worker %u (pid %u) takes %s again",
		     now->worker, now->pid, keeper_traffic(keeper));
}

static void tell_joined(struct keeper *keeper, const struct lb_worker *now)
{
	char name[PROCS_NAME_BYTES];

	if (!now->pid || procs_name(now->pid, name, sizeof(name)))
		strcpy(name, "?");
	keeper_event(keeper, "joined",
		     json_pack("{s:i, s:i, s:s}", "worker", now->worker, "pid", now->pid, "server",
			       name),
		     "worker %u (pid %u, %s) joined", now->worker, now->pid, name);
}

static void tell_left(struct keeper *keeper, uint32_t slot, const struct lb_worker *before)
{
	json_t *details = json_pack("{s:i, s:i}", "worker", before->worker, "pid", before->pid);
	struct keeper_account account;
	char cost[160];

	keeper_account(keeper, before->worker, slot, &account);
	keeper_account_text(&account, true, cost, sizeof(cost));
	keeper_account_json(&account, details);
	keeper_account_free(&account);
	keeper_event(keeper, "left", details, "worker %u (pid %u) closed its socket%s%s",
		     before->worker, before->pid, *cost ? ": " : "", cost);
}

/* A worker has two slots at most; the later one does not tell the same again. */
static bool told_before(const struct keeper_books *books, const struct state *state, uint32_t slot)
{
	for (uint32_t i = 0; i < slot; i++) {
		if (state_worker(state, i)->worker == state_worker(state, slot)->worker &&
		    books->slots[i].row.weight == state_worker(state, slot)->weight &&
		    state_worker(state, i)->state != LB_SLOT_FREE)
			return true;
	}
	return false;
}

static void look_at_slot(struct keeper *keeper, const struct state *state, uint32_t slot)
{
	struct keeper_books *books = keeper->books;
	struct seen_slot *seen = &books->slots[slot];
	const struct lb_worker before = seen->row, now = state_worker_copy(state, slot);
	bool known = before.state != LB_SLOT_FREE && before.worker == now.worker;

	if (known && now.weight != before.weight && !told_before(books, state, slot))
		tell_weight(keeper, &before, &now);
	if (known && lb_slot_is_open(before.state) && lb_slot_is_open(now.state) &&
	    before.state != now.state)
		tell_draining(keeper, &now);
	if (keeper->options.nr_addrs && lb_slot_is_open(now.state) &&
	    !(known && lb_slot_is_open(before.state)))
		tell_joined(keeper, &now);
	if (keeper->options.nr_addrs && known && lb_slot_is_open(before.state) &&
	    !lb_slot_is_open(now.state))
		tell_left(keeper, slot, &before);
	seen->row = now;
}

/*
 * What moved before this moment was moved by a rescue or has been told. Not while a worker is
 * between closing its socket and its end, though: what it gave away is told then.
 */
static void settle(const struct state *state, struct keeper_books *books)
{
	bool leaving = false;

	for (uint32_t slot = 0; slot < state->config->used_slots; slot++) {
		struct seen_slot *seen = &books->slots[slot];
		/* before the socket: while that is there, nothing of its end is in this */
		uint64_t moved_out = state_stats(state, slot)->migrated_out;

		seen->moved_in_now = state_stats(state, slot)->migrated_in;
		if (has_socket(state, slot)) {
			seen->moved_out = moved_out;
			seen->open = true;
		}
		leaving |= seen->open && !has_socket(state, slot);
	}
	for (uint32_t slot = 0; slot < state->config->used_slots && !leaving; slot++)
		books->slots[slot].moved_in = books->slots[slot].moved_in_now;
}

void keeper_look(struct keeper *keeper)
{
	struct keeper_books *books = books_of(keeper);
	struct state state;
	uint32_t policy;

	if (!books || state_open(&state, keeper->options.name, STATE_READ))
		return;
	policy = lb_word_policy(state.config->word);
	if (!books->valid || books->created_ns != state.config->created_ns) {
		see_all(&state, books);
	} else {
		if (policy != books->policy)
			tell_policy(keeper, books->policy, policy);
		books->policy = policy;
		for (uint32_t slot = 0; slot < state.config->used_slots; slot++)
			look_at_slot(keeper, &state, slot);
		settle(&state, books);
	}
	state_close(&state);
	keeper_check_stalls(keeper);
}

void keeper_books_begin(struct keeper *keeper, uint32_t slot)
{
	struct keeper_books *books = books_of(keeper);
	struct state state;

	if (!books || state_open(&state, keeper->options.name, STATE_READ))
		return;
	see_counters(&state, slot, &books->slots[slot]);
	books->slots[slot].row = state_worker_copy(&state, slot);
	books->slots[slot].open = true;
	state_close(&state);
}

void keeper_books_note(struct keeper *keeper, uint32_t slot)
{
	struct state state;

	if (!keeper->books || state_open(&state, keeper->options.name, STATE_READ))
		return;
	keeper->books->slots[slot].row.state = state_worker(&state, slot)->state;
	state_close(&state);
}

/* --- what an end cost --- */

/* Of a listening socket the kernel gives the length of the accept queue as tcpi_unacked. */
static uint64_t queued(int listen_fd)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	if (listen_fd < 0 || getsockopt(listen_fd, IPPROTO_TCP, TCP_INFO, &info, &len))
		return 0;
	return info.tcpi_unacked;
}

static void find_targets(const struct state *state, struct keeper_books *books,
			 struct keeper_account *out)
{
	bool named[LB_MAX_WORKERS] = { false };

	for (uint32_t slot = 0; slot < state->config->used_slots; slot++) {
		uint64_t in = state_stats(state, slot)->migrated_in;

		if (in != books->slots[slot].moved_in &&
		    state_worker(state, slot)->worker < LB_MAX_WORKERS)
			named[state_worker(state, slot)->worker] = true;
		books->slots[slot].moved_in = in;
	}
	for (uint32_t i = 0; i < LB_MAX_WORKERS; i++) {
		if (named[i])
			json_array_append_new(out->to, json_integer(i));
	}
}

void keeper_account(struct keeper *keeper, uint32_t worker, int slot, struct keeper_account *out)
{
	struct seen_slot *seen;
	struct state state;

	*out = (struct keeper_account){ .to = json_array() };
	if (slot < 0 || !keeper->books || state_open(&state, keeper->options.name, STATE_READ))
		return;
	seen = &keeper->books->slots[slot];
	out->known = true;
	out->counted = track_is_on(&state);
	out->lost = state_stats(&state, slot)->cut - seen->cut;
	out->moved = state_stats(&state, slot)->migrated_out - seen->moved_out;
	for (uint32_t i = 0; i < keeper->options.nr_listens; i++)
		out->waiting += queued(keeper->workers[worker].listen_fds[i]);
	if (out->moved)
		find_targets(&state, keeper->books, out);
	seen->cut = state_stats(&state, slot)->cut;
	seen->moved_out = state_stats(&state, slot)->migrated_out;
	seen->open = has_socket(&state, slot);
	state_close(&state);
}

void keeper_account_free(struct keeper_account *account)
{
	json_decref(account->to);
	account->to = NULL;
}

static void append(char *out, size_t len, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void append(char *out, size_t len, const char *format, ...)
{
	size_t at = strlen(out);
	va_list args;

	va_start(args, format);
	vsnprintf(out + at, len - at, format, args);
	va_end(args);
}

static void append_targets(const json_t *to, char *out, size_t len)
{
	size_t n = json_array_size(to);

	if (n > MOST_NAMED) {
		append(out, len, " to %zu others", n);
		return;
	}
	for (size_t i = 0; i < n; i++)
		append(out, len, "%s%lld", i ? " " : " to ",
		       json_integer_value(json_array_get(to, i)));
}

void keeper_account_text(const struct keeper_account *account, bool always, char *out, size_t len)
{
	*out = '\0';
	if (!account->known)
		return;
	if (account->counted && (account->lost || always))
		append(out, len, "%lu accepted connection%s lost", (unsigned long)account->lost,
		       plural(account->lost));
	if (account->waiting)
		append(out, len, "%s%lu waiting in its queue", *out ? ", " : "",
		       (unsigned long)account->waiting);
	if (account->moved) {
		append(out, len, "%s%lu waiting moved", *out ? ", " : "",
		       (unsigned long)account->moved);
		append_targets(account->to, out, len);
	}
}

void keeper_account_json(const struct keeper_account *account, json_t *event)
{
	bool known = account->known;

	json_object_set_new(event, "lost",
			    known && account->counted ? json_integer(account->lost) : json_null());
	json_object_set_new(event, "moved", known ? json_integer(account->moved) : json_null());
	json_object_set(event, "moved_to", account->to);
	json_object_set_new(event, "waiting", known ? json_integer(account->waiting) : json_null());
}

void keeper_books_free(struct keeper *keeper)
{
	free(keeper->books);
	keeper->books = NULL;
}
