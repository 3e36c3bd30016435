/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who reads the pipe that standard output or error is may end before the service does. Workers have
 * inherited it, and not all survive a write to a pipe that nobody reads. So the keeper reads it
 * then, and what is started from then on gets /dev/null.
 */
#ifndef READERS_H
#define READERS_H

#include <systemd/sd-event.h>

struct readers;

/*
 * Watches standard output and error, as far as they are pipes. `gone` is called when the reader of
 * either is: what leads there leads to /dev/null then. NULL without memory.
 */
struct readers *readers_watch(sd_event *loop, void (*gone)(void *arg), void *arg);
void readers_close(struct readers *readers);

#endif
