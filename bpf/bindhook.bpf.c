// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Programs for the cgroup of a service that `lbctl run` started. Its workers bind the same port
 * without knowing of each other: the bind hooks set SO_REUSEPORT for them, or give each a port of
 * its own. Where bind hooks can't, whoever sets SO_REUSEADDR gets SO_REUSEPORT in its place. A
 * listen callback, and of UDP one after the bind, tells lbctl. MPTCP sockets, which the kernel
 * can't steer, are refused so that programs fall back to TCP.
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "lb_bindhook.h"

#define SOL_SOCKET 1
#define SO_REUSEADDR 2
#define SO_REUSEPORT 15
#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_MPTCP 262
#define ALLOW 1
#define REFUSE 0
#define NOT_OURS (-1)

const volatile bool lb_can_setsockopt = false; /* bind hooks may set socket options: 6.1 */

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct lb_bindhook);
} lb_bindhook SEC(".maps");

/*
 * 0 -> the first port that was bound, under whichever lbctl that was. A hash, because the first to
 * add an entry wins: before 5.12 there is no compare-and-swap, and a program that holds one isn't
 * loaded.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} lb_first SEC(".maps");

/* Id of a worker's cgroup -> its number; what it was refused is written here. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, struct lb_bind_member);
} lb_members SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
} lb_listens SEC(".maps");

/* One of enum lb_bind_proto, or NOT_OURS. */
static __always_inline int proto_of(__u32 type, __u32 protocol)
{
	if (type == SOCK_STREAM && protocol == IPPROTO_TCP)
		return LB_BIND_TCP;
	if (type == SOCK_DGRAM && protocol == IPPROTO_UDP)
		return LB_BIND_UDP;
	return NOT_OURS;
}

static __always_inline bool in_list(const struct lb_ports *list, __u16 port)
{
	for (__u32 i = 0; i < LB_MAX_PORTS; i++) {
		if (i < list->count && list->port[i] == port)
			return true;
	}
	return false;
}

/* Are there ports to share that the user named none of? TCP only: UDP clients bind ports, too. */
static __always_inline bool is_by_default(const struct lb_bindhook *rules)
{
	return !rules->shared[LB_BIND_TCP].count && !rules->shared[LB_BIND_UDP].count;
}

/* By default the first TCP port that a worker binds is the one they share. */
static __always_inline bool is_shared(const struct lb_bindhook *rules, int proto, __u16 port)
{
	__u32 zero = 0, mine = port, *first;

	if (proto == LB_BIND_UDP)
		return in_list(&rules->shared[LB_BIND_UDP], port);
	if (!is_by_default(rules))
		return in_list(&rules->shared[LB_BIND_TCP], port);
	bpf_map_update_elem(&lb_first, &zero, &mine, BPF_NOEXIST);
	first = bpf_map_lookup_elem(&lb_first, &zero);
	return first && *first == port;
}

static __always_inline bool is_offset(const struct lb_bindhook *rules, int proto, __u16 port)
{
	if (proto == LB_BIND_UDP)
		return in_list(&rules->offsets[LB_BIND_UDP], port);
	return in_list(&rules->offsets[LB_BIND_TCP], port);
}

static __always_inline void note_unshared(struct lb_bindhook *rules, int proto, __u16 port)
{
	__u32 *unshared = &rules->unshared[LB_BIND_TCP];

	if (proto == LB_BIND_UDP)
		unshared = &rules->unshared[LB_BIND_UDP];
	if (!*unshared)
		*unshared = port;
}

static __always_inline int handle_bind(struct bpf_sock_addr *ctx)
{
	int proto = proto_of(ctx->type, ctx->protocol), on = 1;
	__u16 port = bpf_ntohs(ctx->user_port);
	__u64 cgroup = bpf_get_current_cgroup_id();
	struct lb_bindhook *rules;
	struct lb_bind_member *member;
	__u32 zero = 0;
	bool shared;

	rules = bpf_map_lookup_elem(&lb_bindhook, &zero);
	if (!rules || !port || proto == NOT_OURS)
		return ALLOW;
	member = bpf_map_lookup_elem(&lb_members, &cgroup);
	/* shared with the process that takes this one's place, so that it can begin beside it */
	if (member && is_offset(rules, proto, port)) {
		ctx->user_port = bpf_htons(port + member->worker);
		if (lb_can_setsockopt)
			bpf_setsockopt(ctx, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
		return ALLOW;
	}
	shared = is_shared(rules, proto, port);
	if (shared && lb_can_setsockopt)
		bpf_setsockopt(ctx, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	/* where the hook can't, it is not --port that has TCP ports shared */
	else if (!shared && (lb_can_setsockopt || proto == LB_BIND_UDP))
		note_unshared(rules, proto, port);
	return ALLOW;
}

SEC("cgroup/bind4")
int lb_bind4(struct bpf_sock_addr *ctx)
{
	return handle_bind(ctx);
}

SEC("cgroup/bind6")
int lb_bind6(struct bpf_sock_addr *ctx)
{
	return handle_bind(ctx);
}

/* The port is not known here: with SO_REUSEADDR, all ports of that protocol are shared. */
SEC("cgroup/setsockopt")
int lb_setsockopt(struct bpf_sockopt *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	struct lb_bindhook *rules;
	__u32 zero = 0;
	int proto;

	rules = bpf_map_lookup_elem(&lb_bindhook, &zero);
	if (ctx->level != SOL_SOCKET || ctx->optname != SO_REUSEADDR || !sk || !rules)
		return ALLOW;
	proto = proto_of(sk->type, sk->protocol);
	if (proto == LB_BIND_TCP && (rules->shared[LB_BIND_TCP].count || is_by_default(rules)))
		ctx->optname = SO_REUSEPORT;
	if (proto == LB_BIND_UDP && rules->shared[LB_BIND_UDP].count)
		ctx->optname = SO_REUSEPORT;
	return ALLOW;
}

SEC("cgroup/sock_create")
int lb_create(struct bpf_sock *sk)
{
	__u64 cgroup = bpf_get_current_cgroup_id();
	struct lb_bind_member *member = bpf_map_lookup_elem(&lb_members, &cgroup);
	bool refused = sk->protocol == IPPROTO_MPTCP;

	/* who falls back to TCP can do without */
	if (member && (refused || sk->protocol == IPPROTO_TCP))
		member->mptcp = refused;
	return refused ? REFUSE : ALLOW;
}

/* The keeper's process whose sockets stop listening, and listen again, all the time; 0 = none. */
__u32 lb_holder_tgid;

/* The pid helper is not to be had everywhere; the current task is the one that makes the call. */
static __always_inline void tell(__u64 cookie, __u32 port)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	__u32 tgid = BPF_CORE_READ(task, tgid);
	struct lb_listen *event;

	if (tgid == lb_holder_tgid)
		return;
	event = bpf_ringbuf_reserve(&lb_listens, sizeof(*event), 0);
	if (!event)
		return;
	event->cookie = cookie;
	event->port = port;
	event->pid = tgid;
	bpf_ringbuf_submit(event, 0);
}

SEC("sockops")
int lb_listened(struct bpf_sock_ops *ops)
{
	if (ops->op == BPF_SOCK_OPS_TCP_LISTEN_CB)
		tell(bpf_get_socket_cookie(ops), ops->local_port);
	return ALLOW;
}

/* A UDP socket serves as soon as it is bound. */
static __always_inline int bound(struct bpf_sock *sk)
{
	struct lb_bindhook *rules;
	__u32 zero = 0;

	rules = bpf_map_lookup_elem(&lb_bindhook, &zero);
	if (rules && proto_of(sk->type, sk->protocol) == LB_BIND_UDP &&
	    in_list(&rules->shared[LB_BIND_UDP], sk->src_port))
		tell(bpf_get_socket_cookie(sk), sk->src_port);
	return ALLOW;
}

SEC("cgroup/post_bind4")
int lb_bound4(struct bpf_sock *sk)
{
	return bound(sk);
}

SEC("cgroup/post_bind6")
int lb_bound6(struct bpf_sock *sk)
{
	return bound(sk);
}
