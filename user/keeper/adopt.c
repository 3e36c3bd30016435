// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See adopt.h. */
#include "keeper/adopt.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "host/probe.h"
#include "adopt.skel.h"

#define MOST_PROGRAMS 64

struct adopter {
	struct adopt *skel;
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

/* Takes what an earlier lbctl left off the cgroup; ours is there already, so nothing slips by. */
static void detach_older(int cgroup_fd, enum bpf_attach_type type, const struct bpf_program *ours)
{
	struct bpf_prog_info info = { 0 };
	uint32_t ids[MOST_PROGRAMS], n = MOST_PROGRAMS, len = sizeof(info);

	if (bpf_obj_get_info_by_fd(bpf_program__fd(ours), &info, &len) ||
	    bpf_prog_query(cgroup_fd, type, 0, NULL, ids, &n))
		return;
	for (uint32_t i = 0; i < n; i++) {
		_cleanup_close_ int fd = -1;

		if (ids[i] != info.id && is_named(ids[i], bpf_program__name(ours), &fd))
			bpf_prog_detach2(fd, cgroup_fd, type);
	}
}

static int attach(int cgroup_fd, enum bpf_attach_type type, const struct bpf_program *program)
{
	if (bpf_prog_attach(bpf_program__fd(program), cgroup_fd, type, BPF_F_ALLOW_MULTI))
		return -errno;
	detach_older(cgroup_fd, type, program);
	return 0;
}

static int attach_all(int cgroup_fd, const struct adopt *skel)
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
			err = attach(cgroup_fd, all[i].type, all[i].program);
	}
	return err;
}

static int load(struct adopter *adopt)
{
	bool can_share = probe_features()->share;

	adopt->skel = adopt__open();
	if (!adopt->skel)
		return -errno;
	adopt->skel->rodata->lb_can_share = can_share;
	bpf_program__set_autoload(adopt->skel->progs.lb_setsockopt, !can_share);
	switch (adopt__load(adopt->skel)) {
	case 0:
		return 0;
	case -EPERM:
	case -EACCES:
		return -EPERM;
	default:
		return -EOPNOTSUPP;
	}
}

int adopt_open(int cgroup_fd, const struct lb_adopt *rules, struct adopter **out)
{
	struct adopter *adopt = calloc(1, sizeof(*adopt));
	uint32_t zero = 0;
	int err;

	if (!adopt)
		return -ENOMEM;
	err = load(adopt);
	if (!err && bpf_map_update_elem(bpf_map__fd(adopt->skel->maps.lb_adopt), &zero, rules, 0))
		err = -errno;
	if (!err) {
		adopt->ring = ring_buffer__new(bpf_map__fd(adopt->skel->maps.lb_listens),
					       note_listen, NULL, NULL);
		err = adopt->ring ? attach_all(cgroup_fd, adopt->skel) : -errno;
	}
	if (err) {
		adopt_close(adopt);
		return err;
	}
	*out = adopt;
	return 0;
}

void adopt_close(struct adopter *adopt)
{
	if (!adopt)
		return;
	ring_buffer__free(adopt->ring);
	adopt__destroy(adopt->skel);
	free(adopt);
}

int adopt_add_member(struct adopter *adopt, uint64_t cgroup_id, uint32_t worker)
{
	return bpf_map_update_elem(bpf_map__fd(adopt->skel->maps.lb_members), &cgroup_id, &worker,
				   BPF_ANY) ?
		       -errno :
		       0;
}

void adopt_remove_member(struct adopter *adopt, uint64_t cgroup_id)
{
	bpf_map_delete_elem(bpf_map__fd(adopt->skel->maps.lb_members), &cgroup_id);
}

static struct lb_adopt read_rules(const struct adopter *adopt)
{
	struct lb_adopt rules = { 0 };
	uint32_t zero = 0;

	bpf_map_lookup_elem(bpf_map__fd(adopt->skel->maps.lb_adopt), &zero, &rules);
	return rules;
}

uint16_t adopt_first_port(struct adopter *adopt)
{
	uint32_t zero = 0, first;

	if (!bpf_map_lookup_elem(bpf_map__fd(adopt->skel->maps.lb_first), &zero, &first))
		return first;
	return read_rules(adopt).first;
}

uint16_t adopt_unshared_port(struct adopter *adopt, enum lb_adopt_proto proto)
{
	return read_rules(adopt).unshared[proto];
}

int adopt_fd(const struct adopter *adopt)
{
	return ring_buffer__epoll_fd(adopt->ring);
}

void adopt_drain(struct adopter *adopt)
{
	ring_buffer__consume(adopt->ring);
}
