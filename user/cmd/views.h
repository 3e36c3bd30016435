/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* All services as they are now, by one look at the host. */
#ifndef VIEWS_H
#define VIEWS_H

#include "base/trouble.h"
#include "cmd/view.h"
#include "keeper/pins.h"

struct views {
	struct view *at; /* by name */
	size_t count;
	struct views_trouble {
		char name[LB_NAME_MAX + 1];
		struct trouble trouble;
	} * unreadable;
	size_t nr_unreadable;
};

#define VIEWS_OPEN 16 /* services, of some 30 descriptors each; a process has 1,024 */

/*
 * Services that stay open from one look to the next: what is removed meanwhile stays in memory
 * until then, so the next one is to come soon. Zero = none yet.
 */
struct views_open {
	struct pins *pins[VIEWS_OPEN];
	char names[VIEWS_OPEN][LB_NAME_MAX + 1];
};

/*
 * Looks at all services, or with `only`, not NULL, at the one of this name, and at what their
 * processes use. One that can't be read is among `unreadable`, one that there is not nowhere; no
 * bpffs, no service. `open`: NULL = each is opened for this look alone. Returns 0 or -errno;
 * views_free() is to follow in any case.
 */
int views_load(struct views *views, const char *only, struct views_open *open);
void views_free(struct views *views);
void views_close(struct views_open *open);

#endif
