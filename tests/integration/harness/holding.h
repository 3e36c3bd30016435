/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the service "web" knows of the connections that it holds. */
#ifndef HARNESS_HOLDING_H
#define HARNESS_HOLDING_H

#include <stdbool.h>

#include "lb_abi.h"

/* A copy of lb_hold, as it is now. */
struct lb_hold holding_now(void);

/* Has it waiting listeners? With hold_ms they come a moment after the setting. */
bool is_holding(void);

/* Neither waits a connection, nor is one on its way to a worker. */
bool nothing_is_held(void);

#endif
