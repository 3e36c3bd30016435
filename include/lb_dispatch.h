/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The tables of the program that all services in a cgroup share: see bpf/dispatch.bpf.c. lbctl of
 * different versions share them too, so they never change: lb_indexes has 32-bit keys and values.
 */
#ifndef LB_DISPATCH_H
#define LB_DISPATCH_H

#define LB_MAX_COUNTED 4096 /* services that share the program; more have one of their own */

#endif
