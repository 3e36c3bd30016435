// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See node_package.h. */
#include "cmd/node_package.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/fold.h"

bool node_package_find(char out[PATH_MAX])
{
	/* from the program: below PREFIX/sbin, below build */
	static const char *const places[] = { "../share/lbctl/node/cluster.js",
					      "../tools/node/cluster.js" };
	char program[PATH_MAX], path[PATH_MAX + 64];
	ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);
	char *slash;

	if (n < 0)
		return false;
	program[n] = '\0';
	slash = strrchr(program, '/');
	for (size_t i = 0; slash && i < sizeof(places) / sizeof(places[0]); i++) {
		slash[1] = '\0';
		snprintf(path, sizeof(path), "%s%s", program, places[i]);
		if (realpath(path, out))
			return true;
	}
	return false;
}

void node_package_print(void)
{
	char path[PATH_MAX];

	if (!node_package_find(path))
		return;
	putchar('\n');
	fold_print(
		stdout,
		"A program that uses Node.js's cluster has one listening socket for all of its "
		"workers. By run --forks, or started without run and with this in its "
		"environment (Node.js 22.12 or newer), for lbctl attach or watch, it has one for "
		"each:",
		0, FOLD_COLUMNS);
	printf("  NODE_OPTIONS='--require %s'\n", path);
}
