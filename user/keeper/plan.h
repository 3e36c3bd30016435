/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the keeper of `lbctl run` knows of its workers and what it wants of them: all that
 * reconcile.h decides by. Facts and wishes are written here at any time. Pure, as that is.
 */
#ifndef PLAN_H
#define PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/exit_codes.h"
#include "keeper/lifecycle.h"
#include "lb_abi.h"

#define PLAN_NEVER UINT64_MAX
#define PLAN_FIRST_BACKOFF_US 100000ULL
#define PLAN_MOST_BACKOFF_US 10000000ULL
#define PLAN_STEADY_US 10000000ULL /* who lived longer did not fail to start */
#define PLAN_FIRST_RESTARTS 3	   /* while no worker ever came up */
/*
 * A handshake that ends just while its listener closes is reset. So a drained process is left alone
 * for so long first; and of UDP, after it has read all there was: it may be at the answer.
 */
#define PLAN_HANDSHAKES_US 50000ULL
#define PLAN_ANSWER_US 200000ULL
/*
 * Under --listen, who is not seen to wait at its sockets is taken for ready after so many times
 * ready_after_us, and half of ready_timeout_us at most: there are ways to wait that can't be seen.
 */
#define PLAN_UNSEEN_TIMES 10

enum plan_role {
	ROLE_CURRENT, /* serves, or is to; where none runs: when one is to be started again */
	ROLE_NEXT,    /* is to take its place */
	ROLE_LEAVING, /* has given its place up */
	ROLES
};

/* One process of a worker. */
struct process {
	uint32_t generation; /* which one: counted over all processes; 0 = none was started */
	enum lifecycle state;
	uint32_t version;
	uint64_t since_us; /* in this state */
	uint64_t started_us;
	int signal;	  /* that is to end it, 0 = none was sent */
	bool taken_over;  /* an earlier keeper started it */
	bool was_online;  /* under that keeper: what somebody has drained since stays drained */
	bool told;	  /* that it is not ready: it goes on, and nobody waits for it any more */
	bool rest_told;	  /* to end, after its main process */
	bool drain_asked; /* DRAIN was, and is not to be asked again */
	bool closed;	  /* our copy of its sockets of --listen is */
	uint64_t drained_us; /* since when it gets nothing */
	uint32_t renews;     /* the version that RENEW has last told it to be ... */
	uint64_t renew_us;   /* ... at this time */
	/* Facts; written by the caller. */
	bool executed;	    /* the program runs */
	int start_error;    /* why it could not be started, -errno */
	bool said_ready;    /* READY=1 */
	bool accepts;	    /* of --listen: it was seen to wait at its sockets */
	bool said_stopping; /* STOPPING=1 */
	bool said_hangs;    /* WATCHDOG=trigger */
	bool registered;    /* all the sockets that it serves with are in their slots */
	bool drained;	    /* what DRAIN asked for is done */
	bool main_ended;    /* it has ended as it was told, and what it started lives on */
	bool exited;	    /* it has ended, and so has all that it started ... */
	int status;	    /* ... with this exit status; -1 = it was killed, or it is not known */
	bool unkillable;    /* SIGKILL was refused, or does nothing */
	bool alone; /* its successor can't live beside it: it has a port that one can have */
	uint64_t pinged_us; /* WATCHDOG=1 */
	uint64_t read_us;   /* since when it has nothing to read; 0 = it has, or is not drained */
	uint32_t at_work;   /* of one that is to end, connections that it has to answer */
	uint64_t over_us;   /* since when it has more memory than it may; 0 = it has not */
	bool renewed;	    /* it has done what RENEW asked for */
};

/* One worker: the number that users see. */
struct worker {
	struct process at[ROLES];
	uint32_t version;     /* that it is to run */
	uint32_t failures;    /* ends in a row, soon after the start */
	uint64_t due_us;      /* when it is started again */
	uint32_t outgrown;    /* its processes in a row that soon had too much memory */
	uint64_t outgrown_us; /* when the last of these was to be replaced */
	bool in_use;	      /* it has, or had, slots in the service */
	uint32_t sockets; /* of --listen: those of this process are the next one's; 0 = new ones */
	bool hands_over;  /* its process ended, or ends, so that the next one can have its place */
};

enum plan_verb {
	PLAN_NO_VERB,
	PLAN_SCALE,
	PLAN_RELOAD,
	PLAN_RESTART,
};

/* Something that takes a while, for one client at a time. */
struct operation {
	enum plan_verb verb;
	uint32_t worker;	   /* of a restart */
	uint32_t workers;	   /* of a scale: how many were wanted before */
	uint32_t parallel;	   /* of a reload: so many successors are on their way at most */
	uint64_t client;	   /* the caller's, 0 = nobody asked */
	uint32_t first_generation; /* processes from this one on are its own */
};

struct plan_options {
	uint64_t ready_timeout_us; /* from start to online */
	uint64_t ready_after_us;   /* online for so long, a new one may take another's place */
	uint64_t drain_timeout_us; /* that its open connections may take before the signal */
	uint64_t kill_timeout_us;  /* from the signal to SIGKILL */
	uint64_t watchdog_us;	   /* between two WATCHDOG=1; 0 = none is asked for */
	uint64_t restart_delay_us; /* before one that ended is started again; it doubles */
	uint32_t max_restarts;	   /* in a row */
	bool wait_ready;	   /* it is ready when it says so */
	int stop_signal;	   /* that tells a process to end */
	bool tells_rest;	   /* and what its main process left behind, once that ended */
	bool hands_on;		   /* sockets outlive their process: --listen */
	bool reads_first;	   /* UDP: what is unread is lost with its process */
	struct exit_codes stop_exit_codes; /* who ends with one of these is not started again */
	int reload_signal; /* by which a process becomes another version itself; 0 = it ends */
};

struct plan {
	struct plan_options options;
	uint32_t wanted;
	uint32_t used;		      /* workers from here on were never touched */
	uint32_t generation, version; /* the last that were given */
	enum { PLAN_GOES_ON, PLAN_STOPS, PLAN_STOPS_AT_ONCE } stop;
	bool changing;	  /* a fact: of what was ordered about the service not all is done yet */
	bool unsteered;	  /* a fact: while it stops, the program is off the groups */
	bool ever_ran;	  /* some process has executed its program */
	bool ever_online; /* some worker was */
	uint32_t unseen;  /* of --listen: this version + 1 waits in a way that is not seen */
	int end_status;	  /* of the loop ... */
	int end_error;	  /* ... or this: -errno, as the program can't be started at all */
	struct operation operation;
	uint64_t next_us;	/* when reconcile() wanted to be called, at the latest */
	struct worker *workers; /* the caller's */
};

enum plan_why {
	WHY_NONE,
	WHY_RENEWED,	   /* its successor is online */
	WHY_HANDS_OVER,	   /* its successor can't begin before it has ended */
	WHY_UNWANTED,	   /* scaled away */
	WHY_STOP,	   /* the service stops */
	WHY_SAID_STOPPING, /* it said STOPPING=1 */
	WHY_NOT_READY,	   /* not online within ready_timeout_us */
	WHY_NOT_RENEWED,   /* it did not do what reload_signal asks for within ready_timeout_us */
	WHY_NO_PING,	   /* no WATCHDOG=1 within watchdog_us */
	WHY_SAID_HANGS,	   /* it sent WATCHDOG=trigger */
	WHY_DRAINED,	   /* nothing more comes to it, and it has answered all there was */
	WHY_AT_WORK,	   /* it did not answer all within drain_timeout_us */
	WHY_UNREAD,	   /* it did not read all within kill_timeout_us */
	WHY_TOO_LONG,	   /* it did not end within kill_timeout_us */
	WHY_ENDED,	   /* a new process ended */
	WHY_NO_START,	   /* a new process could not be started */
	WHY_GAVE_UP,	   /* it ended too often */
	WHY_ALL_FAILED,	   /* no worker stays up */
	WHY_FINISHED,	   /* it ended with a status of stop_exit_codes */
	WHY_ALL_FINISHED,  /* and so have all others */
	WHY_REPLACED,	   /* another operation was asked for */
	WHY_CANCELLED,	   /* somebody called it off; or its version has failed elsewhere */
	WHY_DONE,
};

enum action_kind {
	ACTION_START, /* a process for `worker`, as `generation` of `version`; role NEXT if `next` */
	ACTION_MARK,  /* leave `state` on the process for the next keeper */
	ACTION_ADMIT,	    /* give it its share, unless `was_online`; it is online */
	ACTION_DRAIN,	    /* give it nothing more, then report `drained` */
	ACTION_CLOSE,	    /* close our copy of its listening sockets; no process: of all its */
	ACTION_SIGNAL,	    /* send `signal` */
	ACTION_RENEW,	    /* send `signal`, by which it makes new processes; report `renewed` */
	ACTION_SIGNAL_REST, /* send it to all that is left of the process */
	ACTION_KILL,	    /* SIGKILL for it and all that it started; `signal` did not end it */
	ACTION_RELEASE,	    /* it has ended: tell it, let go of it; the next is due in `in_us` */
	ACTION_RETIRE,	    /* free the worker's slots */
	ACTION_TELL,	    /* say that `why` */
	/* end `operation` with `why`; of `old` workers the old version still runs, `renewed` have
	 * a process of the operation */
	ACTION_FINISH,
	ACTION_END, /* nothing is left: end the loop with plan->end_status */
};

struct action {
	enum action_kind kind;
	uint32_t worker;
	uint32_t generation;
	uint32_t version;
	enum lifecycle state;
	enum plan_why why;
	int signal;
	int status;	 /* of TELL: with which it has ended */
	bool next;	 /* of START, RELEASE: it is not the worker's current process */
	bool asked;	 /* of RELEASE: it was to end */
	bool again;	 /* of START: one that ended unasked is started again */
	bool was_online; /* of ADMIT: what somebody has drained since stays so */
	bool handed_on; /* of DRAIN: its sockets go on to its successor as they are: say so alone */
	uint32_t sockets_of; /* of START: the process whose sockets it gets; 0 = it gets new ones */
	uint64_t in_us;	     /* of RELEASE; PLAN_NEVER = none follows */
	uint32_t old, renewed; /* of FINISH */
	struct operation operation;
};

/* A plan for so many workers, of which nothing runs; `workers` has room for `most`, or more. */
void plan_init(struct plan *plan, const struct plan_options *options, struct worker *workers,
	       uint32_t most, uint32_t wanted);

/* --- facts --- */

/* The process, in whatever role; NULL if the plan has let go of it. */
struct process *plan_process(struct plan *plan, uint32_t worker, uint32_t generation);

/*
 * A living process of an earlier keeper, which has left `state` on it. Returns false when there is
 * no place for it: then it is one too many, and to be killed.
 */
bool plan_take_over(struct plan *plan, uint32_t worker, uint32_t generation, enum lifecycle state,
		    uint64_t now_us);

/* --- wishes --- */

/*
 * Each begins an operation that ends with ACTION_FINISH, always, and takes the place of the one
 * that is going on, which is returned (verb PLAN_NO_VERB if there was none).
 */
struct operation plan_scale(struct plan *plan, uint32_t workers, uint64_t client);
struct operation plan_reload(struct plan *plan, uint32_t parallel, uint64_t client);
struct operation plan_restart(struct plan *plan, uint32_t worker, uint64_t client);

/* So many percent (1 to 100) of the workers that are wanted, rounded up: at least one. */
uint32_t plan_percent(const struct plan *plan, uint32_t percent);

/*
 * Calls the operation off, which is returned: what serves stays, what was to come does not. Of
 * workers that leave already nothing changes.
 */
struct operation plan_cancel(struct plan *plan);

/*
 * Ends all; asked again, at once. The loop ends with `status`. Processes are told to end once
 * `unsteered` is set: taken off while there are sockets, the program is gone for sure.
 */
void plan_stop(struct plan *plan, int status);

/* --- what is so --- */

struct plan_summary {
	uint32_t online;
	uint32_t failed;   /* given up */
	uint32_t finished; /* ended for good */
	uint32_t renewing; /* of which another version is to run, or on its way */
	uint32_t running;  /* processes */
};
void plan_summarise(const struct plan *plan, struct plan_summary *out);

/* Who runs goes on as it is; a worker whose successor is on its way gets that one still. */
void plan_stop_renewing(struct plan *plan);
/* ... or not even that one. */
void plan_keep(struct plan *plan);

/* Of wanted workers, how many still run another version than the one they are to run. */
uint32_t plan_count_old(const struct plan *plan);

/* Of wanted workers, how many have a process that the operation has started. */
uint32_t plan_count_renewed(const struct plan *plan);

/* How long to wait after so many failures in a row: restart_delay_us, doubled with each. */
uint64_t plan_backoff_us(const struct plan *plan, uint32_t failures);

/* Is it to be looked whether it `accepts`, which it waits for? */
bool plan_awaits_accept(const struct plan *plan, const struct process *process);

/* Is it drained, to be told to end then? One that says itself that it stops is not. */
bool plan_is_leaving(enum plan_role role, const struct process *process);

/* Did the operation that is going on start it? */
bool plan_is_of_operation(const struct plan *plan, const struct process *process);

/* "scale" ...; NULL for none. */
const char *plan_verb_name(enum plan_verb verb);

#endif
