// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See usage.h. */
#include "host/usage.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "host/cgroup.h"
#include "host/proc_file.h"

#define COMMAND_BYTES 4096

int usage_parse_stat(const char *text, struct usage_stat *stat)
{
	/* The name is field 2 in parentheses and may itself hold spaces and parentheses. */
	const char *at = strrchr(text, ')');
	uint64_t user, system, start, pages;

	if (!at || sscanf(at + 1,
			  " %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %" SCNu64 " %" SCNu64
			  " %*s %*s %*s %*s %*s %*s %" SCNu64 " %*s %" SCNu64,
			  &user, &system, &start, &pages) != 4)
		return -EBADMSG;
	*stat = (struct usage_stat){ user + system, start, pages };
	return 0;
}

int usage_read(pid_t pid, struct usage *usage)
{
	uint64_t tick_ms = 1000 / sysconf(_SC_CLK_TCK), now_ms;
	struct usage_stat stat;
	char text[PROC_STAT_BYTES];
	struct timespec now;
	ssize_t n = proc_file_read(pid, "stat", text, sizeof(text));
	int err = n < 0 ? -ESRCH : usage_parse_stat(text, &stat);

	if (err)
		return err;
	/* starts are told since boot, time asleep included */
	clock_gettime(CLOCK_BOOTTIME, &now);
	now_ms = now.tv_sec * 1000ULL + now.tv_nsec / 1000000;
	usage->cpu_ms = stat.cpu_ticks * tick_ms;
	usage->uptime_ms =
		now_ms > stat.start_ticks * tick_ms ? now_ms - stat.start_ticks * tick_ms : 0;
	usage->memory_bytes = stat.resident_pages * sysconf(_SC_PAGESIZE);
	return 0;
}

static int add_memory(pid_t pid, void *arg)
{
	uint64_t *bytes = arg;
	struct usage usage;

	if (pid > 0 && !usage_read(pid, &usage))
		*bytes += usage.memory_bytes;
	return 0;
}

uint64_t usage_memory_of_cgroup(int dir_fd)
{
	uint64_t bytes = 0;

	cgroup_each(dir_fd, add_memory, &bytes);
	return bytes;
}

void usage_command(pid_t pid, char *out, size_t len)
{
	char words[COMMAND_BYTES];
	ssize_t n = proc_file_read(pid, "cmdline", words, sizeof(words));

	/* the last word's end is that of the text; a program that renames itself leaves more */
	while (n > 0 && !words[n - 1])
		n--;
	for (ssize_t i = 0; i < n; i++) {
		if (!words[i])
			words[i] = ' ';
	}
	text_clean(out, len, words, n > 0 ? n : 0);
}
