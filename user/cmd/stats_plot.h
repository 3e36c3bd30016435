/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* lbctl stats --plot: looks at a service for some time, then draws what it saw. */
#ifndef STATS_PLOT_H
#define STATS_PLOT_H

#include "cmd/cmd.h"

/*
 * Looks once a second, for so many of them or until SIGINT or SIGTERM, and writes the picture to
 * `path`. Returns an exit status; messages were printed.
 */
int stats_plot(const struct cmd *cmd, const char *name, const char *path, uint64_t seconds);

#endif
