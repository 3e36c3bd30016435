/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kernel's list of sockets (sock_diag) in the calling thread's network namespace. Needs no
 * privilege, except that kernels before 6.15 tell only CAP_NET_ADMIN which sockets are MPTCP.
 */
#ifndef SOCKDIAG_H
#define SOCKDIAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lb_abi.h"

struct sockdiag_socket {
	uint8_t family; /* AF_INET or AF_INET6 */
	uint8_t proto;	/* IPPROTO_TCP or IPPROTO_UDP */
	uint8_t state;	/* TCP_LISTEN ...; an unconnected UDP socket is TCP_CLOSE */
	uint8_t v6only; /* 1: an IPv6 socket that takes no IPv4; listeners and UDP only */
	uint8_t mptcp;	/* 1: the TCP side of an MPTCP listener, see sockdiag_listeners() */
	uint16_t port;	/* host order, as is peer_port; the peer is 0 if there is none */
	uint16_t peer_port;
	uint8_t addr[16]; /* network order; AF_INET fills the first four bytes */
	uint8_t peer[16]; /* IPv4 over a dual-stack listener is AF_INET6, ::ffff:a.b.c.d */
	uint32_t uid;
	uint32_t ifindex; /* bound to this interface, or 0 */
	uint32_t queued;  /* TCP_LISTEN: connections in the accept queue; else bytes unread */
	uint32_t queue_max; /* TCP_LISTEN: the backlog; UDP: room for unread bytes; else bytes unsent */
	uint64_t inode;	    /* as in /proc/PID/fd; 0 while no process has accepted it */
	uint64_t cookie;    /* SO_COOKIE, except of MPTCP sockets */
	uint64_t cgroup_id; /* of the cgroup it was made in; 0 if the kernel does not say */
	/* of sockdiag_activity() only: since when it has sent, and received, no data */
	uint32_t sent_ms, received_ms;
	bool unanswered; /* it has received data, and sent none yet */
	bool marked;	 /* it has a mark, of sockdiag_marks() only */
	struct lb_conn mark;
};

struct sockdiag_list {
	struct sockdiag_socket *items;
	size_t count;
};

/*
 * Lists who serves `port` (host order, 0 = every port) in both families: TCP sockets in state
 * LISTEN, or UDP sockets, connected ones (state TCP_ESTABLISHED) included.
 *
 * The TCP list has MPTCP listeners too. What stands there is the kernel's own TCP listener behind
 * the MPTCP socket: it has the MPTCP socket's inode, so its holders are found as those of any
 * other socket, but a cookie of its own, which SO_COOKIE on the descriptor does not give.
 *
 * Returns 0, or -EINVAL (another proto), -ENOENT (the kernel has no inet_diag, tcp_diag or
 * udp_diag, or may not load the module), -EPROTONOSUPPORT (no sock_diag at all), -EAGAIN (the
 * list changed during each of several attempts), -ENOMEM or what the kernel answered. `out` is
 * sorted by cookie, so the order lasts and no socket is told twice; the caller frees it with
 * sockdiag_free(). After an error it is empty.
 */
int sockdiag_listeners(uint8_t proto, uint16_t port, struct sockdiag_list *out);

/*
 * Lists the TCP connections in ESTABLISHED or CLOSE_WAIT whose local port is `port` (host order,
 * 0 = all), those that wait in an accept queue too (inode 0). Both ends of a connection within
 * the host are sockets of their own; only one has this local port. The kernel does the choosing,
 * so other connections cost a look at each, not a message. `mptcp` is not told: to ask for it
 * would make each connection five times as dear.
 *
 * Returns and ownership as of sockdiag_listeners().
 */
int sockdiag_connections(uint16_t port, struct sockdiag_list *out);

/* The same, dearer, with what each has done last. */
int sockdiag_activity(uint16_t port, struct sockdiag_list *out);

/*
 * Lists the TCP listeners, connections and handshakes (state TCP_SYN_RECV, as TCP Fast Open's
 * connections are until they are established), each with its mark in a map of socket storage whose
 * values are struct lb_conn. On all ports: what a listener accepts has another one where TPROXY or
 * an sk_lookup program brought it there.
 *
 * Returns and ownership as of sockdiag_listeners(); -EPERM without CAP_BPF.
 */
int sockdiag_marks(int map_fd, struct sockdiag_list *out);

/* Frees the items and empties the list; an empty one is fine. */
void sockdiag_free(struct sockdiag_list *list);

/*
 * Reads the payload of one answer, an inet_diag_msg and attributes of `len` bytes together. All
 * of `out` is set but `proto`, which a message does not tell. Returns 0 or -EBADMSG.
 */
int sockdiag_parse(const void *payload, size_t len, struct sockdiag_socket *out);

/* What a dump has brought so far; all zero but `proto` before it begins. */
struct sockdiag_reply {
	uint8_t proto;		   /* that was asked for */
	bool interrupted;	   /* the kernel's table changed in a way that lost entries */
	struct sockdiag_list list; /* the caller's to free */
	size_t room;		   /* items allocated */
};

/*
 * Reads `len` bytes of a dump, whole netlink messages, of which those with another sequence number
 * are passed over. Returns 1 when the dump is complete, 0 when more follows, -EBADMSG, -ENOMEM or
 * the kernel's -errno; the list stays as far as it was read.
 */
int sockdiag_read(struct sockdiag_reply *reply, const void *bytes, size_t len, uint32_t seq);

/*
 * By cookie, each socket once: a dump that takes several rounds tells one twice when the table
 * moves under it.
 */
void sockdiag_sort(struct sockdiag_list *list);

/* SO_COOKIE of a socket, by which the kernel lists it; 0 if it has none. */
uint64_t sockdiag_cookie(int socket_fd);

#endif
