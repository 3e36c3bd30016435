/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where a worker's lb_load entry is: environment, then the pins below one or two directories. */
#include "find.h"

#include <dirent.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lb_abi.h"
#include "map.h"

/* for unprivileged workers, then root's */
static const char *const roots[] = { "/run/lbctl/bpf", "/sys/fs/bpf/lbctl" };

/* isalpha() would follow the locale */
static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool lbctl_find_is_name(const char *name)
{
	size_t i;

	if (!is_letter(name[0]))
		return false;
	for (i = 1; name[i]; i++) {
		if (!is_letter(name[i]) && !(name[i] >= '0' && name[i] <= '9') && name[i] != '-' &&
		    name[i] != '_')
			return false;
	}
	return i <= LBCTL_NAME_MAX;
}

long lbctl_find_env_number(const char *name, long most)
{
	const char *text = getenv(name);
	char *end;
	long value;

	if (!text || text[0] < '0' || text[0] > '9')
		return -1;
	errno = 0;
	value = strtol(text, &end, 10);
	return errno || *end || value > most ? -1 : value;
}

static bool is_load_map(const struct lbctl_map_shape *shape, uint32_t slot)
{
	return shape->type == BPF_MAP_TYPE_ARRAY && shape->key_bytes == sizeof(uint32_t) &&
	       shape->value_bytes == sizeof(struct lb_load) && shape->flags & BPF_F_MMAPABLE &&
	       slot < shape->max_entries;
}

static bool is_cookie_map(const struct lbctl_map_shape *shape)
{
	return shape->type == BPF_MAP_TYPE_HASH && shape->key_bytes == sizeof(uint64_t) &&
	       shape->value_bytes >= LB_FIRST_place && shape->value_bytes <= LB_MOST_COPIED;
}

bool lbctl_find_may_be_load(int fd, uint32_t slot)
{
	struct lbctl_map_shape shape;
	int err = lbctl_map_shape_from_proc(fd, &shape);

	return err ? err != -EINVAL : is_load_map(&shape, slot);
}

bool lbctl_find_is_own(const char *service)
{
	const char *own = getenv("LBCTL_SERVICE");

	return !service || !own || !strcmp(service, own);
}

/* bpf(2) only where /proc is missing or closed to us: a seccomp filter may kill for the call. */
static int inherited_shape(int fd, struct lbctl_map_shape *shape)
{
	int err = lbctl_map_shape_from_proc(fd, shape);

	if (!err || err == -EINVAL)
		return err;
	if (err == -ENOENT && !access("/proc/self/fdinfo", F_OK))
		return -EBADF;
	return lbctl_map_shape(fd, shape);
}

/*
 * A process that has changed its user may not read its own fdinfo before 5.14, nor call bpf(2)
 * before 5.19. Then lbctl's word must do, if the descriptor is of no file, device, pipe or socket.
 */
static bool is_believable(int fd)
{
	struct stat info;

	return !fstat(fd, &info) && !(info.st_mode & S_IFMT);
}

static int find_inherited(struct lbctl_found *found)
{
	long fd = lbctl_find_env_number("LBCTL_LOAD_FD", INT32_MAX);
	long slot = lbctl_find_env_number("LBCTL_SLOT", LB_MAX_SLOTS - 1);
	struct lbctl_map_shape shape;
	int err;

	if (fd < 0 || slot < 0)
		return -ENOENT;
	err = inherited_shape(fd, &shape);
	if (err == -EPERM ? !is_believable(fd) : err || !is_load_map(&shape, slot))
		return -ENOENT;
	*found = (struct lbctl_found){ .load_fd = fd, .inherited = true, .slot = slot };
	return 0;
}

/* For the same reason bpf(2) is called only for a pin that is there. */
static int open_pin(const char *root, const char *service, const char *pin, uint32_t file_flags)
{
	char path[512];
	int len = snprintf(path, sizeof(path), "%s/%s/%s", root, service, pin);

	if (len < 0 || (size_t)len >= sizeof(path))
		return -ENAMETOOLONG;
	if (access(path, F_OK))
		return -errno;
	return lbctl_map_open(path, file_flags);
}

static int find_slot(const char *root, const char *service, uint64_t cookie, uint32_t *slot)
{
	int fd = open_pin(root, service, "lb_cookies", BPF_F_RDONLY);
	struct lbctl_map_shape shape;
	/* whoever made the map may have put more behind what we know */
	union {
		struct lb_place place;
		char bytes[LB_MOST_COPIED];
	} found = { 0 };
	int err;

	if (fd < 0)
		return fd;
	err = lbctl_map_shape(fd, &shape);
	if (!err && !is_cookie_map(&shape))
		err = -EINVAL;
	if (!err)
		err = lbctl_map_lookup(fd, &cookie, &found);
	close(fd);
	if (!err)
		*slot = found.place.slot;
	return err;
}

static int find_in_service(const char *root, const char *service, uint64_t cookie,
			   struct lbctl_found *found)
{
	struct lbctl_map_shape shape;
	uint32_t slot;
	int fd;

	if (find_slot(root, service, cookie, &slot))
		return -ENOENT;
	fd = open_pin(root, service, "lb_load", 0);
	if (fd < 0)
		return -ENOENT;
	if (lbctl_map_shape(fd, &shape) || !is_load_map(&shape, slot)) {
		close(fd);
		return -ENOENT;
	}
	*found = (struct lbctl_found){ .load_fd = fd, .slot = slot };
	return 0;
}

static int find_in_any(const char *root, uint64_t cookie, struct lbctl_found *found)
{
	int result = -ENOENT;
	struct dirent *entry;
	DIR *dir = opendir(root);

	if (!dir)
		return -ENOENT;
	while (result && (entry = readdir(dir))) {
		if (lbctl_find_is_name(entry->d_name))
			result = find_in_service(root, entry->d_name, cookie, found);
	}
	closedir(dir);
	return result;
}

/* Where bpffs is not mounted for root alone, anyone may make such a directory, or a link. */
static bool is_trusted(const char *root)
{
	struct stat st;

	return !lstat(root, &st) && S_ISDIR(st.st_mode) && (!st.st_uid || st.st_uid == geteuid()) &&
	       !(st.st_mode & (S_IWGRP | S_IWOTH));
}

static int find_in_root(const char *root, const struct lbctl_search *search,
			struct lbctl_found *found)
{
	const char *service = search->service ? search->service : getenv("LBCTL_SERVICE");

	if (!service)
		return find_in_any(root, search->cookie, found);
	/* the environment's name was checked by nobody: it must not lead out of the root */
	if (!lbctl_find_is_name(service))
		return -ENOENT;
	return find_in_service(root, service, search->cookie, found);
}

int lbctl_find(const struct lbctl_search *search, struct lbctl_found *found)
{
	const char *only = secure_getenv("LBCTL_BPF_DIR");
	size_t i;

	if (lbctl_find_is_own(search->service) && !find_inherited(found))
		return 0;
	if (only)
		return find_in_root(only, search, found);
	for (i = 0; i < sizeof(roots) / sizeof(roots[0]); i++) {
		if (is_trusted(roots[i]) && !find_in_root(roots[i], search, found))
			return 0;
	}
	return -ENOENT;
}
