// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A keeper from its start to its end: the lock, the cgroup, the programs, the event sources; and
 * what is left when it goes.
 */
#include "keeper/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/trouble.h"
#include "host/cgroup.h"
#include "host/probe.h"
#include "service/detach.h"
#include "service/state.h"

/* Sockets are looked for when a worker listens; and now and then, should that be missed. */
#define SYNC_US 1000000ULL

/* Nobody waits for it, but `events` tells when it is done. */
static void reload(struct keeper *keeper)
{
	if (!keeper->options.argv)
		return;
	keeper_begin_operation(keeper, "reload", NULL);
	keeper_renew_all(keeper);
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *arg)
{
	struct keeper *keeper = arg;

	(void)source;
	if (info->ssi_signo == SIGHUP && !keeper_check_terminal(keeper)) {
		if (keeper->terminal)
			keeper_event(keeper, "hangup", NULL,
				     "SIGHUP, but there is a terminal: workers go on; lbctl reload "
				     "%s gives them new processes",
				     keeper->options.name);
		else
			reload(keeper);
	}
	if (info->ssi_signo == SIGUSR1)
		proc_check_logs(keeper);
	if (info->ssi_signo == SIGUSR2)
		keeper_leave(keeper);
	if (info->ssi_signo == SIGTERM || info->ssi_signo == SIGINT)
		keeper_stop(keeper);
	return 0;
}

static int on_listen(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct keeper *keeper = arg;

	(void)source;
	(void)fd;
	(void)events;
	bindhook_drain(keeper->bindhooks);
	keeper_sync(keeper);
	keeper_step(keeper);
	return 0;
}

void keeper_set_timer(struct keeper *keeper, sd_event_source **timer, uint64_t ms,
		      sd_event_time_handler_t handler, void *arg)
{
	sd_event_source_disable_unref(*timer);
	*timer = NULL;
	sd_event_add_time_relative(keeper->loop, timer, CLOCK_MONOTONIC, ms * 1000, 0, handler,
				   arg);
}

static int on_sync_timer(sd_event_source *source, uint64_t usec, void *arg)
{
	struct keeper *keeper = arg;

	(void)usec;
	sd_event_source_set_time_relative(source, SYNC_US);
	sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	keeper_check_terminal(keeper);
	if (!keeper->stopping) {
		keeper_sync_if_changed(keeper);
		keeper_step(keeper);
	}
	return 0;
}

static int say(const char *name, int status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int say(const char *name, int status, const char *format, ...)
{
	va_list args;

	fprintf(stderr, "lbctl: %s: ", name);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return status;
}

static int take_lock(struct keeper *keeper)
{
	const char *name = keeper->options.name;
	pid_t holder;

	keeper->lock_fd = keeper_lock(name, &holder);
	if (keeper->lock_fd == -EWOULDBLOCK)
		return say(
			name, EXIT_FAILED,
			"the name is in use: lbctl run (pid %d) keeps that service; take another "
			"--name, or lbctl stop %s",
			holder, name);
	if (keeper->lock_fd < 0)
		return say(name, EXIT_NOT_ABLE, KEEPER_DIR ": %s", strerror(-keeper->lock_fd));
	return EXIT_DONE;
}

/* A service of this name that no lbctl run made is somebody's whom we must not disturb. */
static int refuse_attached(struct keeper *keeper)
{
	char path[KEEPER_PATH_BYTES];
	struct state state;

	keeper_path(keeper->options.name, "cgroup", path);
	keeper->is_first = access(path, F_OK);
	if (!keeper->is_first || state_open(&state, keeper->options.name, STATE_READ))
		return EXIT_DONE;
	state_close(&state);
	return say(keeper->options.name, EXIT_FAILED,
		   "the name is in use: lbctl attach made that service; take another --name, or "
		   "lbctl detach %s",
		   keeper->options.name);
}

/*
 * The cgroup of an earlier keeper of this service, if there is one, else a new one below our own.
 */
static int open_cgroup(struct keeper *keeper)
{
	snprintf(keeper->cgroup_name, sizeof(keeper->cgroup_name), "lbctl-%s",
		 keeper->options.name);
	if (keeper_read_cgroup(keeper->options.name, keeper->cgroup_parent) &&
	    cgroup_own(keeper->cgroup_parent))
		return say(keeper->options.name, EXIT_NOT_ABLE,
			   "no cgroup v2: mount one (mount -t cgroup2 none /sys/fs/cgroup), or "
			   "start the workers yourself and use lbctl attach");
	keeper->cgroup_fd = cgroup_make(keeper->cgroup_parent, keeper->cgroup_name);
	if (keeper->cgroup_fd == -EROFS)
		return say(
			keeper->options.name, EXIT_NOT_ABLE,
			"can't make a cgroup in %s: it is mounted read-only; mount it read-write, "
			"or start the workers yourself and use lbctl attach",
			keeper->cgroup_parent);
	if (keeper->cgroup_fd < 0)
		return say(keeper->options.name, EXIT_NOT_ABLE,
			   "can't make a cgroup in %s: %s; run as root, or in a unit with "
			   "Delegate=yes",
			   keeper->cgroup_parent, strerror(-keeper->cgroup_fd));
	keeper_write_cgroup(keeper->options.name, keeper->cgroup_parent);
	return EXIT_DONE;
}

/* The TCP port that the workers of an earlier keeper share; they do not bind it again. */
static uint16_t port_in_use(const char *name)
{
	struct state state;
	uint16_t port = 0;

	if (state_open(&state, name, STATE_READ))
		return 0;
	for (uint32_t i = 0; i < state.nr_listeners && !port; i++) {
		if (state.config->listeners[i].proto == LB_PROTO_TCP)
			port = state.config->listeners[i].port;
	}
	state_close(&state);
	return port;
}

static int open_bindhooks(struct keeper *keeper)
{
	int err;

	if (keeper->options.nr_listens)
		return EXIT_DONE;
	keeper->options.rules.first = port_in_use(keeper->options.name);
	err = bindhook_open(keeper->cgroup_fd, &keeper->options.rules, &keeper->bindhooks);
	if (err == -EPERM)
		return say(keeper->options.name, EXIT_NOT_ABLE,
			   "may not load BPF programs: CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON are "
			   "needed; run as root (see lbctl doctor)");
	if (err)
		return say(keeper->options.name, EXIT_NOT_ABLE,
			   "this kernel can't share a port between programs that do not ask for "
			   "it (%s); use --listen ADDR",
			   err == -EOPNOTSUPP ? "it refused the hooks" : strerror(-err));
	return EXIT_DONE;
}

static int add_sources(struct keeper *keeper)
{
	const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE };
	sigset_t set;
	int err = 0;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaddset(&set, signals[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]) && err >= 0; i++)
		err = sd_event_add_signal(keeper->loop, NULL, signals[i], on_signal, keeper);
	if (err >= 0 && keeper->bindhooks)
		err = sd_event_add_io(keeper->loop, NULL, bindhook_fd(keeper->bindhooks), EPOLLIN,
				      on_listen, keeper);
	if (err >= 0)
		err = sd_event_add_time_relative(keeper->loop, &keeper->sync_timer, CLOCK_MONOTONIC,
						 SYNC_US, 0, on_sync_timer, keeper);
	return err < 0 ? err : 0;
}

static int open_all(struct keeper *keeper)
{
	int status, err;

	status = take_lock(keeper);
	if (!status && keeper->options.argv)
		status = refuse_attached(keeper);
	if (!status && keeper->options.argv)
		status = open_cgroup(keeper);
	if (!status && keeper->options.argv)
		status = open_bindhooks(keeper);
	if (status)
		return status;
	err = sd_event_new(&keeper->loop);
	/* whoever set a WATCHDOG_USEC that is none waits for nothing */
	if (err >= 0)
		sd_event_set_watchdog(keeper->loop, true);
	if (err >= 0)
		err = add_sources(keeper);
	if (err >= 0 && keeper->options.argv)
		err = keeper_open_notify(keeper);
	if (err >= 0)
		err = control_open(keeper);
	if (err >= 0)
		err = keeper_watch_stalls(keeper);
	if (err < 0)
		return say(keeper->options.name, EXIT_FAILED, "%s", strerror(-err));
	if (keeper->options.argv)
		keeper->words = words_open();
	return EXIT_DONE;
}

/* What was killed a moment ago may still be on its way out. */
static int remove_cgroup(const struct keeper *keeper)
{
	const struct timespec nap = { .tv_nsec = 20 * 1000 * 1000 };
	int err = -EBUSY;

	for (int waited_ms = 0; err == -EBUSY && waited_ms < 2000; waited_ms += 20) {
		if (waited_ms)
			nanosleep(&nap, NULL);
		err = cgroup_remove(keeper->cgroup_parent, keeper->cgroup_name);
	}
	return err;
}

/*
 * What a run had goes with it; a watched service stays as it is. While processes can't be ended,
 * the files stay too, so that the next lbctl finds them.
 */
static int remove_all(struct keeper *keeper, struct trouble *trouble)
{
	int status = EXIT_DONE;

	if (keeper->options.argv) {
		status = detach_run(keeper->options.name, trouble);
		/* it was taken off when the stop began */
		if (status == EXIT_NOT_FOUND)
			status = EXIT_DONE;
		if (remove_cgroup(keeper) == -EBUSY)
			return trouble_set(
				trouble, EXIT_NOT_ABLE,
				"stopped, but processes of it live that can't be killed; "
				"as root: lbctl stop %s",
				keeper->options.name);
	}
	keeper_remove_files(keeper->options.name);
	return status;
}

/*
 * A keeper that could not begin, or leaves, leaves everything to the living workers. Returns
 * `status`, or why something was left behind.
 */
static int close_all(struct keeper *keeper, bool ran, int status)
{
	const char *text = keeper->options.argv ? "stopped" : "no longer watched; it goes on";
	struct trouble trouble;
	char path[KEEPER_PATH_BYTES];
	int left;

	keeper_leave_stalls(keeper);
	left = ran ? remove_all(keeper, &trouble) : EXIT_DONE;
	if (left)
		status = say(keeper->options.name, left, "%s", trouble.text);
	keeper_path(keeper->options.name, "sock", path);
	if (!ran && !keeper->leaving && keeper->is_first && keeper->lock_fd >= 0) {
		if (keeper->cgroup_fd >= 0)
			cgroup_remove(keeper->cgroup_parent, keeper->cgroup_name);
		keeper_remove_files(keeper->options.name);
	} else if (!ran && keeper->control_fd >= 0) {
		unlink(path);
	}
	if (keeper->loop)
		control_close(keeper, left, left ? trouble.text : text);
	keeper_books_free(keeper);
	strangers_free(&keeper->strangers);
	words_close(keeper->words);
	bindhook_close(keeper->bindhooks);
	close_fd(&keeper->cgroup_fd);
	close_fd(&keeper->notify_fd);
	close_fd(&keeper->lock_fd);
	sd_event_unref(keeper->loop);
	return status;
}

static void print_start(const struct keeper *keeper, uint32_t adopted)
{
	const struct keeper_options *options = &keeper->options;

	if (options->nr_addrs) {
		printf("%s: watching; Ctrl-C ends that, and the service goes on\n", options->name);
		fflush(stdout);
		return;
	}
	if (adopted)
		printf("%s: %u living worker%s found, %s on\n", options->name, adopted,
		       plural(adopted), adopted == 1 ? "it goes" : "they go");
	printf("%s: %u worker%s of %s; ", options->name, keeper->wanted, plural(keeper->wanted),
	       options->argv[0]);
	if (options->nr_listens)
		printf("each gets a listening socket of its own (LISTEN_FDS)\n");
	else if (options->rules.shared[LB_BIND_TCP].count || keeper->protos & KEEPER_UDP)
		printf("the ports of --port are shared\n");
	else
		printf("the first TCP port that one binds is shared (--port names others)\n");
	if (keeper->bindhooks && !probe_features()->bind_setsockopt)
		printf("%s: this kernel (before 6.1) shares ports only for programs that set "
		       "SO_REUSEADDR, and then all %s ports that these bind; where that does not "
		       "do, use --listen ADDR\n",
		       options->name,
		       keeper->protos == KEEPER_TCP ? "TCP" :
		       keeper->protos == KEEPER_UDP ? "UDP" :
						      "TCP and UDP");
	fflush(stdout);
}

int keeper_start_trouble(const struct keeper *keeper, int err, char *why, size_t len)
{
	const char *command = keeper->options.argv[0];

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

/* The command itself can't be started: say so once, as a shell does, instead of trying on. */
static int exec_failed(struct keeper *keeper)
{
	char why[512];
	int status = keeper_start_trouble(keeper, keeper->exec_error, why, sizeof(why));

	return say(keeper->options.name, status, "%s", why);
}

int keeper_run(const struct keeper_options *options)
{
	struct keeper *keeper = calloc(1, sizeof(*keeper));
	uint32_t adopted;
	int status;

	if (!keeper)
		return EXIT_FAILED;
	keeper->options = *options;
	keeper->wanted = options->workers;
	keeper->protos = keeper_protos(options);
	keeper->cgroup_fd = keeper->lock_fd = keeper->control_fd = keeper->notify_fd = -1;
	for (uint32_t i = 0; i < LB_MAX_WORKERS; i++) {
		for (uint32_t j = 0; j < LB_MAX_LISTENERS; j++)
			keeper->workers[i].listen_fds[j] = -1;
		keeper->workers[i].restarts = UINT32_MAX;
	}
	keeper_note_terminal(keeper);
	process_raise_file_limit();
	status = open_all(keeper);
	if (status) {
		close_all(keeper, false, status);
		free(keeper);
		return status;
	}
	adopted = options->argv ? proc_adopt_all(keeper) : 0;
	print_start(keeper, adopted);
	keeper_sync_if_changed(keeper);
	if (adopted) {
		keeper_find_slots(keeper);
		keeper_go_on_ending(keeper);
	}
	for (uint32_t i = 0; i < keeper->wanted; i++)
		keeper->workers[i].restarts = 0;
	keeper_step(keeper);
	if (keeper->exec_error && keeper_nothing_runs(keeper)) {
		status = exec_failed(keeper);
	} else {
		keeper->loop_runs = true;
		if (!options->argv)
			keeper_say_ready(keeper);
		status = sd_event_loop(keeper->loop);
		status = status < 0 ? EXIT_FAILED : status;
	}
	status = close_all(keeper, !keeper->leaving, status);
	free(keeper);
	return status;
}
