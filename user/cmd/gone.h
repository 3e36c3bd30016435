/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A service whose keeper is gone, and what its user can do about it. */
#ifndef GONE_H
#define GONE_H

#include <stdbool.h>

#include "keeper/again.h"

#define GONE_BYTES (AGAIN_BYTES + 100)

/* Had it a keeper that is gone? Not where that can't be seen. */
bool gone_is(const char *name);

/* What takes it up again, to be typed; "" where that is not known. */
void gone_command(const char *name, char command[AGAIN_BYTES]);

/* The end of a sentence: "lbctl run ... takes it up again". */
void gone_remedy(const char *name, char text[GONE_BYTES]);

#endif
