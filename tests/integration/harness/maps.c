// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See maps.h. */
#include "harness/maps.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness/world.h"
#include "lb_abi.h"

#define HELD_SLOTS 16 /* more than a test has workers for */

bool stalls_count;

/*
 * One store, as lbctl may write other fields at the same time. Services may come and go meanwhile.
 */
static void forgive_service(const char *service)
{
	char path[PATH_MAX];
	struct lb_config *config;
	int fd;

	snprintf(path, sizeof(path), HARNESS_PINS "/%.64s/lb_config", service);
	fd = bpf_obj_get(path);
	if (fd < 0)
		return;
	config = mmap(NULL, sizeof(*config), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (config == MAP_FAILED)
		return;
	config->stall_ns = 0;
	munmap(config, sizeof(*config));
}

void stalls_forgive(void)
{
	DIR *dir = stalls_count ? NULL : opendir(HARNESS_PINS);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] != '.' && entry->d_name[0] != '_')
			forgive_service(entry->d_name);
	}
	if (dir)
		closedir(dir);
}

int map_open(const char *service, const char *name)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), HARNESS_PINS "/%s/%s", service, name);
	fd = bpf_obj_get(path);
	if (fd < 0)
		fail_msg("%s: %s", path, strerror(errno));
	return fd;
}

void *map_mmap(const char *service, const char *name, size_t bytes)
{
	int fd = map_open(service, name);
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	close(fd);
	if (at == MAP_FAILED)
		fail_msg("mmap %s of %s: %s", name, service, strerror(errno));
	return at;
}

void holds_end(const char *service)
{
	const size_t bytes = HELD_SLOTS * sizeof(struct lb_stall);
	struct lb_stall *stalls = map_mmap(service, "listener0/lb_stalls", bytes);

	for (int slot = 0; slot < HELD_SLOTS; slot++)
		stalls[slot].accepted_ns = stalls[slot].rescued_ns;
	munmap(stalls, bytes);
}
