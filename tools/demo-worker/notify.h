/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The service manager's notification protocol (sd_notify(3)), without its library. */
#ifndef DEMO_NOTIFY_H
#define DEMO_NOTIFY_H

/* Sends state ("READY=1") to NOTIFY_SOCKET; nothing without it. Failures are not the caller's. */
void notify_send(const char *state);

#endif
