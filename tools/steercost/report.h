/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What steercost found, as a table or as JSON, next to the goals. */
#ifndef STEERCOST_REPORT_H
#define STEERCOST_REPORT_H

#include "bench.h"

/* Sorts the benches' figures. Returns 0, -ENOMEM, or what writing to stdout gave. */
int report_write(struct bench *benches, size_t count, uint32_t batches, uint32_t connections,
		 bool json);

#endif
