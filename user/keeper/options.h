/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a keeper is to do, as the command line says. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/exit_codes.h"
#include "base/parse.h"
#include "base/stop_signal.h"
#include "keeper/listeners.h"
#include "lb_abi.h"
#include "lb_bindhook.h"

/* by default */
#define KEEPER_READY_AFTER_MS 300
#define KEEPER_DRAIN_TIMEOUT_MS 5000
#define KEEPER_KILL_TIMEOUT_MS 5000

struct keeper_options {
	char name[LB_NAME_MAX + 1];
	/* lbctl watch: the addresses of a server that someone else started; no argv, no workers */
	const struct addr *addrs;
	size_t nr_addrs;
	uint32_t policy; /* 0 = the default */
	uint32_t workers;
	char *const *argv;
	struct lb_bindhook rules;
	struct listen_at listens[LB_MAX_LISTENERS];
	uint32_t nr_listens;
	uint64_t drain_timeout_ms; /* for open connections, before the stop signal; 0 = none */
	uint64_t kill_timeout_ms;  /* from the stop signal to SIGKILL */
	int stop_signal;
	bool stop_signal_known; /* nobody asked for it: it is the program's */
	enum kill_mode kill_mode;
	uint64_t ready_timeout_ms; /* from start to ready */
	uint64_t ready_after_ms;   /* online, before it takes another one's place */
	uint64_t watchdog_ms;	   /* between two WATCHDOG=1; 0 = none is asked for */
	uint64_t restart_delay_ms; /* before one that ended is started again, at first */
	uint64_t max_memory;	   /* bytes that a worker may have before it is replaced; 0 = any */
	uint32_t max_restarts;	   /* in a row, before it is given up */
	struct exit_codes stop_exit_codes; /* of those that are not started again */
	bool forks;			   /* the command makes its workers itself: see forked.h */
	int reload_signal;	  /* by which it gives itself new ones; 0 = it is replaced */
	const char *node_package; /* what gives each worker of Node.js's cluster a socket, or NULL */
	bool wait_ready;	  /* until READY=1 or process.send('ready') */
	bool with_controller;
	bool allow_join; /* who has the workers' user and was started by none of them may join */
	bool rescue;	 /* move what waits at workers that hang, when the service is made */
	const char *user;
	bool no_new_privileges;	  /* for the workers and all that they start */
	const char *instance_var; /* one more variable for a worker's number, or NULL */
	char cwd[PATH_MAX];	  /* of the workers, looked up at each start */
	bool needs_cwd;		  /* it was asked for */
	const char *env_file;	  /* of more variables, read at each start; or NULL */
	const char *log_dir;
	uint32_t group;
};

#endif
