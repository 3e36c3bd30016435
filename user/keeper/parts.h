/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a keeper consists of. For those files alone that put its parts together: keeper.c (its life
 * and its turn), assemble.c, ending.c, execute.c (actions of the plan), tell.c (what is said of
 * them), signals.c, requests.c, worker_requests.c and join_request.c (what is asked of it),
 * log_files.c, watch.c (lbctl watch). The parts themselves know one another by their headers, and
 * not this one.
 */
#ifndef PARTS_H
#define PARTS_H

#include <limits.h>

#include "base/trouble.h"
#include "keeper/accepting.h"
#include "keeper/at_work.h"
#include "keeper/bindhook.h"
#include "keeper/changes.h"
#include "keeper/control.h"
#include "keeper/environments.h"
#include "keeper/event_log.h"
#include "keeper/holder.h"
#include "keeper/instance.h"
#include "keeper/listeners.h"
#include "keeper/loss.h"
#include "keeper/manager.h"
#include "keeper/members.h"
#include "keeper/migrations.h"
#include "keeper/options.h"
#include "keeper/own.h"
#include "keeper/pins.h"
#include "keeper/plan.h"
#include "keeper/readers.h"
#include "keeper/runner.h"
#include "keeper/stall_watch.h"
#include "keeper/sync.h"
#include "keeper/task.h"
#include "keeper/turn.h"
#include "keeper/worker_notify.h"

struct watch;

struct keeper {
	struct keeper_options options;
	sd_event *loop;
	struct turn *turn;
	struct event_log *log;
	struct control *control;
	struct manager manager;
	struct pins *pins;
	struct changes *changes;
	struct migrations *migrations;
	struct holder *holder;
	struct stall_watch *stalls;
	uint8_t terminal; /* see terminal.h */
	struct readers *readers;

	/* lbctl run */
	struct plan plan;
	struct worker workers[LB_MAX_WORKERS];
	struct environments *environments; /* NULL: all have ours */
	struct runners runners;
	struct bindhooks *hooks;
	struct listeners *listeners;
	struct accepting *accepting; /* NULL without --listen */
	struct own own;
	struct at_work at_work;
	struct sync *sync;
	struct forked *forked;	 /* NULL without --forks */
	struct members *members; /* the same */
	struct losses *losses;
	struct worker_notify *notify;
	/* of the last process that ended, for the operation that this ends */
	struct {
		char how[600];
		bool was_online;
	} last_end;
	/* of those that ended as the operation wanted it */
	struct {
		uint32_t ended;
		bool counted; /* `lost` is known of all */
		uint64_t lost;
	} toll;
	struct {
		uint32_t looks; /* in a row that found one socket in several hands */
		uint32_t told;	/* the main process of which that was told */
	} shared;
	uint32_t unheard[LB_MAX_WORKERS]; /* messages over the budget, not yet in the counters */
	bool port_explained;		  /* that one is not shared */
	bool port_told;			  /* that another one than the first may be meant */
	uint64_t stranger;		  /* cookie of the last one that was told */

	/* lbctl watch */
	struct watch *watch;

	/* what is there as long as the keeper is */
	struct instance instance;
	uint32_t recount_ticks; /* until the connections are counted anew; 0 = not needed */
	bool is_leaving;	/* the loop ends, workers go on */
	bool is_ending;		/* all ends: the program is taken off */
	char trouble[512];	/* that was told last, as the same is told once; "" = none */
};

/* execute.c: does all that is to be done in one turn. */
void execute(struct keeper *keeper, const struct action *actions, size_t n);
/* After a look at the sockets: drains those that got their slots after they were to be drained. */
void execute_late_drains(struct keeper *keeper);
/* One more restart of this worker. */
void execute_count_restart(const struct keeper *keeper, uint32_t worker);
/* The plan has a new operation, in the place of `before` if there was one. */
void execute_begun(struct keeper *keeper, const struct operation *before);

/*
 * renew.c: begins a reload (LB_ALL_WORKERS), of `parallel` workers at a time, or the restart of
 * one worker. false, with a sentence: its connections would be refused meanwhile.
 */
#define RENEW_BYTES 512
bool renew_begin(struct keeper *keeper, uint32_t worker, uint32_t parallel, uint64_t client,
		 char why[RENEW_BYTES]);

/* memory.c: once a tick, begins the restart of a worker that has more than --max-memory. */
void memory_look(struct keeper *keeper);

/* forks.c: what --forks has on top: 0 or -errno. The service was brought up to date. */
int forks_open(struct keeper *keeper);
void forks_refreshed(struct keeper *keeper, const struct attach_result *result);
/* Workers that an earlier keeper's main process has are not told of. */
void forks_take_over(struct keeper *keeper);
/* How many are up. */
uint32_t forks_workers(const struct keeper *keeper);
/* The pid of the process that has this worker's socket; 0 = there is none of ours. */
pid_t forks_pid(const struct keeper *keeper, uint32_t worker);

/* heard.c: what a process says by its channel (see runners.said), and to NOTIFY_SOCKET. */
void heard_message(void *arg, struct runner *runner, const char *line, const json_t *message);
void heard_notify(void *arg, pid_t pid, const char *line);

/* misfit.c: after each look at the sockets. */
void misfit_look(struct keeper *keeper, bool tick);

/* ending.c: ends all, asked again at once; the loop ends with `status`. */
void keeper_stop(struct keeper *keeper, int status);
/* Ends the loop alone: workers and service go on, and the next keeper finds them. */
void keeper_leave(struct keeper *keeper);
/* In each turn of a keeper that is to stop. */
void end_begin(struct keeper *keeper);

/* signals.c; 0 or -errno */
int signals_open(struct keeper *keeper);
/* Workers outlive the terminal of lbctl: once a tick, has it gone? */
void signals_check_terminal(struct keeper *keeper);

/*
 * assemble.c: makes all parts; `turn` is the keeper's. Returns EXIT_DONE or the trouble's status.
 */
int assemble(struct keeper *keeper, void (*turn)(void *arg, unsigned int work),
	     struct trouble *trouble);
/* Frees what there is, also after a failure. `ended`: no worker lives. */
void disassemble(struct keeper *keeper, bool ended);

/* tell.c, and tell_why.c */
void tell_started(struct keeper *keeper, const struct runner *runner);
void tell_online(struct keeper *keeper, const struct runner *runner);
void tell_drain(struct keeper *keeper, const struct runner *runner, enum plan_why why);
void tell_signal(struct keeper *keeper, const struct runner *runner, const struct action *action);
void tell_kill(struct keeper *keeper, const struct runner *runner, int told);
void tell_end(struct keeper *keeper, const struct runner *runner, const struct action *action);
void tell_why(struct keeper *keeper, const struct action *action);
void tell_finish(struct keeper *keeper, const struct action *action);
/* How far an operation has got that did not get to its end. Returns `out`. */
const char *tell_progress(const struct keeper *keeper, const struct action *action, char *out,
			  size_t len);
/*
 * Why a worker could not be started, as a sentence's end, by its error. Returns the exit status
 * that goes with it.
 */
int tell_start_trouble(const struct keeper *keeper, int err, char *why, size_t len);
/* Of one that is not online in time; and that ended, what lbctl can't serve of it, once. */
#define TELL_WHY_BYTES 256
void tell_why_not_ready(const struct keeper *keeper, const struct runner *runner,
			char out[TELL_WHY_BYTES]);
void tell_explain_end(struct keeper *keeper, const struct runner *runner,
		      const struct action *action);
/* A port that some worker has and that is not shared; 0 = none. */
uint16_t tell_unshared_port(const struct keeper *keeper, enum lb_bind_proto proto);
/* Says what lasts once, and not every second; NULL: it is over. */
void tell_trouble(struct keeper *keeper, const char *text);
/* The file that a worker writes to, NULL without --log-dir. */
const char *tell_log_path(const struct keeper *keeper, uint32_t worker, char out[PATH_MAX]);

/* requests.c */
extern const struct control_verb request_verbs[];

#endif
