/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Raw bpf(2), so that a worker needs nothing but libc. */
#include "map.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int bpf_call(enum bpf_cmd cmd, union bpf_attr *attr)
{
	long result = syscall(SYS_bpf, cmd, attr, sizeof(*attr));

	return result < 0 ? -errno : (int)result;
}

int lbctl_map_open(const char *path, uint32_t file_flags)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.pathname = (uintptr_t)path;
	attr.file_flags = file_flags;
	return bpf_call(BPF_OBJ_GET, &attr);
}

int lbctl_map_lookup(int map_fd, const void *key, void *value)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_fd = map_fd;
	attr.key = (uintptr_t)key;
	attr.value = (uintptr_t)value;
	return bpf_call(BPF_MAP_LOOKUP_ELEM, &attr);
}

/*
 * A pin may also be a program, whose info has a hash where a map's has key and value sizes: the
 * caller's check of the sizes tells them apart.
 */
int lbctl_map_shape(int map_fd, struct lbctl_map_shape *shape)
{
	struct bpf_map_info info;
	union bpf_attr attr;
	int err;

	memset(&info, 0, sizeof(info));
	memset(&attr, 0, sizeof(attr));
	attr.info.bpf_fd = map_fd;
	attr.info.info_len = sizeof(info);
	attr.info.info = (uintptr_t)&info;
	err = bpf_call(BPF_OBJ_GET_INFO_BY_FD, &attr);
	if (err)
		return err;
	*shape = (struct lbctl_map_shape){
		.type = info.type,
		.key_bytes = info.key_size,
		.value_bytes = info.value_size,
		.max_entries = info.max_entries,
		.flags = info.map_flags,
	};
	return 0;
}

static void shape_set(struct lbctl_map_shape *shape, const char *name, uint32_t value)
{
	if (!strcmp(name, "map_type"))
		shape->type = value;
	else if (!strcmp(name, "key_size"))
		shape->key_bytes = value;
	else if (!strcmp(name, "value_size"))
		shape->value_bytes = value;
	else if (!strcmp(name, "max_entries"))
		shape->max_entries = value;
	else if (!strcmp(name, "map_flags"))
		shape->flags = value;
}

/* One small file, read at once: no stdio buffer to allocate in a worker's hot process. */
static ssize_t fdinfo_read(int fd, char *text, size_t size)
{
	char path[64];
	ssize_t len;
	int info;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = open(path, O_RDONLY | O_CLOEXEC);
	if (info < 0)
		return -errno;
	len = read(info, text, size - 1);
	if (len < 0)
		len = -errno;
	close(info);
	if (len >= 0)
		text[len] = '\0';
	return len;
}

int lbctl_map_shape_parse(char *text, struct lbctl_map_shape *shape)
{
	char name[32], *line, *rest;
	long long value;

	memset(shape, 0, sizeof(*shape));
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		/* numbers are decimal, but map_flags is written as 0x400 */
		if (sscanf(line, "%31[a-z_]: %lli", name, &value) == 2)
			shape_set(shape, name, value);
	}
	return shape->type ? 0 : -EINVAL;
}

int lbctl_map_shape_from_proc(int map_fd, struct lbctl_map_shape *shape)
{
	char text[1024];
	ssize_t len = fdinfo_read(map_fd, text, sizeof(text));

	return len < 0 ? (int)len : lbctl_map_shape_parse(text, shape);
}
