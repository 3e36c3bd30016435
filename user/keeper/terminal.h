/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The terminal that lbctl run was started from, which may go before the service does. */
#ifndef TERMINAL_H
#define TERMINAL_H

#include <stdint.h>

#define TERMINAL_OUTPUTS (1 << 1 | 1 << 2) /* standard output and standard error */

/* Which of descriptors 0, 1 and 2 are a terminal: bits. */
uint8_t terminal_note(void);

/*
 * Which of these have been hung up since: they lead to /dev/null from now on. A write to them was
 * an error (EIO), for which Node.js ends and Python fails the request that it prints a line about.
 */
uint8_t terminal_take_lost(uint8_t *terminal);

#endif
