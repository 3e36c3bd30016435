/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A service as its users see it: workers by number, their counters summed over their slots, joined
 * with what the kernel says of their sockets now. Text, JSON and Prometheus output all read this.
 */
#ifndef VIEW_H
#define VIEW_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/addr.h"
#include "host/proc_name.h"
#include "host/proc_title.h"
#include "host/throttle.h"
#include "host/usage.h"
#include "keeper/again.h"
#include "service/census.h"
#include "service/state.h"

#define VIEW_COMMAND_BYTES 256

struct view_worker {
	uint32_t worker;
	pid_t pid;	     /* 0 = none */
	const char *state;   /* "up", "stalled", "draining", "down" */
	uint64_t stalled_ns; /* for how long it has accepted or read nothing, if it is stalled */
	uint32_t weight;
	uint32_t limit; /* of connections; 0 = none */
	uint32_t live;
	uint32_t half_open;
	uint32_t queued; /* connections, of a UDP service bytes, as is the room for them */
	uint32_t queue_max;
	uint64_t load;
	uint64_t pace_us; /* what it takes per connection, see lb_pace.h; 0 = unknown */
	uint64_t restarts;
	uint64_t unheard; /* messages that its keeper has dropped, see channel.h */
	uint64_t opened;
	uint64_t lost; /* accepted connections that were open when their process ended */
	/* of its process, by view_load_usage(); 0 and "" = not known */
	struct usage usage;
	struct throttle throttle; /* by view_load_throttle() */
	char command[VIEW_COMMAND_BYTES];
	char process[PROC_NAME_BYTES]; /* what its process says of itself, else its name; or "" */
#define X(field, help) uint64_t field;
	LB_SLOT_COUNTERS(X)
#undef X
};

struct view_listener {
	char address[ADDR_STRLEN];
	const char *proto;
	bool udp;
	bool steering; /* our program is on a group there */
};

#define VIEW_STRANGERS 16

struct view {
	char name[LB_NAME_MAX + 1];
	pid_t keeper;		 /* lbctl run or watch, 0 = none */
	bool gone;		 /* it had one */
	char again[AGAIN_BYTES]; /* what takes it up again then, "" = not known */
	uint32_t policy;
	uint32_t limit; /* of connections, of workers that come; 0 = none */
	uint64_t hold_ns;
	bool holding;	    /* there are waiting listeners */
	char obstacle[112]; /* why nothing waits for an idle worker, "" = it may */
	struct view_listener listeners[LB_MAX_LISTENERS];
	uint32_t nr_listeners;
	struct view_worker *workers; /* by number */
	uint32_t nr_workers;
	struct lb_latency *latency; /* by worker's number, NULL = it is not measured */
	uint64_t latency_one_in;    /* of one connection in so many */
	struct lb_counters counters;
	uint64_t selected; /* over all workers */
	uint64_t retired;  /* selected for workers that were scaled away */
	uint64_t fallback; /* left to the kernel's hash against the policy's wish */
	uint64_t decisions;
	uint64_t migrated;
	uint64_t taken_off;    /* how often the program was off, and put back */
	uint64_t rescued;      /* how often a stalled worker's queue was moved */
	uint32_t unregistered; /* sockets in the groups, or beside them, that are in no slot */
	struct view_stranger {
		pid_t pid;
		bool takes; /* datagrams: of UDP, beside the group by SO_REUSEADDR */
		char address[ADDR_STRLEN];
	} strangers[VIEW_STRANGERS]; /* the first of them */
	char shared[512]; /* one socket that several processes share, in words, and what helps; or "" */
	bool datagrams;	   /* UDP only: there are no connections */
	bool named;	   /* processes say more of themselves than a common name */
	bool counted;	   /* live and opened are counted in the kernel */
	int sockets_error; /* why the kernel's side of it is missing, or 0 */
};

/*
 * Reads a service. Counters come from the maps; half_open, queued, unregistered and steering need
 * CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE: without them sockets_error is set and they are 0. So is
 * live where connections are not counted: there it is what sock_diag says, and opened is 0. Returns
 * 0 or -errno; the caller frees the view with view_free().
 */
int view_load(const struct state *state, struct view *view);
void view_free(struct view *view);

/*
 * The same, of who looks at several services: what the census has already is not looked up anew. Of
 * the service with this name; also the errors of state_open().
 */
int view_load_by(const struct state *state, struct census *census, struct view *view);
int view_load_name(const char *name, struct census *census, struct view *view);

/* What the workers' processes use, as far as it can be seen. */
void view_load_usage(struct view *view);
/* Whether they may run. */
void view_load_throttle(struct view *view);

/*
 * max / mean of selected over workers, each divided by its weight, 1.0 = as the weights have it; 0
 * without a connection.
 */
double view_unevenness(const struct view *view);
/* The same of what a function says of each worker instead. */
double view_unevenness_of(const struct view *view, double (*selected)(uint32_t worker, void *arg),
			  void *arg);

/* The keeper, as show and list have it in JSON; the caller's. */
json_t *view_keeper_json(const struct view *view);

/* "0.0.0.0:80", "udp/0.0.0.0:53": as attach takes it; out holds ADDR_STRLEN. */
void view_address(const struct view_listener *listener, char *out);

#endif
