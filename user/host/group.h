/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The reuseport groups of a network namespace as they are now: which sockets, who polls them,
 * who steers them. Put together from sock_diag, the inspect iterator and /proc.
 */
#ifndef GROUP_H
#define GROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/addr.h"
#include "host/procs.h"
#include "host/sockdiag.h"

struct member {
	struct sockdiag_socket socket;
	uint64_t sock; /* its struct sock, as a number; 0 = unknown */
	uint32_t half_open;
	uint64_t oldest; /* the connection that waits longest, as a number; 0 = none */
	uint64_t now_ns; /* of the tick clock, when that was so */
	uint32_t live;	 /* open connections that it accepted, with GROUP_LIVE */
	const struct procs_holder *holders; /* those that poll first; into groups.holders */
	size_t nr_holders;
	pid_t pid; /* as member_pid() says */
};

struct reuseport_group {
	uint64_t id;	  /* of the kernel's group; 0 = SO_REUSEPORT is not set, or unknown */
	uint64_t netns;	  /* inode */
	uint32_t prog_id; /* the program that steers it; 0 = the kernel's hash */
	uint32_t ifindex;
	uint16_t port;
	uint8_t proto;
	uint8_t family;
	uint8_t addr[16];
	bool mptcp;
	struct member *members; /* by pid, then by age */
	size_t nr_members;
};

/* An open connection, and the member that accepted it. */
struct group_connection {
	uint64_t cookie;
	uint64_t listener;		   /* cookie of the member's socket; 0 = unknown */
	const struct procs_holder *holder; /* into groups.holders; NULL = it waits to be accepted */
};

struct groups {
	struct reuseport_group *items;
	size_t count;
	struct group_connection *connections; /* with GROUP_LIVE */
	size_t nr_connections;
	struct procs_list holders;
	int inspect_error; /* why programs and half-open requests are unknown, or 0 */
};

enum group_detail {
	GROUP_LIVE = 1,	 /* find the members' open connections */
	GROUP_QUICK = 2, /* no BPF: as without the capabilities for it, with -ENODATA */
	GROUP_UDP = 4,	 /* UDP sockets too */
};

/*
 * For groups_find() alone: counts connections into the members, which are sorted by pid and have
 * none yet, and lists them in groups->connections. 0 or -ENOMEM.
 */
int group_live_count(struct groups *groups, const struct sockdiag_list *connections);

/*
 * Finds the TCP listeners, with GROUP_UDP the unconnected UDP sockets as well, on a port (0 = all
 * ports) of a network namespace (-1 = the caller's), grouped. One without SO_REUSEPORT is a group
 * of one with id 0. `only` limits the search for holders to one process, 0 = all. Without CAP_BPF
 * and CAP_PERFMON the groups are guessed from address and user, and inspect_error says why.
 *
 * Returns 0 or -errno. The caller frees the groups with groups_free().
 */
int groups_find(int netns_fd, uint16_t port, pid_t only, enum group_detail detail,
		struct groups *out);
/* The same in the caller's namespace; looks for holders among these processes alone. */
int groups_find_among(uint16_t port, const pid_t *pids, size_t nr_pids, enum group_detail detail,
		      struct groups *out);
void groups_free(struct groups *groups);

/* Does the group listen on what the user wrote? */
bool group_matches(const struct reuseport_group *group, const struct addr *addr);
bool group_is_wildcard(const struct reuseport_group *group);

/* Who steers it, if not the kernel's hash: "BPF program 57", "a classic BPF program". */
#define GROUP_STEERER_BYTES 32
void group_steerer(const struct reuseport_group *group, char out[GROUP_STEERER_BYTES]);

/* "0.0.0.0:8080", "[::]:80", "udp/0.0.0.0:53"; out holds ADDR_STRLEN. */
void group_address(const struct reuseport_group *group, char *out);

/*
 * Who polls it, else who holds it, 0 = nobody. No lbctl is a worker: the keeper and its children
 * have the sockets of `run --listen` and those that join. `keeper` is left out, too (0 = none): it
 * may be of another version, which is another program.
 */
pid_t member_pid(const struct member *member, pid_t keeper);

/*
 * Duplicates a member's socket out of one of its holders. Returns a descriptor for the caller to
 * close, soon (a held duplicate keeps a dead worker's queue from moving); or -ESRCH (nobody holds
 * it any more), -EPERM (no CAP_SYS_PTRACE) or -errno.
 */
int member_duplicate(const struct member *member);

/* The same, and whose descriptor it was; *from points into the member's holders. */
int member_duplicate_from(const struct member *member, const struct procs_holder **from);

/* Duplicates a socket out of a holder; the same results. */
int holder_duplicate(const struct procs_holder *holder, uint64_t cookie);

#endif
