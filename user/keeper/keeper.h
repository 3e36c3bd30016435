/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The keeper: one event loop that keeps N worker processes of a command alive and their sockets
 * in the service. It holds no state that the kernel does not have too: cgroups say which process
 * is which worker, pins say which socket is in which slot. So it may be killed at any time, and
 * the next one goes on from there.
 *
 * All change goes through keeper_step(): it compares what should be (how many workers, of which
 * generation) with what is, and does the next thing. Events only note facts and call it.
 */
#ifndef KEEPER_H
#define KEEPER_H

#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "base/addr.h"
#include "base/parse.h"
#include "keeper/bindhook.h"
#include "keeper/files.h"
#include "keeper/process.h"
#include "keeper/words.h"
#include "lb_abi.h"
#include "service/join.h"

#define KEEPER_KILL_TIMEOUT_MS 5000 /* by default */
#define KEEPER_QUIET_SYNCS 10	    /* ticks after which it looks anyway: pids, foreign programs */

struct keeper_options {
	char name[LB_NAME_MAX + 1];
	/* lbctl watch: the addresses of a server that someone else started; no argv, no workers */
	const struct addr *addrs;
	size_t nr_addrs;
	uint32_t policy; /* 0 = the default */
	uint32_t workers;
	char *const *argv;
	struct lb_bindhook rules;
	struct keeper_listen {
		uint8_t proto; /* LB_PROTO_TCP or LB_PROTO_UDP */
		uint8_t family;
		uint8_t addr[16];
		uint16_t port;
	} listens[LB_MAX_LISTENERS];
	uint32_t nr_listens;
	uint64_t kill_timeout_ms;  /* from SIGTERM to SIGKILL */
	uint64_t ready_timeout_ms; /* from start to ready */
	uint64_t watchdog_ms;	   /* between two WATCHDOG=1; 0 = none is asked for */
	uint32_t max_restarts;	   /* in a row, before it is given up */
	bool wait_ready;	   /* until READY=1 or process.send('ready') */
	bool with_controller;
	bool rescue; /* move what waits at workers that hang, when the service is made */
	const char *user;
	const char *log_dir;
	uint32_t group;
};

enum keeper_proto {
	KEEPER_TCP = 1,
	KEEPER_UDP = 2,
};

/* How far a worker process has come: what the next keeper has to know and can't see. */
enum proc_phase {
	PROC_STARTS,
	PROC_READY, /* it has said so */
	PROC_ONLINE,
	PROC_LEAVES, /* it is to end when nothing comes to it any more */
	PROC_TOLD,   /* it was sent the signal that is to end it */
};

/* One worker process. */
struct proc {
	struct keeper *keeper;
	uint32_t worker;
	uint32_t generation;
	struct process process;
	int cgroup_fd;
	uint64_t cgroup;  /* its id */
	uint64_t started; /* CLOCK_MONOTONIC, microseconds */
	bool adopted;	  /* another lbctl started it: its exit status is not ours to know */
	enum proc_phase phase;
	bool said_ready;
	int slot;	/* of its registered sockets; -1 = it has none yet */
	uint8_t protos; /* KEEPER_TCP, KEEPER_UDP: of which it has registered ones */
	uint32_t look;	/* see keep_own() */
	bool online;
	bool stopping;	    /* it was told to end */
	bool says_stopping; /* it said so itself */
	int told;	    /* the signal that is to end it */
	uint64_t pinged;    /* its last WATCHDOG=1; CLOCK_MONOTONIC, microseconds */
	sd_event_source *watchdog;
	sd_event_source *exit_source;
	sd_event_source *timer; /* ready timeout, then keeper_end_when_read(), then kill timeout */
	uint64_t read_since;	/* it has read all that came to it; microseconds, 0 = it has not */
	uint64_t read_by;	/* so long it may take; CLOCK_MONOTONIC, as read_since */
	sd_event_source *channel_source;
	char *line; /* of a message, not yet complete */
	size_t line_len;
};

/* One worker: what serves, what is to take its place, what leaves. */
struct keeper_worker {
	struct proc *current;
	struct proc *next;
	struct proc *leaving;
	uint32_t restarts;
	uint32_t failures;	      /* exits in a row, soon after the start */
	char words[WORDS_LINE_BYTES]; /* what the last one said that ended while it started */
	bool gave_up;
	bool renew; /* wants a new process in place of the current one */
	int listen_fds[LB_MAX_LISTENERS];
	sd_event_source *restart_timer;
};

struct client;

/* Something that takes a while, for one client at a time. */
struct operation {
	const char *verb; /* "reload" ...; NULL = none */
	struct client *client;
};

struct keeper {
	struct keeper_options options;
	sd_event *loop;
	struct bindhooks *bindhooks;
	char cgroup_parent[PATH_MAX];
	char cgroup_name[LB_NAME_MAX + 8];
	int cgroup_fd;
	bool is_first; /* no earlier keeper had this service */
	int lock_fd;
	uint32_t generation; /* of the last process that was started */
	struct keeper_worker workers[LB_MAX_WORKERS];
	uint32_t wanted; /* how many workers there should be */
	uint8_t protos;	 /* KEEPER_TCP, KEEPER_UDP: what they serve */
	uint32_t looks;	 /* see keep_own() */
	bool stopping;
	bool leaving;	 /* the loop ends, workers go on */
	bool was_online; /* a worker was, once */
	int exit_status;
	int exec_error; /* why the command can't be started at all */
	struct operation operation;
	int control_fd;
	sd_event_source *control_source;
	sd_event_source *control_timer; /* until it is looked at again */
	uid_t worker_uid; /* of --user: may join and nothing else; else that of lbctl */
	struct {
		uint64_t cookie;   /* of a socket from elsewhere that is about to join */
		struct proc *proc; /* for which it comes; NULL = there is none */
	} joining;
	int notify_fd;
	struct client *clients;
	json_t *recent; /* events, oldest first; NULL = none yet */
	sd_event_source *sync_timer;
	bool in_trouble;       /* the last sync failed ... */
	char trouble[512];     /* ... and said this; the same is said once */
	uint64_t sockets_seen; /* fingerprint of the listening sockets at the last sync */
	uint32_t quiet_syncs;  /* timer ticks since then */
	enum {
		KEEPER_SAID_NOTHING,
		KEEPER_SAID_READY,
		KEEPER_SAID_RELOADING,
		KEEPER_SAID_STOPPING
	} said; /* to the service manager */
	char status[256];
	bool loop_runs;	     /* all that was to start at first was tried */
	bool port_explained; /* that one is not shared */
	uint8_t terminal;    /* bits: which of descriptors 0, 1 and 2 are one */
	struct stall_watch *stalls;
	struct keeper_books *books;
	struct strangers {
		struct stranger *items;
		size_t count;
	} strangers;		 /* that have been told of */
	struct words_tap *words; /* NULL where the kernel can't */
};

/* Runs until told to stop. Returns the exit status of `lbctl run` or `lbctl watch`. */
int keeper_run(const struct keeper_options *options);

/* --- for the keeper's own files: all of user/keeper --- */

/* Does what is next. Cheap when there is nothing to do. */
void keeper_step(struct keeper *keeper);

/* Begins an operation and says so; false when another one goes on. `client` may be NULL. */
bool keeper_begin_operation(struct keeper *keeper, const char *verb, struct client *client);

/* Ends those that the last keeper was about to end. Their slots are known by now. */
void keeper_go_on_ending(struct keeper *keeper);

/* Every worker gets a new process, one at a time. */
void keeper_renew_all(struct keeper *keeper);

bool keeper_nothing_runs(const struct keeper *keeper);

/*
 * Why a worker could not be started, as a sentence's end, by the error of proc_start() or
 * keeper_make_listeners(). Returns the exit status that goes with it.
 */
int keeper_start_trouble(const struct keeper *keeper, int err, char *why, size_t len);

/* Ends the workers, then the loop; asked twice, at once. */
void keeper_stop(struct keeper *keeper);

/* Ends the loop alone: workers and service go on, and the next keeper finds them. */
void keeper_leave(struct keeper *keeper);

/* Ends the loop's operation, if any, and tells whoever asked for it. */
void keeper_finish_operation(struct keeper *keeper, int status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * Tells terminal and subscribers what happened: `text` for people, `details` (taken over, may be
 * NULL) for programs.
 */
void keeper_event(struct keeper *keeper, const char *type, json_t *details, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* Calls `handler` once, in so many milliseconds; what the timer was set to before is void. */
void keeper_set_timer(struct keeper *keeper, sd_event_source **timer, uint64_t ms,
		      sd_event_time_handler_t handler, void *arg);

/* proc.c: NULL when it could not be started; keeper->exec_error may say why. */
struct proc *proc_start(struct keeper *keeper, uint32_t worker);
/* SIGTERM, and SIGKILL after --kill-timeout; SIGKILL at once. */
void proc_stop(struct proc *proc);
void proc_kill(struct proc *proc);
/* Should this keeper die, the next one knows. */
void proc_note(struct proc *proc, enum proc_phase phase);
/* It hangs: SIGABRT, and SIGKILL as above; its successor comes when it has ended. */
void proc_abort(struct proc *proc, const char *why);
/* Says which workers write to log files that were renamed. */
void proc_check_logs(struct keeper *keeper);
void proc_free(struct proc *proc);
/* Begins to take what it says through its channel, if it has one. Returns 0 or -errno. */
int proc_hear(struct proc *proc);
int proc_send(struct proc *proc, const char *line);
/* Finds the living processes of an earlier keeper. Returns their number. */
uint32_t proc_adopt_all(struct keeper *keeper);

/* exit.c */
void keeper_proc_exited(struct proc *proc, const siginfo_t *info);
/* A worker that ended is started again in a while, or given up. */
void keeper_plan_restart(struct keeper *keeper, uint32_t worker);
/* The first new process that fails ends a reload: the old ones go on. */
void keeper_stop_renewal(struct keeper *keeper);

/* strangers.c */
void strangers_add(struct strangers *list, const struct reuseport_group *group,
		   const struct member *member);
void strangers_free(struct strangers *list);
/* Tells who came and who went; empties the list. */
void keeper_tell_strangers(struct keeper *keeper, struct strangers *found);

/* hear.c */
int keeper_open_notify(struct keeper *keeper);
/* From now on it has to send WATCHDOG=1 in time. */
void keeper_begin_watchdog(struct proc *proc);

/* sync.c */
int keeper_make_listeners(struct keeper *keeper, uint32_t worker);
void keeper_close_listeners(struct keeper *keeper, uint32_t worker);
void keeper_sync(struct keeper *keeper);
/* The same on a timer: looks closer only when listening sockets came or went, or now and then. */
void keeper_sync_if_changed(struct keeper *keeper);
/* No new connection for the process's slot after the return; new ones again. */
void keeper_drain(struct keeper *keeper, const struct proc *proc);
void keeper_resume(struct keeper *keeper, const struct proc *proc);
void keeper_retire(struct keeper *keeper, uint32_t worker);
void keeper_note_restart(struct keeper *keeper, uint32_t worker);
/* After another keeper's death: the slots of sockets that no process of ours was seen to make. */
void keeper_find_slots(struct keeper *keeper);

/*
 * unread.c: SIGTERM for a process that is drained, but not before it has read what came to
 * its UDP sockets, or --kill-timeout is over.
 */
void keeper_end_when_read(struct proc *proc);

/*
 * terminal.c. Workers outlive the terminal of lbctl, but not all survive their first word
 * to one that is gone. keeper_check_terminal() tells whether it has just gone, and sees to that.
 */
void keeper_note_terminal(struct keeper *keeper);
bool keeper_check_terminal(struct keeper *keeper);

/* notify.c: what the service manager is told; each says nothing twice */
void keeper_notify(struct keeper *keeper); /* of workers, after each step */
void keeper_status(struct keeper *keeper, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void keeper_say_ready(struct keeper *keeper);
void keeper_say_stopping(struct keeper *keeper);

/* own.c */
/* What they serve, and what that is called: "connections", "datagrams" or both. */
uint8_t keeper_protos(const struct keeper_options *options);
const char *keeper_traffic(const struct keeper *keeper);
/* Whose socket it is, NULL = a stranger's. */
struct proc *keeper_owner_of(struct keeper *keeper, const struct member *member);

/* The ports that the workers share, as far as they are known; those of --listen, too. */
struct keeper_shared {
	struct {
		uint8_t proto; /* LB_PROTO_TCP or LB_PROTO_UDP */
		uint16_t port;
	} items[LB_MAX_LISTENERS + LB_BIND_PROTOS * LB_MAX_PORTS];
	uint32_t count;
};
void keeper_find_shared(const struct keeper *keeper, struct keeper_shared *shared);

/*
 * The groups on those ports, with the sockets of workers that may serve; all other groups are
 * without members. `state` is the service as it is, or NULL where there is none. Strangers are
 * added to the list. Returns 0, -ENOENT (no port is shared yet) or what groups_find() did; after 0
 * the caller frees the groups.
 */
struct state;
int keeper_find_own(struct keeper *keeper, const struct state *state, struct groups *groups,
		    struct strangers *strangers);

/*
 * stall.c: who does not accept, and what waits there; before 5.14 (features.sample) it does
 * nothing. Returns 0 or -errno. It looks as often as the settings ask for, and is told to check at
 * once when there is a service, or other settings. It keeps the service's maps open: leave before
 * they are to go.
 */
int keeper_watch_stalls(struct keeper *keeper);
void keeper_check_stalls(struct keeper *keeper);
void keeper_leave_stalls(struct keeper *keeper);

/* join.c */
struct keeper_join {
	int fd;		 /* the socket, the caller's */
	pid_t pid;	 /* who sent it */
	uint32_t worker; /* for which, or JOIN_ANY_WORKER */
};

/* Returns EXIT_DONE, then place->load_fd is the caller's, or the trouble's status. */
int keeper_join(struct keeper *keeper, const struct keeper_join *request, struct join_place *place,
		struct trouble *trouble);

/* control_listen.c */
int control_open(struct keeper *keeper);

/* control.c */
#define CONTROL_MOST_CLIENTS 64
enum admission { STRANGER, WORKER, OPERATOR };
struct ucred;
/* Listens to this connection from now on, or takes it over and closes it; -EUSERS: it is yours. */
int control_admit(struct keeper *keeper, int fd, const struct ucred *peer,
		  enum admission admission);
/* Sends a packet, with a descriptor unless `passed` is -1, and never waits. 0 or -errno. */
int control_send(int fd, const json_t *value, int passed);
/* Tells whoever asked for the end how it went; last, as they take it that all is gone then. */
void control_close(struct keeper *keeper, int status, const char *text);
/* To all who follow, and to those who begin to: the last 64. Takes a reference of its own. */
void control_publish(struct keeper *keeper, json_t *event);
void control_reply(struct client *client, int status, const char *text);

/* books.c: what a keeper remembers of the service's maps, to tell what changed */
/*
 * What the end of a process cost. `lost` is exact: the kernel counts the accepted connections that
 * a process closes by ending. So is `moved`, but for handshakes that were not complete: they move
 * at their next segment. `to` is who got waiting connections since the last look, so when two
 * workers end within a moment, each is told with the targets of both.
 */
struct keeper_account {
	bool known;	  /* false: there are no books (stopped, no cgroup v2) */
	bool counted;	  /* `lost` is known */
	uint64_t lost;	  /* accepted connections that were open */
	uint64_t moved;	  /* connections that waited to be accepted and went to others */
	uint64_t waiting; /* that wait on, in a socket of --listen */
	json_t *to;	  /* array of worker numbers; never NULL after keeper_account() */
};

/*
 * Looks at the maps and tells of every change of policy, weight and draining since the last look,
 * and for a watched service of sockets that came and went. The first look tells nothing.
 */
void keeper_look(struct keeper *keeper);

/* A process got this slot: what happened there before is not its. */
void keeper_books_begin(struct keeper *keeper, uint32_t slot);

/* The keeper itself changed the slot's state: no news for the next look. */
void keeper_books_note(struct keeper *keeper, uint32_t slot);

/*
 * What happened in the slot (-1: none) since it got its process. Give it to keeper_account_free().
 */
void keeper_account(struct keeper *keeper, uint32_t worker, int slot, struct keeper_account *out);
void keeper_account_free(struct keeper_account *account);

/*
 * "1 accepted connection lost, 17 waiting moved to 0 1 2"; "" when there is nothing to tell, or,
 * with `always`, that there is nothing.
 */
void keeper_account_text(const struct keeper_account *account, bool always, char *out, size_t len);

/* Adds "lost", "moved", "moved_to", "waiting" to an event; null for what is not known. */
void keeper_account_json(const struct keeper_account *account, json_t *event);

void keeper_books_free(struct keeper *keeper);

#endif
