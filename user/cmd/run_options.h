/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The options of lbctl run, which lbctl unit takes as well. */
#ifndef RUN_OPTIONS_H
#define RUN_OPTIONS_H

#include "cmd/cmd.h"
#include "keeper/keeper.h"

/* Rows of a table of options. */
/* clang-format off */
#define RUN_OPTIONS \
	{ "n", "N|max", "how many workers (default max: one per CPU that may be used)" }, \
	{ "name", "NAME", "name of the service (default: the script's or command's)" }, \
	{ "policy", "POLICY", "how to pick a worker" }, \
	{ "port", "PORT[,PORT]", "share these (8080, udp/53), not the first TCP port that is bound" }, \
	{ "offset-port", "PORT[,PORT]", "worker w gets PORT+w when it binds PORT" }, \
	{ "listen", "ADDR[,ADDR]", "make the sockets (:8080, udp/:53), hand them over (LISTEN_FDS)" }, \
	{ "forks", NULL, "the command makes its workers itself: steer each socket they listen with" }, \
	{ "reload-signal", "SIG", "with --forks: reload by this signal (HUP), not by a new process" }, \
	{ "wait-ready", NULL, "a worker is ready when it says so: READY=1, process.send('ready')" }, \
	{ "ready-timeout", "MS", "time from start to ready (default 10000)" }, \
	{ "ready-after", "MS", "a new process takes an old one's place after so long online (300)" }, \
	{ "stop-signal", "SIG", "how to tell a worker to end (default: TERM; QUIT for nginx ...)" }, \
	{ "kill-mode", "mixed|group|process", "whom: main process, then what it left; all; the main one" }, \
	{ "drain-timeout", "MS", "time for open connections, before that (default 5000)" }, \
	{ "kill-timeout", "MS", "time from that to SIGKILL (default 5000)" }, \
	{ "watchdog-ms", "MS", "SIGABRT for a worker that sends no WATCHDOG=1 for so long" }, \
	{ "restart-delay", "MS", "time until a worker that ended is started again (default 100)" }, \
	{ "max-restarts", "N", "give a worker up that ends more than N times in a row (default 16)" }, \
	{ "stop-exit-codes", "CODE[,CODE]", "don't start one again that ends with such a status" }, \
	{ "max-memory", "BYTES[K|M|G]", "replace a worker that has more, as restart does" }, \
	{ "user", "USER", "run the workers as this user" }, \
	{ "no-new-privileges", NULL, "no program that a worker starts gains any (sudo, ping)" }, \
	{ "group", "GROUP", "its workers may report load, its users control the service" }, \
	{ "allow-join", NULL, "any process of their user may join in a worker's name" }, \
	{ "cwd", "DIR", "start the workers there, looked up each time (default: where run is)" }, \
	{ "env-file", "FILE", "read more variables for them at each start, NAME=VALUE" }, \
	{ "instance-var", "NAME|none", "one for the worker's number (default NODE_APP_INSTANCE)" }, \
	{ "log-dir", "DIR", "append the workers' output to DIR/NAME-WORKER.log" }, \
	{ "with-controller", NULL, "workers end when lbctl dies" }, \
	{ "f", "FILE", "take all that from a file of lbctl apply; NAME follows, no CMD" }
/* clang-format on */

/*
 * Reads the options of a command whose table has RUN_OPTIONS, and the command to run in its
 * arguments, of which there is one at least. `options` keeps pointers into cmd; argv is left alone.
 * Returns EXIT_DONE, or EXIT_USAGE or EXIT_NOT_ABLE after a message was printed.
 */
int run_options_parse(const struct cmd *cmd, struct keeper_options *options);

#endif
