/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What lbctl export keeps of its looks, so that it has a picture of the last while. */
#ifndef EXPORT_PICTURES_H
#define EXPORT_PICTURES_H

#include <jansson.h>
#include <stdio.h>

#include "cmd/view.h"

/* Of each service, at most one a second; a look has 32 bytes, and 16 for each worker. */
#define PICTURES_LOOKS 600

struct pictures {
	struct picture *items; /* by service */
	size_t count;
};

/* All services as they are now; what is kept of others goes. `time` in seconds since 1970. */
void pictures_look(struct pictures *pictures, const struct view *views, size_t n, double time);

/* Events of any service, with the key "service". */
void pictures_events(struct pictures *pictures, const json_t *events);

/* Draws one; -ENOENT where there is no such service, -ENOMEM. */
int pictures_write(const struct pictures *pictures, const char *service, FILE *out);

void pictures_free(struct pictures *pictures);

#endif
