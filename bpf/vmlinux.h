/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Just the kernel types and fields that the programs read. Offsets come from the running
 * kernel's BTF (CO-RE), so the order here means nothing.
 */
#ifndef VMLINUX_H
#define VMLINUX_H

#include <stdbool.h>
#include <linux/bpf.h>
#include <linux/types.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	__s64 counter;
} atomic64_t;

typedef struct {
	int counter;
} atomic_t;

struct bpf_prog_aux {
	__u32 id;
};

struct bpf_prog {
	struct bpf_prog_aux *aux;
};

struct sock_reuseport {
	__u16 num_socks;
	struct bpf_prog *prog;
};

struct sock_common {
	unsigned char skc_state;
	unsigned short skc_family;
	unsigned char skc_reuse : 4;
	__u16 skc_num;
	atomic64_t skc_cookie;
};

typedef struct {
	int owned;
} socket_lock_t;

struct list_head {
	struct list_head *next;
};

struct wait_queue_head {
	struct list_head head;
};

struct wait_queue_entry {
	struct list_head entry;
};

struct socket_wq {
	struct wait_queue_head wait;
};

struct file;

struct socket {
	struct file *file;
};

struct eventpoll {
	struct wait_queue_head wq;
	struct wait_queue_head poll_wait;
};

struct epoll_filefd {
	struct file *file;
};

struct epitem {
	struct epoll_filefd ffd;
	struct eventpoll *ep;
};

struct eppoll_entry {
	struct epitem *base;
	struct wait_queue_entry wait;
	struct wait_queue_head *whead;
};

struct sk_buff;

struct sk_buff_head {
	struct sk_buff *next;
	__u32 qlen;
};

struct hlist_node {
	struct hlist_node *next;
};

struct hlist_head {
	struct hlist_node *first;
};

struct bpf_map {
	__u32 id;
};

struct bpf_local_storage_map {
	struct bpf_map map;
};

struct bpf_local_storage_data {
	struct bpf_local_storage_map *smap;
};

struct bpf_local_storage_elem {
	struct hlist_node snode;
	struct bpf_local_storage_data sdata;
};

struct bpf_local_storage {
	struct hlist_head list;
};

struct sock {
	struct sock_common __sk_common;
	socket_lock_t sk_lock;
	struct socket *sk_socket;
	struct socket_wq *sk_wq;
	struct {
		atomic_t rmem_alloc;
	} sk_backlog;
	struct sk_buff_head sk_receive_queue;
	int sk_rcvbuf;
	__u32 sk_ack_backlog;
	__u32 sk_max_ack_backlog;
	__u8 sk_userlocks : 4;
	struct sock_reuseport *sk_reuseport_cb;
	struct bpf_local_storage *sk_bpf_storage;
};

struct request_sock {
	struct request_sock *dl_next;
	struct sock *sk;
};

struct request_sock_queue {
	atomic_t qlen;
	struct request_sock *rskq_accept_head;
};

struct inet_sock {
	struct sock sk;
};

struct inet_connection_sock {
	struct inet_sock icsk_inet;
	struct request_sock_queue icsk_accept_queue;
};

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	__u8 bpf_sock_ops_cb_flags;
};

struct udp_sock {
	struct inet_sock inet;
	struct sk_buff_head reader_queue;
};

struct task_struct {
	unsigned int flags;
	int tgid;
};

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__tcp {
	struct bpf_iter_meta *meta;
	struct sock_common *sk_common;
};

struct bpf_iter__udp {
	struct bpf_iter_meta *meta;
	struct udp_sock *udp_sk;
};

#pragma clang attribute pop

#endif
