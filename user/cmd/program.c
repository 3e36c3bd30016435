// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See program.h. */
#include "cmd/program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/workdir.h"
#include "cmd/words.h"

/* Returns 0, -EACCES (there, but not a program) or -ENOENT. */
static int check_program(const char *path)
{
	struct stat st;

	if (stat(path, &st))
		return -ENOENT;
	return S_ISREG(st.st_mode) && !access(path, X_OK) ? 0 : -EACCES;
}

int program_find(const char *name, const char *directory, char out[PATH_MAX])
{
	const char *path = getenv("PATH"), *at = path ? path : "/usr/bin:/bin";
	char part[PATH_MAX], base[PATH_MAX];
	int err = -ENOENT;
	size_t len;

	if (strchr(name, '/'))
		return workdir_join(out, directory, name) ? -ENOENT : check_program(out);
	for (; err && at; at = at[len] ? at + len + 1 : NULL) {
		len = strcspn(at, ":");
		snprintf(part, sizeof(part), "%.*s", (int)len, at);
		/* an empty entry is the working directory */
		if (len >= sizeof(part) || workdir_join(base, directory, part) ||
		    workdir_join(out, base, name))
			continue;
		if (check_program(out) != -ENOENT)
			err = check_program(out);
	}
	return err;
}

/* Has it a beginning that the kernel knows what to do with? Else a shell would get it. */
static bool says_how_to_run(const char *path)
{
	static const char beginnings[][2] = { { '#', '!' }, { '\x7f', 'E' }, { 'P', 'K' } };
	_cleanup_close_ int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	char first[2];

	if (fd < 0 || read(fd, first, sizeof(first)) != sizeof(first))
		return false;
	for (size_t i = 0; i < sizeof(beginnings) / sizeof(beginnings[0]); i++) {
		if (!memcmp(first, beginnings[i], sizeof(first)))
			return true;
	}
	return false;
}

int program_check_script(const struct cmd *cmd)
{
	const char *name = cmd->args[0], *interpreter = words_interpreter(name);
	char path[PATH_MAX];
	struct stat st;
	int err;

	if (!interpreter || stat(name, &st) || !S_ISREG(st.st_mode))
		return EXIT_DONE;
	err = program_find(name, ".", path);
	/* a shell gets what says nothing, which is right for its own scripts */
	if (!err && (says_how_to_run(path) || !strcmp(interpreter, "sh")))
		return EXIT_DONE;
	if (!cmd->command->takes_command)
		return cmd_fail(cmd, err == -ENOENT ? PROGRAM_NOT_FOUND : PROGRAM_NOT_EXECUTABLE,
				"%s is a script and can't be started by itself; its command is %s "
				"%s",
				name, interpreter, name);
	return cmd_fail(cmd, err == -ENOENT ? PROGRAM_NOT_FOUND : PROGRAM_NOT_EXECUTABLE,
			"%s is a script and can't be started by itself; try: lbctl %s -- %s %s",
			name, cmd->command->name, interpreter, name);
}
