/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The commands of lb-bench and what they share. A command prints, and returns an exit status. */
#ifndef BENCH_CMD_H
#define BENCH_CMD_H

#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "base/trouble.h"
#include "figures.h"

/* argv[0] is the command's name. */
int cmd_load(int argc, char **argv);
int cmd_sweep(int argc, char **argv);
int cmd_tools(int argc, char **argv);
int cmd_peers(int argc, char **argv);
int cmd_idle(int argc, char **argv);
int cmd_growth(int argc, char **argv);
int cmd_compare(int argc, char **argv); /* argv[0] is not used */
int cmd_master(int argc, char **argv);	/* the peer `master`; in master.c */

/* Prints what is in *trouble as lb-bench's error; returns its status. */
int cmd_fail(const struct trouble *trouble);

/*
 * Makes the folder of --out, if it is asked for (out is not NULL) and not there. Before the work:
 * what can't be written is better known then than hours later.
 */
int cmd_make_out(const char *out, struct trouble *trouble);

/* Writes an object to standard output and takes it; NULL is an error, too. */
int cmd_print_json(json_t *object, struct trouble *trouble);

/* The sentence for an error of load_run() with so many users; in cmd_load.c. */
int cmd_load_failed(int err, unsigned int users, struct trouble *trouble);

#define CMD_LINE_BYTES 1024

/* A command line for a report: `name` and the arguments from argv[1] on; cut if too long. */
void cmd_line(const char *name, int argc, char **argv, char out[CMD_LINE_BYTES]);

/*
 * As cmd_make_out(), and *out becomes a path to that folder that leads there from a world with
 * other mounts, too. Once in a process.
 */
int cmd_hold_out(const char **out, struct trouble *trouble);

/* Takes *object and writes it to standard output, if `print`, and to OUT/NAME.json, if out. */
int cmd_write_json(json_t *object, bool print, const char *out, const char *name,
		   struct trouble *trouble);

/* "2026-01-31T12:00:00Z"; NULL without memory. */
json_t *cmd_time_json(time_t when);

/* [low, middle, high] */
json_t *cmd_interval_json(const struct interval *interval);

/* Becomes true on SIGINT, SIGTERM or SIGHUP once cmd_catch_signals() was called. */
extern volatile sig_atomic_t cmd_stop;
void cmd_catch_signals(void);

#endif
