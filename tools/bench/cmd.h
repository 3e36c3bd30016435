/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The commands of lb-bench and what they share. A command prints, and returns an exit status. */
#ifndef BENCH_CMD_H
#define BENCH_CMD_H

#include <jansson.h>
#include <signal.h>
#include <stddef.h>

#include "trouble.h"

/* argv[0] is the command's name. */
int cmd_load(int argc, char **argv);
int cmd_sweep(int argc, char **argv);
int cmd_tools(int argc, char **argv);
int cmd_peers(int argc, char **argv);
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

/* The command line for a report: "lb-bench" and the arguments from argv[1] on; cut if too long. */
void cmd_line(int argc, char **argv, char *out, size_t size);

/* Becomes true on SIGINT, SIGTERM or SIGHUP once cmd_catch_signals() was called. */
extern volatile sig_atomic_t cmd_stop;
void cmd_catch_signals(void);

#endif
