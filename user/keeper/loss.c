// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See loss.h. */
#include "keeper/loss.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "service/track.h"

#define MOST_NAMED 8 /* targets of a move in a text */

/* One slot's counters, as last seen. */
struct losses {
	struct {
		bool open; /* it had a socket */
		uint64_t lost, migrated_out, migrated_in;
	} slots[LB_MAX_SLOTS];
	bool reset_known;
	uint64_t reset; /* as last told */
};

static uint64_t read_reset(const struct state *state)
{
	struct lb_counters counters = { 0 };
	uint32_t zero = 0;

	state_lookup(state, MAP_COUNTERS, &zero, &counters, sizeof(counters));
	return counters.reset;
}

struct losses *losses_new(void)
{
	return calloc(1, sizeof(struct losses));
}

void losses_free(struct losses *losses)
{
	free(losses);
}

void losses_begin(struct losses *losses, const struct state *state, uint32_t slot)
{
	const struct lb_stats *stats = state_stats(state, slot);

	losses->slots[slot].lost = stats->lost;
	losses->slots[slot].migrated_out = stats->migrated_out;
	losses->slots[slot].migrated_in = stats->migrated_in;
	losses->slots[slot].open = true;
	/* later the one that ends may be whose place this is */
	if (!losses->reset_known)
		losses->reset = read_reset(state);
	losses->reset_known = true;
}

/* What waited at the last ones: who ended first is told with it, as nobody else can have it. */
static uint64_t take_reset(struct losses *losses, const struct state *state)
{
	uint64_t now = read_reset(state), before = losses->reset_known ? losses->reset : now;

	losses->reset = now;
	losses->reset_known = true;
	return now - before;
}

void losses_settle(struct losses *losses, const struct state *state,
		   bool (*listens)(const void *arg, uint32_t slot), const void *arg)
{
	bool leaving = false;

	for (uint32_t slot = 0; slot < state_used_slots(state); slot++) {
		if (listens(arg, slot)) {
			losses->slots[slot].migrated_out = state_stats(state, slot)->migrated_out;
			losses->slots[slot].open = true;
		}
		leaving |= losses->slots[slot].open && !listens(arg, slot);
	}
	for (uint32_t slot = 0; slot < state_used_slots(state) && !leaving; slot++)
		losses->slots[slot].migrated_in = state_stats(state, slot)->migrated_in;
}

static void find_targets(struct losses *losses, const struct state *state, struct loss *out)
{
	bool named[LB_MAX_WORKERS] = { false };

	for (uint32_t slot = 0; slot < state_used_slots(state); slot++) {
		uint64_t in = state_stats(state, slot)->migrated_in;
		uint32_t worker = state_worker(state, slot)->worker;

		if (in != losses->slots[slot].migrated_in && worker < LB_MAX_WORKERS)
			named[worker] = true;
		losses->slots[slot].migrated_in = in;
	}
	for (uint32_t i = 0; i < LB_MAX_WORKERS; i++) {
		if (named[i])
			json_array_append_new(out->to, json_integer(i));
	}
}

void losses_take(struct losses *losses, const struct state *state, int slot, uint64_t waiting,
		 struct loss *out)
{
	const struct lb_stats *stats;

	*out = (struct loss){ .to = json_array() };
	if (slot < 0 || !state)
		return;
	stats = state_stats(state, slot);
	out->known = true;
	out->counted = track_is_on(state);
	out->lost = stats->lost - losses->slots[slot].lost;
	out->migrated = stats->migrated_out - losses->slots[slot].migrated_out;
	out->waiting = waiting;
	out->reset = take_reset(losses, state);
	if (out->migrated)
		find_targets(losses, state, out);
	losses->slots[slot].lost = stats->lost;
	losses->slots[slot].migrated_out = stats->migrated_out;
	losses->slots[slot].open = false;
}

void loss_free(struct loss *loss)
{
	json_decref(loss->to);
	loss->to = NULL;
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

void loss_text(const struct loss *loss, bool always, char *out, size_t len)
{
	*out = '\0';
	if (!loss->known)
		return;
	if (loss->counted && (loss->lost || always))
		append(out, len, "%lu accepted connection%s lost", (unsigned long)loss->lost,
		       plural(loss->lost));
	if (loss->waiting)
		append(out, len, "%s%lu waiting in its queue", *out ? ", " : "",
		       (unsigned long)loss->waiting);
	if (loss->migrated) {
		append(out, len, "%s%lu waiting migrated", *out ? ", " : "",
		       (unsigned long)loss->migrated);
		append_targets(loss->to, out, len);
	}
	if (loss->reset)
		append(out, len, "%s%lu waiting reset, as nobody else listened", *out ? ", " : "",
		       (unsigned long)loss->reset);
}

void loss_json(const struct loss *loss, json_t *event)
{
	bool known = loss->known;

	json_object_set_new(event, "lost",
			    known && loss->counted ? json_integer(loss->lost) : json_null());
	json_object_set_new(event, "migrated", known ? json_integer(loss->migrated) : json_null());
	json_object_set(event, "migrated_to", loss->to);
	json_object_set_new(event, "waiting", known ? json_integer(loss->waiting) : json_null());
	json_object_set_new(event, "reset",
			    known && loss->counted ? json_integer(loss->reset) : json_null());
}
