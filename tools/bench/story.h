/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How the scenario `story` is told: peers side by side, siege's fields one below the other, and the
 * connections that each worker got.
 */
#ifndef BENCH_STORY_H
#define BENCH_STORY_H

#include "compare.h"

void story_text(FILE *out, const struct comparison *comparison);

#endif
