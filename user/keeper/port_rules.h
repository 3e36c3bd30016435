/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Do the ports of --port and --offset-port go together? */
#ifndef PORT_RULES_H
#define PORT_RULES_H

#include <stdint.h>

#include "lb_bindhook.h"

#define PORT_RULES_BYTES 200

/*
 * With so many workers each of them has to get a port that there is, and that no other one gets.
 * Returns 0, or -EINVAL with a sentence in `why`.
 */
int port_rules_check(const struct lb_bindhook *rules, uint32_t workers, char why[PORT_RULES_BYTES]);

#endif
