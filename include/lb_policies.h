/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every policy, once: number (kept in pinned maps, so never reused), name, and the sentence
 * that `lbctl policies`, --help and the completion show.
 */
#ifndef LB_POLICIES_H
#define LB_POLICIES_H

/* X(number, IDENTIFIER, "name", "summary") */
#define LB_POLICIES(X)                                                                             \
	X(1, RR, "rr", "each worker in turn, by weight; exact to the connection")                  \
	X(2, RANDOM, "random", "a worker at random, by weight")                                    \
	X(3, LEAST_LOAD, "least-load", "the worker that reports the least load (liblbctl)")        \
	X(4, KERNEL, "kernel", "the kernel's own hash of addresses and ports, as without lbctl")   \
	X(5, LEAST_CONN, "least-conn",                                                             \
	  "the worker with the fewest connections, as the kernel counts")                          \
	X(6, HASH, "hash", "the same worker for the same client address; few move in a change")    \
	X(7, LEAST_LATENCY, "least-latency",                                                       \
	  "the worker with the shortest delay: least-conn that knows slow workers")

enum lb_policy {
#define X(number, id, name, summary) LB_POLICY_##id = (number),
	LB_POLICIES(X)
#undef X
};

#endif
