/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* By which signal programs are told to end, and who of a worker's processes gets it. */
#ifndef STOP_SIGNAL_H
#define STOP_SIGNAL_H

/* X(IDENTIFIER, "name") */
#define KILL_MODES(X)                                                                              \
	X(MIXED, "mixed")     /* the main process; once that has ended, what it left behind */     \
	X(GROUP, "group")     /* its process group, at once */                                     \
	X(PROCESS, "process") /* the main process alone */

enum kill_mode {
#define X(id, name) KILL_##id,
	KILL_MODES(X)
#undef X
		KILL_MODES_COUNT
};

/* "QUIT", "SIGQUIT" or "3" to a number; -EINVAL: not a signal, or one that ends nobody (STOP). */
int stop_signal_parse(const char *text);

/* "SIGQUIT"; "signal 35" where it has no name. Static until the next call. */
const char *stop_signal_name(int number);

/*
 * The signal by which a program ends gracefully, by the name of its executable, with or without a
 * directory and what follows a digit ("php-fpm8.2"); 0 = as for most, SIGTERM.
 */
int stop_signal_of(const char *program);

/* -EINVAL: there is no such mode. */
int kill_mode_parse(const char *text);
const char *kill_mode_name(enum kill_mode mode);

#endif
