// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See bindhook.h. */
#include "keeper/bindhook.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "host/cgroup.h"
#include "host/probe.h"
#include "service/state.h"
#include "bindhook.skel.h"

#define ROOT STATE_BPFFS "/lbctl-run"
#define DIR_BYTES (sizeof(ROOT) + 1 + LB_NAME_MAX)
#define PATH_BYTES (DIR_BYTES + 24)
#define FIRST_PORT "lb_first"
#define MKDIR_TRIES 100

struct bindhooks {
	struct bindhook *skel;
	struct ring_buffer *ring;
	uint32_t first_port;		     /* 0 until it is known; it never changes then */
	uint16_t ports[BINDHOOK_MOST_PORTS]; /* that were told */
	uint32_t nr_ports;
};

static int note_listen(void *ctx, void *data, size_t len)
{
	const struct lb_listen *told = data;
	struct bindhooks *hooks = ctx;

	(void)len;
	for (uint32_t i = 0; i < hooks->nr_ports; i++) {
		if (hooks->ports[i] == told->port)
			return 0;
	}
	if (hooks->nr_ports < BINDHOOK_MOST_PORTS)
		hooks->ports[hooks->nr_ports++] = told->port;
	return 0;
}

/* --- pins --- */

/*
 * Each hook is a link to the cgroup, pinned by the program's name: who has CAP_BPF and not
 * CAP_SYS_ADMIN can reach what is attached by nothing but a pin.
 */
static void pin_path(const char *name, const char *pin, char path[PATH_BYTES])
{
	snprintf(path, PATH_BYTES, ROOT "/%s/%s", name, pin);
}

static int make_directory(const char *name)
{
	char dir[DIR_BYTES];

	snprintf(dir, sizeof(dir), ROOT "/%s", name);
	if (state_mount_bpffs())
		return -ENODEV;
	/* the end of another run may take the root away, which is empty in between */
	for (int tries = 0; tries < MKDIR_TRIES; tries++) {
		if (mkdir(ROOT, 0700) && errno != EEXIST)
			return -errno;
		if (!mkdir(dir, 0700) || errno == EEXIST)
			return 0;
		if (errno != ENOENT)
			return -errno;
	}
	return -ENOENT;
}

void bindhook_remove(const char *name)
{
	_cleanup_closedir_ DIR *pins = NULL;
	struct dirent *entry;
	char dir[DIR_BYTES];

	snprintf(dir, sizeof(dir), ROOT "/%s", name);
	pins = opendir(dir);
	while (pins && (entry = readdir(pins)))
		unlinkat(dirfd(pins), entry->d_name, 0);
	rmdir(dir);
	rmdir(ROOT);
}

static bool is_on(int link_fd, int cgroup_fd)
{
	struct bpf_link_info info = { 0 };
	uint32_t len = sizeof(info);

	return !bpf_obj_get_info_by_fd(link_fd, &info, &len) && info.type == BPF_LINK_TYPE_CGROUP &&
	       info.cgroup.cgroup_id == cgroup_id(cgroup_fd);
}

/* In the place of the one that an earlier lbctl left there, with no moment without. */
static int attach(const char *name, int cgroup_fd, enum bpf_attach_type type,
		  const struct bpf_program *program)
{
	int program_fd = bpf_program__fd(program);
	_cleanup_close_ int fd = -1;
	char path[PATH_BYTES];

	pin_path(name, bpf_program__name(program), path);
	fd = bpf_obj_get(path);
	if (fd >= 0 && is_on(fd, cgroup_fd) && !bpf_link_update(fd, program_fd, NULL))
		return 0;
	unlink(path);
	close_fd(&fd);
	fd = bpf_link_create(program_fd, cgroup_fd, type, NULL);
	if (fd < 0 || bpf_obj_pin(fd, path))
		return -errno;
	return 0;
}

/* The first port that living workers bound stays the one they share. */
static void reuse_first_port(const char *name, int cgroup_fd, struct bpf_map *map)
{
	struct bpf_map_info info = { 0 };
	_cleanup_close_ int fd = -1;
	uint32_t len = sizeof(info);
	char path[PATH_BYTES];

	pin_path(name, FIRST_PORT, path);
	fd = bpf_obj_get(path);
	if (fd >= 0 && cgroup_is_populated(cgroup_fd) > 0 &&
	    !bpf_obj_get_info_by_fd(fd, &info, &len) && info.type == bpf_map__type(map) &&
	    info.value_size == bpf_map__value_size(map) && !bpf_map__reuse_fd(map, fd))
		return;
	unlink(path);
}

/* `port` is what the service says, 0 = nothing. */
static int note_first_port(const char *name, const struct bpf_map *map, uint32_t port)
{
	char path[PATH_BYTES];
	uint32_t zero = 0;

	if (port && bpf_map_update_elem(bpf_map__fd(map), &zero, &port, BPF_NOEXIST) &&
	    errno != EEXIST)
		return -errno;
	pin_path(name, FIRST_PORT, path);
	return bpf_obj_pin(bpf_map__fd(map), path) && errno != EEXIST ? -errno : 0;
}

/* --- the programs --- */

static int attach_all(const char *name, int cgroup_fd, const struct bindhook *skel)
{
	const struct {
		enum bpf_attach_type type;
		const struct bpf_program *program;
	} all[] = {
		{ BPF_CGROUP_INET4_BIND, skel->progs.lb_bind4 },
		{ BPF_CGROUP_INET6_BIND, skel->progs.lb_bind6 },
		{ BPF_CGROUP_INET4_POST_BIND, skel->progs.lb_bound4 },
		{ BPF_CGROUP_INET6_POST_BIND, skel->progs.lb_bound6 },
		{ BPF_CGROUP_SETSOCKOPT, skel->progs.lb_setsockopt },
		{ BPF_CGROUP_INET_SOCK_CREATE, skel->progs.lb_create },
		{ BPF_CGROUP_SOCK_OPS, skel->progs.lb_listened },
	};
	int err = 0;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]) && !err; i++) {
		if (bpf_program__autoload(all[i].program))
			err = attach(name, cgroup_fd, all[i].type, all[i].program);
	}
	return err;
}

static int load(const char *name, int cgroup_fd, struct bindhooks *hooks)
{
	bool can_setsockopt = probe_features()->bind_setsockopt;

	hooks->skel = bindhook__open();
	if (!hooks->skel)
		return -errno;
	hooks->skel->rodata->lb_can_setsockopt = can_setsockopt;
	bpf_program__set_autoload(hooks->skel->progs.lb_setsockopt, !can_setsockopt);
	reuse_first_port(name, cgroup_fd, hooks->skel->maps.lb_first);
	switch (bindhook__load(hooks->skel)) {
	case 0:
		return 0;
	case -EPERM:
	case -EACCES:
		return -EPERM;
	default:
		return -EOPNOTSUPP;
	}
}

int bindhook_open(const char *name, int cgroup_fd, const struct lb_bindhook *rules,
		  uint16_t first_port, struct bindhooks **out)
{
	struct bindhooks *hooks = calloc(1, sizeof(*hooks));
	int err = hooks ? make_directory(name) : -ENOMEM;
	uint32_t zero = 0;

	if (!err)
		err = load(name, cgroup_fd, hooks);
	if (!err &&
	    bpf_map_update_elem(bpf_map__fd(hooks->skel->maps.lb_bindhook), &zero, rules, 0))
		err = -errno;
	if (!err)
		err = note_first_port(name, hooks->skel->maps.lb_first, first_port);
	if (!err) {
		hooks->ring = ring_buffer__new(bpf_map__fd(hooks->skel->maps.lb_listens),
					       note_listen, hooks, NULL);
		err = hooks->ring ? attach_all(name, cgroup_fd, hooks->skel) : -errno;
	}
	if (err) {
		bindhook_close(hooks);
		return err;
	}
	*out = hooks;
	return 0;
}

void bindhook_close(struct bindhooks *hooks)
{
	if (!hooks)
		return;
	ring_buffer__free(hooks->ring);
	bindhook__destroy(hooks->skel);
	free(hooks);
}

int bindhook_add_member(struct bindhooks *hooks, uint64_t cgroup_id, uint32_t worker)
{
	const struct lb_bind_member member = { .worker = worker };

	return bpf_map_update_elem(bpf_map__fd(hooks->skel->maps.lb_members), &cgroup_id, &member,
				   BPF_ANY) ?
		       -errno :
		       0;
}

void bindhook_remove_member(struct bindhooks *hooks, uint64_t cgroup_id)
{
	bpf_map_delete_elem(bpf_map__fd(hooks->skel->maps.lb_members), &cgroup_id);
}

void bindhook_ignore(struct bindhooks *hooks, uint32_t tgid)
{
	hooks->skel->bss->lb_holder_tgid = tgid;
}

bool bindhook_refused_mptcp(struct bindhooks *hooks, uint64_t cgroup_id)
{
	struct lb_bind_member member;

	return !bpf_map_lookup_elem(bpf_map__fd(hooks->skel->maps.lb_members), &cgroup_id,
				    &member) &&
	       member.mptcp;
}

static struct lb_bindhook read_rules(const struct bindhooks *hooks)
{
	struct lb_bindhook rules = { 0 };
	uint32_t zero = 0;

	bpf_map_lookup_elem(bpf_map__fd(hooks->skel->maps.lb_bindhook), &zero, &rules);
	return rules;
}

uint16_t bindhook_first_port(struct bindhooks *hooks)
{
	uint32_t zero = 0;

	if (!hooks->first_port)
		bpf_map_lookup_elem(bpf_map__fd(hooks->skel->maps.lb_first), &zero,
				    &hooks->first_port);
	return hooks->first_port;
}

uint16_t bindhook_unshared_port(struct bindhooks *hooks, enum lb_bind_proto proto)
{
	return read_rules(hooks).unshared[proto];
}

int bindhook_fd(const struct bindhooks *hooks)
{
	return ring_buffer__epoll_fd(hooks->ring);
}

void bindhook_drain(struct bindhooks *hooks)
{
	ring_buffer__consume(hooks->ring);
}

uint32_t bindhook_take_ports(struct bindhooks *hooks, uint16_t ports[BINDHOOK_MOST_PORTS])
{
	uint32_t count = hooks->nr_ports;

	memcpy(ports, hooks->ports, count * sizeof(*ports));
	hooks->nr_ports = 0;
	return count;
}
