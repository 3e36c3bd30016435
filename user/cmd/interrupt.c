// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See interrupt.h. */
#include "cmd/interrupt.h"

#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t came;

static void note(int signal_number)
{
	(void)signal_number;
	came = 1;
}

void interrupt_catch(void)
{
	const struct sigaction action = { .sa_handler = note };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

bool interrupt_came(void)
{
	return came;
}
