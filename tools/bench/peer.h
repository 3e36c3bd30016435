/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The peers: ways to spread connections over workers. Each is a script in peers/ (lib.sh there says
 * how one is written), run in a cgroup of its own. Functions that may fail return EXIT_DONE or the
 * status of *trouble.
 */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/trouble.h"
#include "target.h"
#include "world.h"

#define PEER_MAX 64
#define PEER_NAME_MAX 40

struct peer {
	char name[PEER_NAME_MAX]; /* "lbctl-rr": script lbctl, policy rr */
	char script[PEER_NAME_MAX];
	char policy[PEER_NAME_MAX]; /* "rr" where the name has none */
	char what[128];
	char program[32];  /* what serves: others with the same are comparable */
	char missing[128]; /* why it can't run here; "" = it can */
	bool can_slow, can_hold, can_reload, can_scale;
	bool can_count_lost;
	bool ours; /* lbctl has to do with it */
};

struct peers {
	struct peer all[PEER_MAX];
	size_t count;
	char node[PATH_MAX]; /* "" = none */
	char pm2[PATH_MAX];
	char node_version[64];
};

/*
 * Finds out which peers there are and what they need. node: "24" (from the cache), "system", a
 * path, or NULL for 24 if it is there, else the system's.
 */
int peers_find(struct peers *peers, const struct world *world, const char *node,
	       struct trouble *trouble);

/* By name; NULL with *trouble set, which suggests the nearest name. */
const struct peer *peers_get(const struct peers *peers, const char *name, struct trouble *trouble);

/* What a service is to be. */
struct peer_service {
	unsigned int workers;
	unsigned int work_us; /* of CPU time, each request */
	unsigned int slow_us; /* of sleep, for worker 0 on top */
};

struct peer_run {
	const struct peers *peers;
	const struct peer *peer;
	const struct world *world;
	struct peer_service service;
	char cgroup[PATH_MAX];
	char dir[64];
	uint16_t port;
	pid_t pid;
	struct targets targets; /* of its port, path "/" */
};

/*
 * Starts a peer and waits until every worker answers, warmed up: load is put on it in short
 * rounds. peer_stop() in any case.
 */
int peer_start(struct peer_run *run, const struct peers *peers, const struct peer *peer,
	       const struct world *world, const struct peer_service *service,
	       struct trouble *trouble);

/* Ends what is left of it and removes its cgroup and files. */
void peer_stop(struct peer_run *run);

/* Runs `function [arg]` of its script, in its cgroup. Returns the exit status, or -errno. */
int peer_call(const struct peer_run *run, const char *function, const char *arg);

/* CPU time that the peer's processes have used, from cgroup v2; 0 if it can't be read. */
uint64_t peer_cpu_us(const struct peer_run *run);

/*
 * How many accepted connections were open in workers when these died, by the peer's own count; -1
 * if it keeps none.
 */
int64_t peer_ask_lost(const struct peer_run *run);

/* The pid of a worker that answers now (from "worker W pid P"), or -errno. */
pid_t peer_ask_pid(const struct peer_run *run);

/* Last lines that the peer wrote, for an error message. */
void peer_last_words(const struct peer_run *run, char *out, size_t size);

#endif
