// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Feature probes: names in the kernel's BTF, or a few instructions that the kernel takes or not. */
#include "host/probe.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"

static bool struct_has_member(const struct btf *btf, const char *name, const char *member)
{
	int id = btf__find_by_name_kind(btf, name, BTF_KIND_STRUCT);
	const struct btf_type *type;
	const struct btf_member *members;

	if (id < 0)
		return false;
	type = btf__type_by_id(btf, id);
	members = btf_members(type);
	for (int i = 0; i < btf_vlen(type); i++) {
		if (!strcmp(btf__name_by_offset(btf, members[i].name_off), member))
			return true;
	}
	return false;
}

static bool has_function(const struct btf *btf, const char *name)
{
	return btf__find_by_name_kind(btf, name, BTF_KIND_FUNC) >= 0;
}

/* Constants stand in enums that may have no name. */
static bool has_constant(const struct btf *btf, const char *name)
{
	uint32_t count = btf__type_cnt(btf);

	for (uint32_t id = 1; id < count; id++) {
		const struct btf_type *type = btf__type_by_id(btf, id);
		const struct btf_enum *values;

		if (!btf_is_enum(type))
			continue;
		values = btf_enum(type);
		for (int i = 0; i < btf_vlen(type); i++) {
			if (!strcmp(btf__name_by_offset(btf, values[i].name_off), name))
				return true;
		}
	}
	return false;
}

/* *(u64 *)(fp - 8) = 1; r1 = 1; r1 = atomic_fetch_add(fp - 8, r1); return 1 */
static bool can_fetch(void)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ST | BPF_MEM | BPF_DW, .dst_reg = 10, .off = -8, .imm = 1 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 1, .imm = 1 },
		{ .code = BPF_STX | BPF_ATOMIC | BPF_DW,
		  .dst_reg = 10,
		  .src_reg = 1,
		  .off = -8,
		  .imm = BPF_ADD | BPF_FETCH },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 1 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	_cleanup_close_ int fd = bpf_prog_load(BPF_PROG_TYPE_SK_REUSEPORT, "probe", "Dual BSD/GPL",
					       insns, sizeof(insns) / sizeof(insns[0]), NULL);

	return fd >= 0;
}

/* *(u32 *)(fp - 4) = 1; bpf_setsockopt(ctx, SOL_SOCKET, SO_REUSEPORT, fp - 4, 4); return 1 */
static bool can_setsockopt_in_bind(void)
{
	const struct bpf_prog_load_opts options = {
		.sz = sizeof(options),
		.expected_attach_type = BPF_CGROUP_INET4_BIND,
	};
	const struct bpf_insn insns[] = {
		{ .code = BPF_ST | BPF_MEM | BPF_W, .dst_reg = 10, .off = -4, .imm = 1 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 2, .imm = SOL_SOCKET },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = SO_REUSEPORT },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 4, .src_reg = 10 },
		{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 4, .imm = -4 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 5, .imm = 4 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_setsockopt },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 1 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	_cleanup_close_ int fd = bpf_prog_load(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, "probe",
					       "Dual BSD/GPL", insns,
					       sizeof(insns) / sizeof(insns[0]), &options);

	return fd >= 0;
}

/* There a ring buffer's lock may sleep, and a program on a context switch may not (before 6.12). */
static bool is_realtime(void)
{
	return !access("/sys/kernel/realtime", F_OK);
}

const struct features *probe_features(void)
{
	static struct features found;
	static bool probed;
	struct btf *btf;

	if (probed)
		return &found;
	probed = true;
	found.fetch = can_fetch();
	found.bind_setsockopt = can_setsockopt_in_bind();
	btf = btf__load_vmlinux_btf();
	if (!btf)
		return &found;
	found.btf = true;
	found.migrate = struct_has_member(btf, "sk_reuseport_kern", "migrating_sk");
	found.cast = has_function(btf, "bpf_rdonly_cast");
	found.iterator = btf__find_by_name_kind(btf, "bpf_iter__tcp", BTF_KIND_STRUCT) >= 0;
	found.track = has_function(btf, "__cgroup_bpf_run_filter_sock_ops") &&
		      has_function(btf, "bpf_sk_storage_clone");
	found.hold = has_function(btf, "bpf_get_attach_cookie_pe") && !is_realtime();
	found.sample = has_function(btf, "bpf_prog_test_run_syscall");
	found.late_count = found.track && has_constant(btf, "TCP_BPF_SOCK_OPS_CB_FLAGS");
	btf__free(btf);
	return &found;
}

bool probe_unprivileged_open(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct had[_LINUX_CAPABILITY_U32S_3] = { { 0 } };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3];
	int fd, err;

	if (syscall(__NR_capget, &header, had))
		return false;
	memcpy(none, had, sizeof(none));
	for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
		none[i].effective = 0;
	if (syscall(__NR_capset, &header, none))
		return false;
	/* there is no such file: the question is whether the kernel looks for it at all */
	fd = bpf_obj_get("/proc/self/nonexistent");
	err = errno;
	syscall(__NR_capset, &header, had);
	if (fd >= 0)
		close(fd);
	return fd >= 0 || err != EPERM;
}

uint64_t probe_tick_ns(void)
{
	struct timespec tick = { 0 };

	clock_getres(CLOCK_MONOTONIC_COARSE, &tick);
	return tick.tv_nsec ? tick.tv_nsec : 4000000;
}
