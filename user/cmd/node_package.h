/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where the package for Node.js's cluster (tools/node) is. */
#ifndef NODE_PACKAGE_H
#define NODE_PACKAGE_H

#include <limits.h>
#include <stdbool.h>

/*
 * Path of what a program that uses cluster is to load, as `make install` put it beside this
 * program, or as it is in the source tree of this one. False if it is in neither place.
 */
bool node_package_find(char out[PATH_MAX]);

/* For the end of a command's --help; nothing where there is no package. */
void node_package_print(void);

#endif
