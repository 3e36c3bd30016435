/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What lbctl set takes, for who describes a service in another way. */
#ifndef CMD_SET_H
#define CMD_SET_H

#include "cmd/cmd.h"

/* Is this KEY=VALUE one of set's? EXIT_DONE, or EXIT_USAGE after a message was printed. */
int cmd_set_check(const struct cmd *cmd, const char *text);

/* Has the service that value already? `text` has passed cmd_set_check(). */
bool cmd_set_holds(const struct cmd *cmd, const char *text, const struct state *state);

#endif
