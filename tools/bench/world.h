/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A world of its own for peers and load: network, pid and mount namespaces, a fresh bpffs and /run,
 * and a cgroup. The process that was started stays outside and takes all of it away at the end,
 * whatever ended the one inside.
 */
#ifndef BENCH_WORLD_H
#define BENCH_WORLD_H

#include <limits.h>

#include "base/trouble.h"

#define WORLD_DIR "/run/lb-bench" /* gone with the world */

struct world {
	char build[PATH_MAX];  /* where lb-bench and lbctl are */
	char tools[PATH_MAX];  /* tools/bench in the source tree; LB_BENCH_TOOLS overrides it */
	char cache[PATH_MAX];  /* of npm packages: LB_BENCH_CACHE, else ~/.cache/lb-bench */
	char cgroup[PATH_MAX]; /* ours, empty */
};

/* Finds the paths above, without cgroup. */
int world_find(struct world *world, struct trouble *trouble);

/*
 * Returns EXIT_DONE inside of the new world, as its pid 1, with cmd_catch_signals() done; or the
 * status of *trouble. The process outside does not return: it exits with the inner one's status.
 */
int world_enter(struct world *world, struct trouble *trouble);

#endif
