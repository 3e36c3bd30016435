// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See proc_name.h. */
#include "host/proc_name.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "host/proc_file.h"

static int read_comm(pid_t pid, char *out, size_t len)
{
	char text[PROC_NAME_BYTES + 1];
	ssize_t n = proc_file_read(pid, "comm", text, sizeof(text));

	if (n < 0)
		return n;
	if (n && text[n - 1] == '\n')
		text[--n] = '\0';
	if ((size_t)n >= len)
		return -ENAMETOOLONG;
	memcpy(out, text, n + 1);
	return 0;
}

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* A name that the kernel cut begins a longer one. */
static bool begins(const char *name, const char *path)
{
	return *name && !strncmp(last_part(path), name, strlen(name));
}

/* Is it what the process was started as: its program, or a script that is one of its words? */
static bool is_of_program(const char *name, const char *program, const char *words, size_t bytes)
{
	size_t at = 0;

	if (begins(name, program))
		return true;
	for (int i = 0; i < 2 && at < bytes; i++, at += strlen(words + at) + 1) {
		if (begins(name, words + at))
			return true;
	}
	return false;
}

/* As the kernel has it. `out` has PROC_NAME_BYTES. */
static int read_name(pid_t pid, char *out)
{
	char path[64], program[PATH_MAX], words[1024];
	int err = read_comm(pid, out, PROC_NAME_BYTES);
	ssize_t n;

	if (err)
		return err;
	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	n = readlink(path, program, sizeof(program) - 1);
	if (n <= 0)
		return 0;
	program[n] = '\0';
	/* its file was replaced, as by an update */
	if (n > 10 && !strcmp(program + n - 10, " (deleted)"))
		program[n - 10] = '\0';
	n = proc_file_read(pid, "cmdline", words, sizeof(words));
	/* threads have names, and the first one's is what the kernel calls the process */
	if (!is_of_program(out, program, words, n > 0 ? n : 0) &&
	    strlen(last_part(program)) < PROC_NAME_BYTES)
		strcpy(out, last_part(program));
	return 0;
}

int proc_name(pid_t pid, char *out, size_t len)
{
	char name[PROC_NAME_BYTES];
	int err = read_name(pid, name);

	if (!err)
		text_clean(out, len, name, strlen(name));
	return err;
}
