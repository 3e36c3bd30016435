/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The living processes behind a plan: what the keeper holds of each, and how it is started, told to
 * end, and let go. What it learns of one it writes into the plan as a fact.
 */
#ifndef RUNNER_H
#define RUNNER_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "base/stop_signal.h"
#include "keeper/bindhook.h"
#include "keeper/channel.h"
#include "keeper/plan.h"
#include "keeper/spawn.h"
#include "keeper/turn.h"

#define RUNNER_BUCKETS 1024

struct runners;

struct runner_port {
	uint16_t port; /* 0 = none */
	bool udp;
};

/* Listening sockets on one address and this port, if there are several. */
struct runner_crowd {
	uint32_t sockets;
	uint16_t port;
};

struct runner {
	struct runners *all;
	struct runner *next;	       /* of the same worker */
	struct runner *next_in_bucket; /* of runners.by_cgroup */
	uint32_t worker, generation;
	uint32_t instance; /* unique among those that live */
	pid_t pid;
	int pidfd;
	int cgroup_fd;
	uint64_t cgroup; /* its id */
	bool was_online;
	bool taken_over;    /* another lbctl started it: its exit status is not ours to know */
	bool given_drained; /* when it began, the slot of its sockets was drained, or about to be */
	struct channel *channel;
	int report_fd;
	sd_event_source *report_source, *exit_source, *empty_source, *timer, *killed_timer;
	uint64_t traced_us; /* the last wait for who traces it to take note of its end */
	bool ended;	    /* it has; what it started may live on */
	bool lives_on;	    /* it was killed and counts as ended, but something keeps it */
	bool left_children; /* it did, and they were killed */
	siginfo_t how;	    /* si_pid 0: not known */
	int start_error;
	/* What it serves with, as last seen. */
	int slot;		   /* -1 = none yet */
	uint64_t to_drain;	   /* once this child has ended, which may give it a slot; 0 = no */
	uint8_t protos;		   /* of which it has registered sockets ... */
	uint8_t had;		   /* ... and had, at the look before */
	uint32_t slots, quiet;	   /* with --forks: how many it has, and since how many ticks */
	uint32_t unread_bytes;	   /* while it is drained: see unread.h */
	struct runner_port alone;  /* one that nobody else can have beside it: see alone.h */
	struct runner_crowd crowd; /* as last seen, and told */
	bool crowd_told;
	uint64_t memory_bytes; /* as last seen, where --max-memory has it looked at */
	bool memory_told;      /* that it is too much */
	bool flood_told;       /* that it says too much */
	int joined;	       /* slot of a socket from elsewhere that joined for it, -1 = none */
};

struct runners {
	sd_event *loop;
	struct turn *turn;
	struct plan *plan;
	struct bindhooks *hooks; /* NULL with --listen */
	const char *cgroup;	 /* path of the service's; it stays the caller's */
	uid_t user;		 /* of --user, (uid_t)-1 = none */
	/* told of as it happens */
	void (*started)(void *arg, const struct runner *runner);
	void (*said)(void *arg, struct runner *runner, const char *line, const json_t *message);
	void *arg;
	struct runner *of[LB_MAX_WORKERS];
	struct runner *by_cgroup[RUNNER_BUCKETS];
};

struct runner *runner_find(const struct runners *all, uint32_t worker, uint32_t generation);

/* By the id of its cgroup. */
struct runner *runner_of_cgroup(const struct runners *all, uint64_t cgroup);

/* Of a process, or one that it started; NULL = nobody's. */
struct runner *runner_of_pid(const struct runners *all, const char *service, pid_t pid);

/*
 * Starts one. spec->cgroup_fd and spec->instance are filled in. When it can't be started, or turns
 * out not to, the plan has the fact; NULL is without memory.
 */
struct runner *runner_start(struct runners *all, struct spawn_spec *spec, uint32_t generation);

/* For take_over.c: one with its cgroup; and all that is to be heard of it. NULL; 0 or -errno. */
struct runner *runner_new(struct runners *all, uint32_t worker, uint32_t generation);
int runner_watch(struct runner *runner, int channel_fd);

/* Attributes of a process's cgroup, for the next keeper. */
#define RUNNER_STATE "user.lbctl.state"
#define RUNNER_INSTANCE "user.lbctl.instance"

/*
 * Reads the name of a process's cgroup, which ends with the text, a / or the line: "w3-7" is worker
 * 3, the seventh process of all. False where no keeper gives such a name: then nothing is set.
 */
bool runner_parse_name(const char *text, uint32_t *worker, uint32_t *generation);

/* take_over.c: finds the living processes that an earlier keeper started. Returns their number. */
uint32_t runners_take_over(struct runners *all, int cgroup_fd, uint64_t now_us);

/* What the next keeper has to know and can't see. */
void runner_mark(const struct runner *runner, enum lifecycle state);

/* To its main process, or its process group, as the mode says. 0, -ESRCH or -EPERM. */
int runner_signal(const struct runner *runner, int signal_number, enum kill_mode mode);

/* To all that is left of it. */
void runner_signal_rest(const struct runner *runner, int signal_number);

/* To the process that was started and no other. 0, -ESRCH or -EPERM. */
int runner_signal_alone(const struct runner *runner, int signal_number);

/* SIGKILL for all that is in its cgroup, which counts as ended soon in any case. 0 or -errno. */
int runner_kill(struct runner *runner);

/* Lets go of it, and of its cgroup if that is empty. */
void runner_free(struct runner *runner);

#endif
