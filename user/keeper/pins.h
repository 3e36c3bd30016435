/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The keeper's own look at its service: opened once, and kept as long as it is the same. */
#ifndef PINS_H
#define PINS_H

#include <stdbool.h>
#include <stdint.h>

#include "service/settings.h"
#include "service/state.h"

struct pins;

/* NULL without memory. */
struct pins *pins_new(const char *name);
void pins_free(struct pins *pins);

/* The service as it was at the last pins_check(), NULL = there is none. To read. */
struct state *pins_state(struct pins *pins);

/* What was set of it when it was last seen; NULL = it never was. Of this call alone. */
const struct settings *pins_settings(struct pins *pins);

/* Is it still that one, with the same pins? Else it is opened anew. Returns whether it was. */
bool pins_check(struct pins *pins);

/* Changes whenever it is opened anew: what was made of the old one is void. */
uint64_t pins_serial(const struct pins *pins);

/* Lets go of it, as it is about to be removed. */
void pins_close(struct pins *pins);

/* The slot of a registered socket, as the maps have it; -1 if it has none. */
int pins_slot_of(const struct state *state, uint64_t cookie);

#endif
