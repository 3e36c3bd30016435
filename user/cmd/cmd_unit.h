/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The unit that lbctl unit prints, for who starts it at once. */
#ifndef CMD_UNIT_H
#define CMD_UNIT_H

#include "cmd/kept.h"
#include "cmd/unit.h"

/*
 * The unit of a service of lbctl run: cmd and `options` as run_options_parse() has them, `kept`
 * with its command line; it points to all three. Returns EXIT_DONE, or a status after a message was
 * printed: systemd can't have its paths or words.
 */
int cmd_unit_of(const struct cmd *cmd, const struct keeper_options *options,
		const struct kept *kept, struct unit *unit);

#endif
