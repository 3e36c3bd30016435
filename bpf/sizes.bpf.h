/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How many bytes the values of the service's maps have, which another lbctl may have made: see
 * lb_abi.h. Set before the object is loaded, so what a map lacks is dead code to the verifier:
 *
 *	if (LB_HAS(lb_sizes.stats, struct lb_stats, field))
 *		count(&stats->field);
 */
#ifndef LB_SIZES_BPF_H
#define LB_SIZES_BPF_H

#include "vmlinux.h"

#include "lb_abi.h"

const volatile struct lb_sizes lb_sizes = {};

#endif
