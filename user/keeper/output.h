/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The keeper's lines on standard output. Who reads them may take its time, or stop (Ctrl-S on a
 * terminal, a full pipe): lines wait for it up to a bound, then they are dropped and counted.
 */
#ifndef OUTPUT_H
#define OUTPUT_H

#include <systemd/sd-event.h>

struct output;

/* Writes to a descriptor that stays the caller's. NULL without memory. */
struct output *output_open(sd_event *loop, int fd);

/* What still waits is tried once more. */
void output_close(struct output *output);

/* One line, without its newline. Never waits. NULL prints nothing. */
void output_line(struct output *output, const char *line);

/* The descriptor leads elsewhere now: to /dev/null, where the terminal went. */
void output_reopen(struct output *output);

#endif
