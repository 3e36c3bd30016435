/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Does this kernel wake who sleeps on a listener when a connection migrates there? From 5.14, which
 * began to migrate, to the stable releases of mid-2026 (6.1.176) it does not.
 */
#ifndef WAKE_PROBE_H
#define WAKE_PROBE_H

/*
 * Tries it, with two listeners and a client on a free port of 127.0.0.1; takes a millisecond or
 * two. Returns 1 it does, 0 it does not, -EOPNOTSUPP (nothing migrates), -EPERM, -ETIMEDOUT (the
 * loopback interface gives no connection) or -errno.
 */
int wake_probe(void);

#endif
