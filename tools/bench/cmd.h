/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The commands of lb-bench and what they share. A command prints, and returns an exit status. */
#ifndef BENCH_CMD_H
#define BENCH_CMD_H

#include <signal.h>
#include <stdint.h>

#include "trouble.h"

/* argv[0] is the command's name. */
int cmd_load(int argc, char **argv);
int cmd_peers(int argc, char **argv);
int cmd_compare(int argc, char **argv); /* argv[0] is not used */
int cmd_master(int argc, char **argv);	/* the peer `master`; in master.c */

/* Prints what is in *trouble as lb-bench's error; returns its status. */
int cmd_fail(const struct trouble *trouble);

/* A number with a fraction, larger than min and at most max: "0.5", "20". */
int cmd_parse_real(const char *option, const char *text, double min, double max, double *value,
		   struct trouble *trouble);
/* A whole number. */
int cmd_parse_count(const char *option, const char *text, uint64_t min, uint64_t max,
		    uint64_t *value, struct trouble *trouble);

/* What getopt_long() has just refused, with opterr = 0 and a leading ':'. Returns EXIT_USAGE. */
int cmd_bad_option(int option, char **argv, const char *help, struct trouble *trouble);

/* Becomes true on SIGINT, SIGTERM or SIGHUP once cmd_catch_signals() was called. */
extern volatile sig_atomic_t cmd_stop;
void cmd_catch_signals(void);

#endif
