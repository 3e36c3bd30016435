/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* lbctl watch: whatever listens on its addresses belongs to the service, whoever started it. */
#ifndef WATCH_H
#define WATCH_H

#include "keeper/parts.h"

int watch_open(struct keeper *keeper);
void watch_close(struct keeper *keeper);

/* Its part of the keeper's turn. */
void watch_turn(struct keeper *keeper, unsigned int work);

/* Brings the service up to date, in a child. As attach_run(). */
int watch_refresh(const struct keeper *keeper, struct attach_result *result,
		  struct trouble *trouble);

#endif
