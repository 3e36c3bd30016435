// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See kernel.h. */
#include "harness/kernel.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/world.h"

/* Both files come in pairs of lines: "Group: name name", "Group: value value". */
static bool find_counter(const char *path, const char *name, uint64_t *value)
{
	char *text = file_read(path), *rest = text, *names, *values, *group, *word, *number;
	bool found = false;
	size_t len;

	while (!found && (names = strsep(&rest, "\n")) && (values = strsep(&rest, "\n"))) {
		group = strsep(&names, " ");
		strsep(&values, " ");
		len = strlen(group) - 1;
		while (!found && (word = strsep(&names, " ")) && (number = strsep(&values, " "))) {
			found = !strncmp(name, group, len) && !strcmp(name + len, word);
			if (found)
				*value = strtoull(number, NULL, 10);
		}
	}
	free(text);
	return found;
}

uint64_t kernel_counter(const char *name)
{
	uint64_t value = 0;

	/* a kernel that does not know the counter has never counted */
	if (!find_counter("/proc/net/netstat", name, &value))
		find_counter("/proc/net/snmp", name, &value);
	return value;
}

void kernel_set(const char *sysctl, const char *value)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "/proc/sys/%s", sysctl);
	file_write(path, value);
}
