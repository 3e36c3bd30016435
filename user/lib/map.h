/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The three bpf(2) commands that the library uses, and what it must know of a map to trust it. */
#ifndef LBCTL_LIB_MAP_H
#define LBCTL_LIB_MAP_H

#include <stdint.h>

struct lbctl_map_shape {
	uint32_t type; /* enum bpf_map_type */
	uint32_t key_bytes;
	uint32_t value_bytes;
	uint32_t max_entries;
	uint32_t flags; /* BPF_F_... */
};

/* Opens a pin; file_flags BPF_F_RDONLY or 0 for both ways. Return: descriptor or -errno. */
int lbctl_map_open(const char *path, uint32_t file_flags);

/* Return: 0, -ENOENT when the key is not there, or -errno. */
int lbctl_map_lookup(int map_fd, const void *key, void *value);

/* By bpf(2). Return: 0 or -errno (not a map: -EINVAL). */
int lbctl_map_shape(int map_fd, struct lbctl_map_shape *shape);

/*
 * By /proc: no bpf(2), so it works where a seccomp filter or an old kernel keeps that from
 * unprivileged processes. Return: 0 or -errno (not a map: -EINVAL).
 */
int lbctl_map_shape_from_proc(int map_fd, struct lbctl_map_shape *shape);

/* What it reads, a text like /proc/PID/fdinfo/FD, which is cut up. Return: 0 or -EINVAL. */
int lbctl_map_shape_parse(char *text, struct lbctl_map_shape *shape);

#endif
