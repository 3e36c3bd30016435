// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See trusted_path.h. */
#include "host/trusted_path.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST_LINKS 40 /* as the kernel has it */
#define MOST_GROUPS 256

struct walk {
	char done[PATH_MAX]; /* that was looked at: a directory, "" is the root */
	char rest[PATH_MAX];
	const struct passwd *user;
	int links;
};

static bool is_ours(const struct stat *st)
{
	return !st->st_uid || st->st_uid == geteuid();
}

static bool is_member(const struct passwd *user, gid_t group)
{
	gid_t groups[MOST_GROUPS];
	int n = MOST_GROUPS;

	/* more than that: who knows */
	if (getgrouplist(user->pw_name, user->pw_gid, groups, &n) < 0)
		return true;
	for (int i = 0; i < n; i++) {
		if (groups[i] == group)
			return true;
	}
	return false;
}

/* Can others exchange this entry of that directory? */
static bool is_safe_in(const struct walk *walk, const struct stat *dir, const struct stat *entry)
{
	bool others = dir->st_mode & S_IWOTH ||
		      (dir->st_mode & S_IWGRP && walk->user && is_member(walk->user, dir->st_gid));

	return is_ours(dir) && (!others || (dir->st_mode & S_ISVTX && is_ours(entry)));
}

/* Goes on where the link leads. Returns 0 or -errno. */
static int follow(struct walk *walk, const char *link)
{
	char target[PATH_MAX], rest[PATH_MAX];
	ssize_t n = readlink(link, target, sizeof(target) - 1);

	if (n <= 0 || ++walk->links > MOST_LINKS)
		return n < 0 ? -errno : -ELOOP;
	target[n] = '\0';
	strcpy(rest, walk->rest);
	if (*target == '/')
		*walk->done = '\0';
	return snprintf(walk->rest, PATH_MAX, "%s/%s", target, rest) < PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* Looks at the next part of the path. Returns as trusted_path(). */
static int step(struct walk *walk)
{
	size_t len = strcspn(walk->rest, "/");
	char at[PATH_MAX], here[PATH_MAX];
	struct stat dir, entry;

	if (snprintf(at, PATH_MAX, "%s/%.*s", walk->done, (int)len, walk->rest) >= PATH_MAX ||
	    snprintf(here, PATH_MAX, "%s/", walk->done) >= PATH_MAX)
		return -ENAMETOOLONG;
	memmove(walk->rest, walk->rest + len, strlen(walk->rest + len) + 1);
	if (stat(here, &dir) || lstat(at, &entry))
		return -errno;
	if (!is_safe_in(walk, &dir, &entry))
		return -EXDEV;
	if (S_ISLNK(entry.st_mode))
		return follow(walk, at);
	strcpy(walk->done, at);
	return 0;
}

int trusted_path(const char *path, const struct passwd *user)
{
	struct walk walk = { .user = user };
	const char *last = strrchr(path, '/');
	size_t len = last ? last - path : 0;
	int err = 0;

	/* the last part is who opens it to look at */
	if (snprintf(walk.rest, PATH_MAX, "%.*s", (int)len, path) >= PATH_MAX)
		return -ENAMETOOLONG;
	if (*path != '/')
		strcpy(walk.done, ".");
	while (!err) {
		memmove(walk.rest, walk.rest + strspn(walk.rest, "/"),
			strlen(walk.rest + strspn(walk.rest, "/")) + 1);
		if (!*walk.rest)
			break;
		err = step(&walk);
	}
	return err;
}
