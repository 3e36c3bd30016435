/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What lbctl export is asked for, for who has it done later. */
#ifndef CMD_EXPORT_H
#define CMD_EXPORT_H

#include "cmd/cmd.h"
#include "web/change.h"
#include "web/listen.h"
#include "web/server.h"

struct export_plan {
	struct listen_places places;
	struct server_config web;
	char token[CHANGE_TOKEN_BYTES];
	const char *user;
	uint32_t group;
};

/*
 * Reads the options of a call of lbctl export into the plan, and the token. Nothing is opened to
 * listen on. Returns EXIT_DONE, or a status after a message was printed.
 */
int cmd_export_parse(const struct cmd *cmd, struct export_plan *plan);

#endif
