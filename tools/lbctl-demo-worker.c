/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A small HTTP server that says which worker answered: for demos, benchmarks and tests. It can be
 * made slow, stubborn or privileged in the ways that a load balancer has to live with. The parts
 * are in demo-worker/.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/parse.h"
#include "demo-worker/listener.h"
#include "demo-worker/options.h"
#include "demo-worker/parent.h"
#include "demo-worker/server.h"

static struct demo_options options;
static struct demo_listeners inherited;
static pid_t main_pid;

static int become(const char *name)
{
	const struct passwd *user;

	errno = 0;
	user = getpwnam(name);
	if (!user)
		return errno ? -errno : -ENOENT;
	if (initgroups(name, user->pw_gid) || setgid(user->pw_gid) || setuid(user->pw_uid))
		return -errno;
	return 0;
}

/* The environment's is that of the first; of the others it becomes their own, for liblbctl. */
static int worker_number(int index)
{
	const char *text = getenv("LBCTL_WORKER");
	char number[16];
	uint64_t first;

	if (!text || parse_u64(text, 0, INT32_MAX - DEMO_MAX_WORKERS, &first))
		return index;
	snprintf(number, sizeof(number), "%d", (int)first + index);
	setenv("LBCTL_WORKER", number, 1);
	return first + index;
}

/* What needs privileges, and then their end. Return: 0 or -errno, and says why. */
static int prepare(const struct demo_options *opts, struct server_setup *setup)
{
	int err;

	if (inherited.nr) {
		setup->listeners = inherited;
	} else {
		err = listeners_open(&setup->listeners, opts);
		if (err)
			return err;
	}
	if (opts->log_path) {
		setup->log_fd =
			open(opts->log_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
		if (setup->log_fd < 0) {
			err = -errno;
			fprintf(stderr, "lbctl-demo-worker: open %s: %s\n", opts->log_path,
				strerror(-err));
			return err;
		}
	}
	err = opts->user ? become(opts->user) : 0;
	if (err)
		fprintf(stderr, "lbctl-demo-worker: become %s: %s\n", opts->user,
			err == -ENOENT ? "no such user" : strerror(-err));
	return err;
}

/* After become(), which would undo it. */
static void die_with_parent(void)
{
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != main_pid)
		raise(SIGTERM);
}

static int run_worker(const struct demo_options *opts, int index, int ready_fd)
{
	struct server_setup setup = {
		.options = opts,
		.worker = worker_number(index),
		.log_fd = -1,
		.ready_fd = ready_fd,
	};
	int status = 1;

	if (prepare(opts, &setup)) {
		listeners_close(&setup.listeners);
	} else {
		if (ready_fd >= 0)
			die_with_parent();
		status = server_run(&setup);
	}
	if (setup.log_fd >= 0)
		close(setup.log_fd);
	return status;
}

static void close_inherited(void)
{
	listeners_close(&inherited);
}

int main(int argc, char **argv)
{
	sigset_t signals;
	int status = options_parse(&options, argc, argv);

	if (status >= 0)
		return status;
	if (listeners_inherit(&inherited, &options))
		return 1;
	if (options.shared && !inherited.nr && listeners_open(&inherited, &options)) {
		listeners_close(&inherited);
		return 1;
	}
	server_signals(&signals);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	main_pid = getpid();
	if (options.workers == 1)
		return run_worker(&options, 0, -1);
	return parent_run(&options, run_worker, close_inherited);
}
