// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See gone.h. */
#include "cmd/gone.h"

#include <stdio.h>

#include "keeper/leftovers.h"

bool gone_is(const char *name)
{
	return leftovers_lack_keeper(name);
}

void gone_command(const char *name, char command[AGAIN_BYTES])
{
	if (again_read(name, command))
		*command = '\0';
}

void gone_remedy(const char *name, char text[GONE_BYTES])
{
	char command[AGAIN_BYTES];

	gone_command(name, command);
	if (*command)
		snprintf(text, GONE_BYTES, "this takes it up again: %s", command);
	else
		snprintf(text, GONE_BYTES,
			 "the command that started it takes it up again, with --name %s", name);
}
