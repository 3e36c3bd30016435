/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The maps that a service has pinned. */
#ifndef HARNESS_MAPS_H
#define HARNESS_MAPS_H

#include <stdbool.h>
#include <stddef.h>

/* mmaps the array pinned as HARNESS_PINS/SERVICE/NAME; munmap with the same size. */
void *map_mmap(const char *service, const char *name, size_t bytes);
int map_open(const char *service, const char *name);

/*
 * A machine that has other things to do stalls workers, and then the program passes them by. Tests
 * that count to the connection do without: what is attached or asked for by clients has its
 * stall_ms set to 0, unless the test's main() says that stalls count.
 */
extern bool stalls_count;
void stalls_forgive(void);

/*
 * What was rescued of the service's first listener gets its share again from now on, without a
 * probe first.
 */
void holds_end(const char *service);

#endif
