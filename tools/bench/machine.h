/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a result was made with: the machine, its kernel, the versions of what took part. */
#ifndef BENCH_MACHINE_H
#define BENCH_MACHINE_H

#include <jansson.h>
#include <stddef.h>

struct peers;
struct world;

/*
 * First line of what a shell command prints on standard output, without its end of line; "" if it
 * can't be run or fails.
 */
void machine_ask(const char *command, char *out, size_t size);

/*
 * {"kernel", "cpus", "cpu", "memory_mb", "versions": {"lbctl", "node", "pm2", "nginx", "haproxy"}};
 * what is not there has no version. Asks programs, so call it outside of measurements. To be
 * json_decref()ed; NULL without memory.
 */
json_t *machine_json(const struct world *world, const struct peers *peers);

#endif
