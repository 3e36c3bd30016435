/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which sockets are those of a run's workers: by the ports that the workers share, and by whose
 * each is: the cgroup that it was made in tells, or, of those that lbctl made, its cookie.
 */
#ifndef OWN_H
#define OWN_H

#include <stdbool.h>
#include <stdint.h>

#include "host/group.h"
#include "keeper/listeners.h"
#include "keeper/plan.h"
#include "keeper/runner.h"
#include "service/state.h"

/* What the workers serve. */
enum own_protos {
	OWN_TCP = 1,
	OWN_UDP = 2,
};

struct own_port {
	uint8_t proto; /* LB_PROTO_TCP or LB_PROTO_UDP */
	uint16_t port;
};
#define OWN_MOST_PORTS (LB_MAX_LISTENERS + LB_BIND_PROTOS * LB_MAX_PORTS)

struct own {
	const struct lb_bindhook *rules; /* --port */
	const struct listen_at *listens;
	uint32_t nr_listens;
	bool wait_ready;
	bool forks; /* each socket is a worker: see forked.h */
	uint8_t protos;
	const struct plan *plan;
	const struct runners *runners;
	struct listeners *listeners;
	/* a socket from elsewhere that is about to join, and the worker that it is for */
	uint64_t joining_cookie;
	uint32_t joining_worker;
};

/* "connections", "datagrams" or both. */
const char *own_traffic(uint8_t protos);

/* The ports that the workers share, as far as they are known. Returns their number. */
uint32_t own_ports(const struct own *own, struct own_port ports[OWN_MOST_PORTS]);

/*
 * The worker whose socket it is, -1 = a stranger's; *runner is its process, NULL = any of its, or,
 * with --listen, one that has ended.
 */
int own_worker_of(const struct own *own, const struct sockdiag_socket *socket,
		  struct runner **runner);

/*
 * May this worker's sockets serve? Not while it has to say first that it is ready; and while it
 * leaves only those that are registered already.
 */
bool own_may_serve(const struct own *own, uint32_t worker, const struct runner *runner,
		   bool registered);

/*
 * The groups on those ports, with the sockets of workers that may serve; all other groups are
 * without members. `state` is the service as it is, or NULL where there is none. Holders are looked
 * for among `pids`. Returns 0, -ENOENT (no port is shared yet) or what groups_find() did; after 0
 * the caller frees the groups.
 */
int own_find(const struct own *own, const struct state *state, const pid_t *pids, size_t nr_pids,
	     struct groups *groups);

#endif
