/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Ctrl-C and SIGTERM for commands that go on until they are told to end, and say something then. */
#ifndef INTERRUPT_H
#define INTERRUPT_H

#include <stdbool.h>

/* From now on these signals end a sleep or a read, and not the process. */
void interrupt_catch(void);

/* Has one come since? */
bool interrupt_came(void);

#endif
