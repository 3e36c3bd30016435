/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The environment of a worker process; in the child that is about to become it. */
#ifndef WORKER_ENV_H
#define WORKER_ENV_H

#include "keeper/spawn_spec.h"

/*
 * Reads spec->env_file into *text, which the caller frees, with the rights that we have now, or
 * those of spec->user (user_rights.h). 0, or what a report may say (spawn_spec.h).
 */
int worker_env_read(const struct spawn_spec *spec, char **text, size_t *len);

/* All of it, with that text, or NULL. 0, or what a report may say. */
int worker_env_set(const struct spawn_spec *spec, const char *text, size_t len);

#endif
