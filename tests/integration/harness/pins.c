// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See pins.h. */
#include "harness/pins.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/world.h"

/* bpf_map_get_fd_by_id() and its like: one per kind of object. */
typedef int (*get_by_id)(uint32_t id);

/* The ids of everything that was ever seen pinned; bpffs is ours alone, so all are ours. */
static struct {
	struct {
		uint32_t id;
		get_by_id get;
	} * items;
	size_t count;
} pinned;

static void note_pinned(uint32_t id, get_by_id get)
{
	for (size_t i = pinned.count; i-- > 0;) {
		if (pinned.items[i].id == id && pinned.items[i].get == get)
			return;
	}
	pinned.items = realloc(pinned.items, (pinned.count + 1) * sizeof(*pinned.items));
	assert_non_null(pinned.items);
	pinned.items[pinned.count].id = id;
	pinned.items[pinned.count++].get = get;
}

static get_by_id kind_of(int fd)
{
	char link[64], target[64] = "";

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if (readlink(link, target, sizeof(target) - 1) < 0)
		return NULL;
	if (strstr(target, "map"))
		return bpf_map_get_fd_by_id;
	return strstr(target, "link") ? bpf_link_get_fd_by_id : bpf_prog_get_fd_by_id;
}

static void note_pin(const char *path)
{
	/* id is the second field of every kind's info */
	struct bpf_prog_info info = { 0 };
	uint32_t len = sizeof(info);
	int fd = bpf_obj_get(path);
	get_by_id get = fd < 0 ? NULL : kind_of(fd);

	if (get && !bpf_obj_get_info_by_fd(fd, &info, &len))
		note_pinned(info.id, get);
	if (fd >= 0)
		close(fd);
}

static void walk_pins(const char *dir, FILE *out)
{
	struct dirent **entries;
	int n = scandir(dir, &entries, NULL, alphasort);

	for (int i = 0; i < n; i++) {
		char path[PATH_MAX];
		struct stat info;

		snprintf(path, sizeof(path), "%s/%s", dir, entries[i]->d_name);
		if (strcmp(entries[i]->d_name, ".") && strcmp(entries[i]->d_name, "..") &&
		    !lstat(path, &info)) {
			fprintf(out, "%s\n", path);
			if (S_ISDIR(info.st_mode))
				walk_pins(path, out);
			else
				note_pin(path);
		}
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
}

char *pins_list(void)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	walk_pins(HARNESS_PINS, out);
	fclose(out);
	return text;
}

bool pins_are_gone(void)
{
	char *pins = pins_list();
	bool gone = !*pins;

	free(pins);
	return gone;
}

bool pinned_objects_are_freed(void)
{
	for (size_t i = 0; i < pinned.count; i++) {
		int fd = pinned.items[i].get(pinned.items[i].id);

		if (fd >= 0) {
			close(fd);
			return false;
		}
	}
	return true;
}
