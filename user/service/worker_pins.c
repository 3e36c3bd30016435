// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See worker_pins.h. */
#include "service/worker_pins.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

static const struct {
	enum state_map map;
	mode_t mode;
} pins[] = {
	{ MAP_LOAD, 0660 },
	{ MAP_COOKIES, 0640 },
};

static int make_root(void)
{
	struct statfs fs;

	if (mkdir("/run/lbctl", 0755) && errno != EEXIST)
		return -errno;
	if (mkdir(WORKER_PINS_ROOT, 0755) && errno != EEXIST)
		return -errno;
	if (statfs(WORKER_PINS_ROOT, &fs))
		return -errno;
	if (fs.f_type != BPF_FS_MAGIC && mount("bpf", WORKER_PINS_ROOT, "bpf", 0, "mode=0755"))
		return -errno;
	return 0;
}

static int pin_for_group(int map_fd, const char *dir, const char *name, mode_t mode, gid_t group)
{
	char path[STATE_PATH_BYTES];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	/* may be left over from a service of the same name */
	unlink(path);
	if (bpf_obj_pin(map_fd, path))
		return -errno;
	if (chown(path, -1, group) || chmod(path, mode))
		return -errno;
	return 0;
}

static int pin_all(const struct state *state, gid_t group)
{
	char dir[STATE_DIR_BYTES];
	int err = make_root();

	if (err)
		return err;
	snprintf(dir, sizeof(dir), "%s/%s", WORKER_PINS_ROOT, state->name);
	if (mkdir(dir, 0750) && errno != EEXIST)
		return -errno;
	for (size_t i = 0; !err && i < sizeof(pins) / sizeof(pins[0]); i++)
		err = pin_for_group(state->maps[pins[i].map], dir, state_map_name(pins[i].map),
				    pins[i].mode, group);
	/* last: nobody may look in before all is there */
	if (!err && (chown(dir, -1, group) || chmod(dir, 0750)))
		err = -errno;
	return err;
}

int worker_pins_publish(const struct state *state, struct trouble *trouble)
{
	int err;

	if (state->config->group == LB_NO_GROUP)
		return EXIT_DONE;
	err = pin_all(state, state->config->group);
	if (!err)
		return EXIT_DONE;
	return trouble_set(
		trouble, EXIT_FAILED,
		"the service steers, but its workers can't report load: " WORKER_PINS_ROOT
		": %s; mount a bpffs there, then attach again",
		strerror(-err));
}

void worker_pins_remove(const char *name)
{
	char path[STATE_PATH_BYTES];

	for (size_t i = 0; i < sizeof(pins) / sizeof(pins[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s/%s", WORKER_PINS_ROOT, name,
			 state_map_name(pins[i].map));
		unlink(path);
	}
	snprintf(path, sizeof(path), "%s/%s", WORKER_PINS_ROOT, name);
	rmdir(path);
}
