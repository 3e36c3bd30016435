/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the keeper does about connections that migrate: where the kernel does not, it wakes the
 * workers that they went to, and looks again while they wait. Whether this kernel needs it is tried
 * at the start, in a child.
 */
#ifndef MIGRATIONS_H
#define MIGRATIONS_H

#include <systemd/sd-event.h>

#include "keeper/pins.h"

struct migrations;

struct migrations_config {
	sd_event *loop;
	struct pins *pins;
	/* In each child, first of all: no listener of ours may stay open there. */
	void (*begin)(void *arg);
	void *arg;
};

/* Returns 0 with *migrations, which is NULL where nothing migrates, or -errno. */
int migrations_new(const struct migrations_config *config, struct migrations **migrations);
void migrations_free(struct migrations *migrations);

/* Some have migrated, or may have: look now. NULL is fine. */
void migrations_check(struct migrations *migrations);

#endif
