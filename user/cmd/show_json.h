/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A service as JSON has it: lbctl-json(5). All that is returned is the caller's. */
#ifndef SHOW_JSON_H
#define SHOW_JSON_H

#include <jansson.h>

#include "cmd/view.h"

/* What `show --json` prints; the workers' usage was loaded. */
json_t *show_json(const struct view *view);

/* A row of `list --json`, and that of a service that can't be read. */
json_t *show_list_json(const struct view *view);
json_t *show_error_json(const char *name, const char *why);

#endif
