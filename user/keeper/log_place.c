// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See log_place.h. The file has one line: a word for the kind, a blank, and where. */
#include "keeper/log_place.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/workdir.h"
#include "host/cgroup.h"
#include "keeper/run_files.h"

static const char *const words[] = {
	[LOG_ELSEWHERE] = "elsewhere",
	[LOG_DIRECTORY] = "directory",
	[LOG_FILE] = "file",
	[LOG_JOURNAL] = "journal",
};
#define KINDS (sizeof(words) / sizeof(words[0]))

void log_place_path(const char *directory, const char *name, uint32_t worker, char out[PATH_MAX])
{
	snprintf(out, PATH_MAX, "%s/%s-%u.log", directory, name, worker);
}

/* JOURNAL_STREAM, systemd.exec(5), says which stream that is: output may have been redirected. */
static bool is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	uintmax_t device, inode;
	struct stat st;

	return stream && sscanf(stream, "%ju:%ju", &device, &inode) == 2 &&
	       !fstat(STDOUT_FILENO, &st) && st.st_dev == device && st.st_ino == inode;
}

void log_place_unit(char *out, size_t len)
{
	char path[PATH_MAX], *last;

	*out = '\0';
	if (!is_journal() || cgroup_own(path))
		return;
	last = strstr(path, ".service");
	if (!last)
		return;
	last[strlen(".service")] = '\0';
	last = strrchr(path, '/');
	snprintf(out, len, "%.*s", (int)len - 1, last ? last + 1 : path);
}

static bool find_file(char out[PATH_MAX])
{
	ssize_t n = readlink("/proc/self/fd/1", out, PATH_MAX - 1);
	struct stat st;

	out[n > 0 ? n : 0] = '\0';
	return !fstat(STDOUT_FILENO, &st) && S_ISREG(st.st_mode) && st.st_nlink;
}

static void find(const char *directory, struct log_place *place)
{
	char here[PATH_MAX];

	*place = (struct log_place){ .kind = LOG_ELSEWHERE };
	if (directory && !workdir_name(here) && !workdir_join(place->where, here, directory))
		place->kind = LOG_DIRECTORY;
	else if (log_place_unit(place->where, sizeof(place->where)), *place->where)
		place->kind = LOG_JOURNAL;
	else if (find_file(place->where))
		place->kind = LOG_FILE;
}

void log_place_note(const char *name, const char *directory)
{
	char line[PATH_MAX + 16];
	struct log_place place;

	find(directory, &place);
	snprintf(line, sizeof(line), "%s %s", words[place.kind], place.where);
	run_files_write(name, "logs", line);
}

int log_place_read(const char *name, struct log_place *place)
{
	char line[PATH_MAX];
	size_t len;

	if (run_files_read(name, "logs", line))
		return -ENOENT;
	len = strcspn(line, " ");
	for (size_t i = 0; i < KINDS; i++) {
		if (!strncmp(line, words[i], len) && !words[i][len] && line[len]) {
			place->kind = i;
			strcpy(place->where, line + len + 1);
			return 0;
		}
	}
	return -ENOENT;
}
