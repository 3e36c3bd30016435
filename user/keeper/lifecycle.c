// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See lifecycle.h. */
#include "keeper/lifecycle.h"

#include <stddef.h>
#include <string.h>

/* tests/mutate.sh changes each line in turn and expects the tests to notice. */
static const struct {
	enum lifecycle from;
	enum life_event event;
	enum lifecycle to;
} transitions[] = {
	{ LIFE_NONE, LIFE_START, LIFE_STARTING },
	{ LIFE_BACKING_OFF, LIFE_START, LIFE_STARTING },
	{ LIFE_FAILED, LIFE_START, LIFE_STARTING },
	{ LIFE_FINISHED, LIFE_START, LIFE_STARTING },
	{ LIFE_STARTING, LIFE_IS_READY, LIFE_READY },
	{ LIFE_READY, LIFE_IS_IN, LIFE_ONLINE },
	{ LIFE_STARTING, LIFE_LEAVE, LIFE_DRAINING },
	{ LIFE_READY, LIFE_LEAVE, LIFE_DRAINING },
	{ LIFE_ONLINE, LIFE_LEAVE, LIFE_DRAINING },
	{ LIFE_STARTING, LIFE_TERMINATE, LIFE_TERMINATING },
	{ LIFE_READY, LIFE_TERMINATE, LIFE_TERMINATING },
	{ LIFE_ONLINE, LIFE_TERMINATE, LIFE_TERMINATING },
	{ LIFE_DRAINING, LIFE_TERMINATE, LIFE_TERMINATING },
	{ LIFE_STARTING, LIFE_END, LIFE_NONE },
	{ LIFE_READY, LIFE_END, LIFE_NONE },
	{ LIFE_ONLINE, LIFE_END, LIFE_NONE },
	{ LIFE_DRAINING, LIFE_END, LIFE_NONE },
	{ LIFE_TERMINATING, LIFE_END, LIFE_NONE },
	{ LIFE_BACKING_OFF, LIFE_END, LIFE_NONE },
	{ LIFE_FAILED, LIFE_END, LIFE_NONE },
	{ LIFE_FINISHED, LIFE_END, LIFE_NONE },
	{ LIFE_STARTING, LIFE_RETRY, LIFE_BACKING_OFF },
	{ LIFE_READY, LIFE_RETRY, LIFE_BACKING_OFF },
	{ LIFE_ONLINE, LIFE_RETRY, LIFE_BACKING_OFF },
	{ LIFE_DRAINING, LIFE_RETRY, LIFE_BACKING_OFF },
	{ LIFE_TERMINATING, LIFE_RETRY, LIFE_BACKING_OFF },
	{ LIFE_STARTING, LIFE_GIVE_UP, LIFE_FAILED },
	{ LIFE_READY, LIFE_GIVE_UP, LIFE_FAILED },
	{ LIFE_ONLINE, LIFE_GIVE_UP, LIFE_FAILED },
	{ LIFE_DRAINING, LIFE_GIVE_UP, LIFE_FAILED },
	{ LIFE_TERMINATING, LIFE_GIVE_UP, LIFE_FAILED },
	{ LIFE_STARTING, LIFE_FINISH, LIFE_FINISHED },
	{ LIFE_READY, LIFE_FINISH, LIFE_FINISHED },
	{ LIFE_ONLINE, LIFE_FINISH, LIFE_FINISHED },
	{ LIFE_DRAINING, LIFE_FINISH, LIFE_FINISHED },
	{ LIFE_TERMINATING, LIFE_FINISH, LIFE_FINISHED },
};

static const char *const names[LIFE_STATES] = {
#define X(id, name) [LIFE_##id] = (name),
	LIFECYCLE_STATES(X)
#undef X
};

int lifecycle_next(enum lifecycle state, enum life_event event)
{
	for (size_t i = 0; i < sizeof(transitions) / sizeof(transitions[0]); i++) {
		if (transitions[i].from == state && transitions[i].event == event)
			return transitions[i].to;
	}
	return -1;
}

int lifecycle_runs(enum lifecycle state)
{
	return state >= LIFE_STARTING && state <= LIFE_TERMINATING;
}

const char *lifecycle_name(enum lifecycle state)
{
	return state < LIFE_STATES ? names[state] : "?";
}

int lifecycle_parse(const char *name)
{
	for (int i = 0; i < LIFE_STATES; i++) {
		if (!strcmp(names[i], name))
			return i;
	}
	return -1;
}
