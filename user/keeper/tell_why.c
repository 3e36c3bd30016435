// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Why a worker is not online: it can't be started, does not serve, or ends. For tell.c. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/text_json.h"
#include "base/trouble.h"
#include "host/probe.h"
#include "keeper/parts.h"

/* Of a file or directory that the worker needs. Root is refused where it takes user_rights.h. */
static int tell_file_trouble(const struct keeper *keeper, int err, char *why, size_t len)
{
	const struct keeper_options *options = &keeper->options;
	bool is_file = -err > SPAWN_ENV_FILE;
	int error = -err - (is_file ? SPAWN_ENV_FILE : SPAWN_CWD);
	bool as_user = error == EACCES && options->user;

	if (-err > SPAWN_ENV_LINE)
		snprintf(why, len, "--env-file %.200s: line %d is not NAME=VALUE",
			 options->env_file, -err - SPAWN_ENV_LINE);
	else
		snprintf(why, len, "--%s %.200s: %s%s%s%s", is_file ? "env-file" : "cwd",
			 is_file ? options->env_file : options->cwd, strerror(error),
			 as_user ? " for " : "", as_user ? options->user : "",
			 as_user ? "; others than root can change where that leads, so it is not "
				   "looked up as root" :
				   "");
	return EXIT_FAILED;
}

int tell_start_trouble(const struct keeper *keeper, int err, char *why, size_t len)
{
	const char *command = keeper->options.argv[0];

	if (-err > SPAWN_CWD)
		return tell_file_trouble(keeper, err, why, len);
	if (err == -ENOENT) {
		snprintf(why, len, "%s: command not found", command);
		return 127;
	}
	if (err == -EACCES || err == -ENOEXEC) {
		snprintf(why, len, "%s: not executable", command);
		return 126;
	}
	if (err == -EADDRINUSE)
		snprintf(why, len,
			 "the address of --listen is taken by a socket of another user or without "
			 "SO_REUSEPORT; lbctl scan and ss -ltnp show whose it is");
	else if (err == -EMFILE)
		snprintf(why, len, "too many open files; raise the limit (ulimit -n) of lbctl");
	else
		snprintf(why, len, "can't start %s: %s", command, strerror(-err));
	return EXIT_FAILED;
}

uint16_t tell_unshared_port(const struct keeper *keeper, enum lb_bind_proto proto)
{
	return keeper->hooks ? bindhook_unshared_port(keeper->hooks, proto) : 0;
}

/* Go, and programs started by mptcpize, are those that ask for it. */
static const char mptcp_words[] =
	"it asked for MPTCP, which can't be steered and is refused, and for nothing else; "
	"GODEBUG=multipathtcp=0 in the environment, or a start without mptcpize, cures that";

static bool refused_mptcp(const struct keeper *keeper, const struct runner *runner)
{
	return keeper->hooks && bindhook_refused_mptcp(keeper->hooks, runner->cgroup);
}

void tell_why_not_ready(const struct keeper *keeper, const struct runner *runner,
			char out[TELL_WHY_BYTES])
{
	uint8_t missing = keeper->own.protos & ~runner->protos;
	const char *old = keeper->hooks && !probe_features()->bind_setsockopt ?
				  " (before Linux 6.1 a program must set SO_REUSEADDR; else use "
				  "--listen ADDR)" :
				  "";

	if (runner->crowd.sockets)
		snprintf(out, TELL_WHY_BYTES,
			 "not ready: it has %u sockets on port %u, and run steers "
			 "one socket a worker",
			 runner->crowd.sockets, runner->crowd.port);
	else if (missing & OWN_TCP && refused_mptcp(keeper, runner))
		snprintf(out, TELL_WHY_BYTES, "without a TCP socket: %s", mptcp_words);
	else if (missing & OWN_TCP)
		snprintf(out, TELL_WHY_BYTES, "not listening on a shared TCP port%s", old);
	else if (missing)
		snprintf(out, TELL_WHY_BYTES, "without a socket on a shared UDP port%s", old);
	else
		snprintf(out, TELL_WHY_BYTES, "not ready");
}

/* Where nothing says which port is to be shared. */
static void name_first_port(const struct keeper *keeper, char *out, size_t len)
{
	const struct lb_ports *shared = keeper->options.rules.shared;
	uint16_t port = bindhook_first_port(keeper->hooks);

	*out = '\0';
	if (port && !shared[LB_BIND_TCP].count && !shared[LB_BIND_UDP].count)
		snprintf(out, len, "; shared is port %u, the first that was bound", port);
}

/* What a program may do that lbctl can't serve, said at its first end in a row. */
void tell_explain_end(struct keeper *keeper, const struct runner *runner,
		      const struct action *action)
{
	uint16_t port = tell_unshared_port(keeper, LB_BIND_TCP);
	const char *udp = "";
	char first[64];

	/* one that got online can do without the port: a client's, say */
	if (!port && !keeper->last_end.was_online) {
		port = tell_unshared_port(keeper, LB_BIND_UDP);
		udp = "udp/";
	}
	if (runner->how.si_pid && runner->how.si_code == CLD_EXITED && !runner->how.si_status &&
	    runner->left_children)
		event_tell(keeper->log, "background", text_pack("{s:i}", "worker", action->worker),
			   "worker %u went to the background, where it can't be kept and is ended: "
			   "tell it to stay in the foreground",
			   action->worker);
	if (!keeper->last_end.was_online && refused_mptcp(keeper, runner))
		event_tell(keeper->log, "mptcp", text_pack("{s:i}", "worker", action->worker),
			   "worker %u: %s", action->worker, mptcp_words);
	if (!port || keeper->plan.wanted == 1 || keeper->port_explained)
		return;
	keeper->port_explained = true;
	name_first_port(keeper, first, sizeof(first));
	event_tell(keeper->log, "unshared", text_pack("{s:i, s:b}", "port", port, "udp", *udp != 0),
		   "port %s%u is not shared, so one worker can have it%s: --port lists all that "
		   "are to be shared (%s%u, say), --offset-port %s%u gives worker w port %u+w",
		   udp, port, first, udp, port, udp, port, port);
}
