/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What lbctl has pinned; bpffs is the test's alone. */
#ifndef HARNESS_PINS_H
#define HARNESS_PINS_H

#include <stdbool.h>

/* Names of all pins, one a line, sorted by the walk; to be freed. */
char *pins_list(void);
bool pins_are_gone(void);
/* Have all BPF objects that were ever pinned here been freed? The kernel takes a grace period. */
bool pinned_objects_are_freed(void);

#endif
