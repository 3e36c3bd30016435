/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Counters and settings of this network namespace. */
#ifndef HARNESS_KERNEL_H
#define HARNESS_KERNEL_H

#include <stdint.h>

/* A kernel counter of this network namespace, by nstat's name: "TcpExtListenOverflows". */
uint64_t kernel_counter(const char *name);
void kernel_set(const char *sysctl, const char *value); /* "net/ipv4/tcp_syncookies" */

#endif
