/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Is what is pinned what it should be? For state_maps.c: nothing of a pin is used before. */
#ifndef STATE_CHECK_H
#define STATE_CHECK_H

#include "service/state.h"

/*
 * Checks type and sizes of a map, which may have been made by an lbctl of the same version with
 * longer or shorter values; `array` learns the sizes. Returns 0, -EUCLEAN or -errno.
 */
int state_check_map(enum state_map map, int fd, struct state_array *array);

/* Is it the program that steers? Returns 0, -EUCLEAN or -errno. */
int state_check_steer(int fd);

/* Reads lb_config. Returns 0, -ESTALE (another LB_ABI_VERSION), -EUCLEAN or -errno. */
int state_check_config(int fd, struct lb_config *config);

#endif
