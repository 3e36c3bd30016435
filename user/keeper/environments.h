/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The environments that `reload --update-env` brought: a process has the one that its version came
 * with, or the last before it. Those of the keeper itself come before all.
 */
#ifndef ENVIRONMENTS_H
#define ENVIRONMENTS_H

#include <jansson.h>
#include <stdint.h>

struct environments;

void environments_free(struct environments *list);

/* Is it an array of texts NAME=VALUE? Returns 0 or -EINVAL. */
int environments_check(const json_t *variables);

/*
 * From version `version` on, which is higher than all before. What no version from `oldest` on
 * needs any more is freed. Returns 0 or -ENOMEM, and then nothing has changed.
 */
int environments_add(struct environments **list, uint32_t version, uint32_t oldest,
		     const json_t *variables);

/* NULL: that of the keeper. Ends with a NULL, as environ does, and stays the list's. */
char **environments_of(const struct environments *list, uint32_t version);

#endif
