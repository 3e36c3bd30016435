/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every counter of the steering program, once. A run of the program ends either in a slot
 * (counted in that slot's lb_stats entry) or in exactly one of LB_EXITS. LB_NOTES count what
 * happened on the way and add up to nothing.
 */
#ifndef LB_COUNTERS_H
#define LB_COUNTERS_H

/* X(field, "what it means, as `lbctl stats` and the Prometheus HELP line say it") */
#define LB_EXITS(X)                                                                                \
	X(kernel_policy, "connections left to the kernel's hash by policy kernel")                 \
	X(fallback_config, "connections left to the kernel's hash: no readable configuration")     \
	X(fallback_empty, "connections left to the kernel's hash: no worker is up")                \
	X(fallback_none, "connections left to the kernel's hash: no worker could take it")         \
	X(not_header, "look-ups not at our TCP header (netfilter), left to the kernel's hash")     \
	X(ack_recent, "handshakes (SYN cookies) completed at the worker their SYN chose")          \
	X(ack_stray, "segments of no known handshake, left to the kernel's hash")                  \
	X(migrate_failed, "waiting connections of a closed listener that found no worker")         \
	X(held, "connections that wait for an idle worker")

#define LB_NOTES(X)                                                                                \
	X(redraws, "picks drawn again: the slot was out, stalled, full or at its limit")           \
	X(overloaded, "connections given to a full accept queue because all were full")            \
	X(all_limited, "connections given to a worker at its limit because all were at theirs")    \
	X(all_stalled, "connections given to a worker that does not accept because none did")      \
	X(all_stale,                                                                               \
	  "least-load decisions that walked the table: nobody with a fresh report could take it")  \
	X(stale_probes, "least-load decisions that gave a silent worker one connection")           \
	X(slow_probes, "least-latency decisions that gave a slow worker one connection, to see")   \
	X(kept, "datagrams that went where their flow had gone before")                            \
	X(unseen, "open connections that attach found uncounted, and counted then")                \
	X(unnoted, "migrated connections that still count for the slot that they came from")       \
	X(reset, "connections that waited at a process that ended, with nobody left to go to")     \
	X(held_late, "held connections that were given to a busy worker after hold_ms")            \
	X(held_behind, "held connections that wait in line with another, as no place was free")    \
	X(unanswered, "connections that were not held because nobody answered for 20 ms")          \
	X(untraced, "decisions that lbctl trace did not get, as it was too slow to take them")

#define LB_COUNTERS(X) LB_EXITS(X) LB_NOTES(X)

/* The slot's own: X(field, "meaning"). */
#define LB_SLOT_COUNTERS(X)                                                                        \
	X(selected, "new connections decided for this worker")                                     \
	X(skipped, "times this worker was picked and could not take the connection")               \
	X(migrated_in, "waiting connections migrated here from a closed listener")                 \
	X(migrated_out, "waiting connections migrated away when this listener closed")             \
	X(waited, "new connections that were held before they came to this worker")

#endif
