// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Programs for the cgroup of a service that `lbctl run` started. Its workers bind the same port
 * without knowing of each other: the bind hooks set SO_REUSEPORT for them, or give each a port of
 * its own. Where bind hooks can't, whoever sets SO_REUSEADDR gets SO_REUSEPORT in its place. A listen callback tells lbctl. MPTCP sockets, which the kernel can't steer, are refused
 * so that programs fall back to TCP.
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "lb_adopt.h"

#define SOL_SOCKET 1
#define SO_REUSEADDR 2
#define SO_REUSEPORT 15
#define SOCK_STREAM 1
#define IPPROTO_TCP 6
#define IPPROTO_MPTCP 262
#define ALLOW 1
#define REFUSE 0

const volatile bool lb_can_share = false; /* bind hooks may set socket options: 6.1 */

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct lb_adopt);
} lb_adopt SEC(".maps");

/*
 * 0 -> the first port that was bound. A hash, because the first to add an entry wins: before 5.12
 * there is no compare-and-swap, and a program that holds one isn't loaded.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} lb_first SEC(".maps");

/* Id of a worker's cgroup -> its number. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, __u32);
} lb_members SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
} lb_listens SEC(".maps");

static __always_inline bool in_list(const __u16 *list, __u32 count, __u16 port)
{
	for (__u32 i = 0; i < LB_MAX_PORTS; i++) {
		if (i < count && list[i] == port)
			return true;
	}
	return false;
}

/* By default the first port that a worker binds is the one they share. */
static __always_inline bool is_shared(struct lb_adopt *adopt, __u16 port)
{
	__u32 zero = 0, mine = port, *first;

	if (adopt->nr_ports)
		return in_list(adopt->ports, adopt->nr_ports, port);
	if (adopt->first)
		return adopt->first == port;
	bpf_map_update_elem(&lb_first, &zero, &mine, BPF_NOEXIST);
	first = bpf_map_lookup_elem(&lb_first, &zero);
	return first && *first == port;
}

static __always_inline int adopt_bind(struct bpf_sock_addr *ctx)
{
	__u16 port = bpf_ntohs(ctx->user_port);
	__u64 cgroup = bpf_get_current_cgroup_id();
	struct lb_adopt *adopt;
	__u32 zero = 0, *worker;
	int on = 1;
	bool shared;

	adopt = bpf_map_lookup_elem(&lb_adopt, &zero);
	if (!adopt || !port || ctx->type != SOCK_STREAM || ctx->protocol != IPPROTO_TCP)
		return ALLOW;
	worker = bpf_map_lookup_elem(&lb_members, &cgroup);
	if (worker && in_list(adopt->offsets, adopt->nr_offsets, port)) {
		ctx->user_port = bpf_htons(port + *worker);
		return ALLOW;
	}
	shared = is_shared(adopt, port);
	if (!lb_can_share)
		return ALLOW;
	if (shared)
		bpf_setsockopt(ctx, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	else if (!adopt->unshared)
		adopt->unshared = port;
	return ALLOW;
}

SEC("cgroup/bind4")
int lb_bind4(struct bpf_sock_addr *ctx)
{
	return adopt_bind(ctx);
}

SEC("cgroup/bind6")
int lb_bind6(struct bpf_sock_addr *ctx)
{
	return adopt_bind(ctx);
}

/* The port is not known here: with SO_REUSEADDR, all TCP ports of the service are shared. */
SEC("cgroup/setsockopt")
int lb_setsockopt(struct bpf_sockopt *ctx)
{
	struct bpf_sock *sk = ctx->sk;

	if (ctx->level == SOL_SOCKET && ctx->optname == SO_REUSEADDR && sk &&
	    sk->type == SOCK_STREAM && sk->protocol == IPPROTO_TCP)
		ctx->optname = SO_REUSEPORT;
	return ALLOW;
}

SEC("cgroup/sock_create")
int lb_create(struct bpf_sock *sk)
{
	return sk->protocol == IPPROTO_MPTCP ? REFUSE : ALLOW;
}

/* The pid helper is not to be had here; the current task is the one that calls listen(2). */
SEC("sockops")
int lb_listened(struct bpf_sock_ops *ops)
{
	struct lb_listen *event;
	struct task_struct *task;

	if (ops->op != BPF_SOCK_OPS_TCP_LISTEN_CB)
		return ALLOW;
	event = bpf_ringbuf_reserve(&lb_listens, sizeof(*event), 0);
	if (!event)
		return ALLOW;
	task = (struct task_struct *)bpf_get_current_task();
	event->cookie = bpf_get_socket_cookie(ops);
	event->port = ops->local_port;
	event->pid = BPF_CORE_READ(task, tgid);
	bpf_ringbuf_submit(event, 0);
	return ALLOW;
}
