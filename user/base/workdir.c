// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See workdir.h. */
#include "base/workdir.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* As the shell's `pwd -L` takes it: no . and no .. in it. */
static bool is_plain(const char *path)
{
	for (const char *at = path; (at = strstr(at, "/.")); at += 2) {
		const char *rest = at + 2 + (at[2] == '.');

		if (!*rest || *rest == '/')
			return false;
	}
	return *path == '/' && strlen(path) < PATH_MAX;
}

int workdir_name(char out[PATH_MAX])
{
	const char *pwd = getenv("PWD");
	struct stat here, there;

	if (pwd && is_plain(pwd) && !stat(".", &here) && !stat(pwd, &there) &&
	    here.st_dev == there.st_dev && here.st_ino == there.st_ino) {
		strcpy(out, pwd);
		return 0;
	}
	return getcwd(out, PATH_MAX) ? 0 : -errno;
}

int workdir_join(char out[PATH_MAX], const char *directory, const char *path)
{
	while (!strncmp(path, "./", 2))
		path += 2;
	if (*path == '/')
		directory = "";
	return snprintf(out, PATH_MAX, "%s%s%s", directory, *path == '/' ? "" : "/", path) <
			       PATH_MAX ?
		       0 :
		       -ENAMETOOLONG;
}
