// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See bindhook.h. */
#include "keeper/bindhook.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "host/cgroup.h"
#include "host/probe.h"
#include "bindhook.skel.h"

#define MOST_PROGRAMS 64
#define MOST_MAPS 16

struct bindhooks {
	struct bindhook *skel;
	struct ring_buffer *ring;
};

static int note_listen(void *ctx, void *data, size_t len)
{
	(void)ctx;
	(void)data;
	(void)len;
	return 0;
}

/* Is this program one of ours, by name? */
static bool is_named(uint32_t id, const char *name, int *fd)
{
	struct bpf_prog_info info = { 0 };
	uint32_t len = sizeof(info);

	*fd = bpf_prog_get_fd_by_id(id);
	if (*fd < 0 || bpf_obj_get_info_by_fd(*fd, &info, &len))
		return false;
	return !strcmp(info.name, name);
}

static bool is_first_port(uint32_t map_id, int *fd)
{
	struct bpf_map_info info = { 0 };
	uint32_t len = sizeof(info);

	*fd = bpf_map_get_fd_by_id(map_id);
	if (*fd < 0 || bpf_obj_get_info_by_fd(*fd, &info, &len))
		return false;
	return !strcmp(info.name, "lb_first") && info.value_size == sizeof(uint32_t);
}

static int set_first_port(const struct bindhook *skel, uint32_t port, uint64_t flags)
{
	uint32_t zero = 0;

	return bpf_map_update_elem(bpf_map__fd(skel->maps.lb_first), &zero, &port, flags) ? -errno :
											    0;
}

/*
 * The first port that the living workers bound stays the one they share. What ours has noted
 * meanwhile was bound later.
 */
static void inherit_first_port(int program_fd, const struct bindhook *skel)
{
	uint32_t maps[MOST_MAPS], zero = 0, port;
	struct bpf_prog_info info = { .nr_map_ids = MOST_MAPS, .map_ids = (uintptr_t)maps };
	uint32_t len = sizeof(info);

	if (bpf_obj_get_info_by_fd(program_fd, &info, &len))
		return;
	for (uint32_t i = 0; i < info.nr_map_ids && i < MOST_MAPS; i++) {
		_cleanup_close_ int fd = -1;

		if (is_first_port(maps[i], &fd) && !bpf_map_lookup_elem(fd, &zero, &port))
			set_first_port(skel, port, BPF_ANY);
	}
}

/* Takes what an earlier lbctl left off the cgroup; ours is there already, so nothing slips by. */
static void detach_older(int cgroup_fd, enum bpf_attach_type type, const struct bpf_program *ours,
			 const struct bindhook *skel)
{
	struct bpf_prog_info info = { 0 };
	uint32_t ids[MOST_PROGRAMS], n = MOST_PROGRAMS, len = sizeof(info);

	if (bpf_obj_get_info_by_fd(bpf_program__fd(ours), &info, &len) ||
	    bpf_prog_query(cgroup_fd, type, 0, NULL, ids, &n))
		return;
	for (uint32_t i = 0; i < n; i++) {
		_cleanup_close_ int fd = -1;

		if (ids[i] == info.id || !is_named(ids[i], bpf_program__name(ours), &fd))
			continue;
		if (type == BPF_CGROUP_INET4_BIND && cgroup_is_populated(cgroup_fd) > 0)
			inherit_first_port(fd, skel);
		bpf_prog_detach2(fd, cgroup_fd, type);
	}
}

static int attach(int cgroup_fd, enum bpf_attach_type type, const struct bpf_program *program,
		  const struct bindhook *skel)
{
	if (bpf_prog_attach(bpf_program__fd(program), cgroup_fd, type, BPF_F_ALLOW_MULTI))
		return -errno;
	detach_older(cgroup_fd, type, program, skel);
	return 0;
}

static int attach_all(int cgroup_fd, const struct bindhook *skel)
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
			err = attach(cgroup_fd, all[i].type, all[i].program, skel);
	}
	return err;
}

static int load(struct bindhooks *hooks)
{
	bool can_setsockopt = probe_features()->bind_setsockopt;

	hooks->skel = bindhook__open();
	if (!hooks->skel)
		return -errno;
	hooks->skel->rodata->lb_can_setsockopt = can_setsockopt;
	bpf_program__set_autoload(hooks->skel->progs.lb_setsockopt, !can_setsockopt);
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

int bindhook_open(int cgroup_fd, const struct lb_bindhook *rules, uint16_t first_port,
		  struct bindhooks **out)
{
	struct bindhooks *hooks = calloc(1, sizeof(*hooks));
	uint32_t zero = 0;
	int err;

	if (!hooks)
		return -ENOMEM;
	err = load(hooks);
	if (!err &&
	    bpf_map_update_elem(bpf_map__fd(hooks->skel->maps.lb_bindhook), &zero, rules, 0))
		err = -errno;
	if (!err && first_port)
		err = set_first_port(hooks->skel, first_port, BPF_NOEXIST);
	if (!err) {
		hooks->ring = ring_buffer__new(bpf_map__fd(hooks->skel->maps.lb_listens),
					       note_listen, NULL, NULL);
		err = hooks->ring ? attach_all(cgroup_fd, hooks->skel) : -errno;
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
	return bpf_map_update_elem(bpf_map__fd(hooks->skel->maps.lb_members), &cgroup_id, &worker,
				   BPF_ANY) ?
		       -errno :
		       0;
}

void bindhook_remove_member(struct bindhooks *hooks, uint64_t cgroup_id)
{
	bpf_map_delete_elem(bpf_map__fd(hooks->skel->maps.lb_members), &cgroup_id);
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
	uint32_t zero = 0, first;

	if (bpf_map_lookup_elem(bpf_map__fd(hooks->skel->maps.lb_first), &zero, &first))
		return 0;
	return first;
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
