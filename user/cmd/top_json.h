/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What lbctl top knows, as JSON. */
#ifndef TOP_JSON_H
#define TOP_JSON_H

#include "cmd/top_model.h"

/* A line of what changed in the last look, an object of lbctl-json(5). */
void top_json_print(const struct top *top);

#endif
