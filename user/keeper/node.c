// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See node.h. */
#include "keeper/node.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#define BETWEEN_WORDS " \t\n\r;&|()<>'\"`=!"

/* They take the descriptor that the variable names, or run a node that does. */
static const char *const programs[] = { "node", "nodejs", "npm",  "npx", "yarn",
					"pnpm", "bun",	  "deno", NULL };

/* They run what their arguments say, with all descriptors. */
static const char *const wrappers[] = {
	"sh",	   "bash",   "dash",	"zsh",	   "env",  "exec",	"nice",	   "ionice",
	"nohup",   "setsid", "stdbuf",	"taskset", "chrt", "numactl",	"prlimit", "timeout",
	"setpriv", "su",     "runuser", "sudo",	   "tini", "dumb-init", "busybox", NULL,
};

static bool is_one_of(const char *const *names, const char *name, size_t len)
{
	for (; *names; names++) {
		if (strlen(*names) == len && !memcmp(*names, name, len))
			return true;
	}
	return false;
}

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

bool node_is_named(const char *text)
{
	while (*text) {
		size_t len = strcspn(text, BETWEEN_WORDS), begin = len;

		while (begin && text[begin - 1] != '/')
			begin--;
		if (is_one_of(programs, text + begin, len - begin))
			return true;
		text += len;
		text += strspn(text, BETWEEN_WORDS);
	}
	return false;
}

/* As execvp() finds it. */
static bool find(const char *name, char out[PATH_MAX])
{
	const char *at = getenv("PATH");
	char path[PATH_MAX];
	struct stat st;
	size_t len;

	if (strchr(name, '/'))
		return realpath(name, out);
	for (at = at ? at : "/bin:/usr/bin"; at; at = at[len] ? at + len + 1 : NULL) {
		len = strcspn(at, ":");
		if (snprintf(path, sizeof(path), "%.*s%s%s", (int)len, at, len ? "/" : "./", name) <
			    PATH_MAX &&
		    !access(path, X_OK) && !stat(path, &st) && S_ISREG(st.st_mode))
			return realpath(path, out);
	}
	return false;
}

static bool is_script_of_node(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	char line[129];
	ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);

	if (n < 2 || memcmp(line, "#!", 2))
		return false;
	line[n] = '\0';
	line[strcspn(line, "\n")] = '\0';
	return node_is_named(line + 2);
}

bool node_is_run(char *const *argv)
{
	const char *name = last_part(argv[0]);
	char path[PATH_MAX];

	if (is_one_of(programs, name, strlen(name)))
		return true;
	for (size_t i = 1; is_one_of(wrappers, name, strlen(name)) && argv[i]; i++) {
		if (node_is_named(argv[i]))
			return true;
	}
	if (!find(argv[0], path))
		return false;
	name = last_part(path);
	return is_one_of(programs, name, strlen(name)) || is_script_of_node(path);
}
