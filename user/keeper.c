// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See keeper.h: the loop, the next step, and what happens when a worker ends. */
#include "keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "cgroup.h"
#include "cleanup.h"
#include "detach.h"
#include "state.h"
#include "trouble.h"

#define FIRST_BACKOFF_MS 100
#define MOST_BACKOFF_MS 10000
/* An exit later than this after the start does not count as a failure to start. */
#define STEADY_US 10000000ULL
/* Sockets are looked for when a worker listens; and now and then, should that be missed. */
#define SYNC_US 1000000ULL

void keeper_event(struct keeper *keeper, const char *type, json_t *details, const char *format, ...)
{
	char text[1024], stamp[16];
	json_t *event = details ? details : json_object();
	time_t now = time(NULL);
	struct tm local;
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	strftime(stamp, sizeof(stamp), "%H:%M:%S", localtime_r(&now, &local));
	printf("%s %s\n", stamp, text);
	fflush(stdout);
	json_object_set_new(event, "event", json_string(type));
	json_object_set_new(event, "time", json_integer(now));
	json_object_set_new(event, "text", json_string(text));
	control_publish(keeper, event);
	json_decref(event);
}

void keeper_finish_operation(struct keeper *keeper, int status, const char *format, ...)
{
	struct operation operation = keeper->operation;
	char text[512];
	va_list args;

	if (!operation.verb)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	keeper->operation = (struct operation){ 0 };
	keeper_event(keeper, operation.verb, json_pack("{s:i}", "status", status), "%s %s: %s",
		     operation.verb, status ? "failed" : "done", text);
	if (operation.client)
		control_reply(operation.client, status, text);
}

static int on_restart_timer(sd_event_source *source, uint64_t usec, void *arg)
{
	(void)source;
	(void)usec;
	keeper_step(arg);
	return 0;
}

static bool restart_is_pending(struct keeper_worker *seat)
{
	int enabled = SD_EVENT_OFF;

	if (seat->restart_timer)
		sd_event_source_get_enabled(seat->restart_timer, &enabled);
	return enabled != SD_EVENT_OFF;
}

/* With every worker given up there is nothing left to keep. */
static void give_up_together(struct keeper *keeper)
{
	for (uint32_t i = 0; i < keeper->wanted; i++) {
		if (!keeper->workers[i].gave_up)
			return;
	}
	keeper_event(keeper, "failed", NULL,
		     "no worker stays up: the command ends as soon as it is started%s%s",
		     keeper->options.log_dir ? "; its output is in " : "",
		     keeper->options.log_dir ? keeper->options.log_dir : "");
	sd_event_exit(keeper->loop, EXIT_FAILED);
}

/* Exponential back-off, until --max-restarts. */
static void plan_restart(struct keeper *keeper, uint32_t worker)
{
	struct keeper_worker *seat = &keeper->workers[worker];
	uint64_t ms = FIRST_BACKOFF_MS;

	for (uint32_t i = 1; i < seat->failures && ms < MOST_BACKOFF_MS; i++)
		ms *= 2;
	if (ms > MOST_BACKOFF_MS)
		ms = MOST_BACKOFF_MS;
	if (seat->failures > keeper->options.max_restarts) {
		seat->gave_up = true;
		keeper_close_listeners(keeper, worker);
		keeper_event(keeper, "gave-up", json_pack("{s:i}", "worker", worker),
			     "worker %u ended %u times in a row: given up; lbctl restart %s %u "
			     "tries again",
			     worker, seat->failures, keeper->options.name, worker);
		give_up_together(keeper);
		return;
	}
	sd_event_source_disable_unref(seat->restart_timer);
	seat->restart_timer = NULL;
	sd_event_add_time_relative(keeper->loop, &seat->restart_timer, CLOCK_MONOTONIC, ms * 1000,
				   0, on_restart_timer, keeper);
}

static void describe_exit(const struct proc *proc, const siginfo_t *info, char *out, size_t len)
{
	if (!info->si_pid)
		snprintf(out, len, "ended");
	else if (info->si_code == CLD_EXITED)
		snprintf(out, len, "exited with status %d", info->si_status);
	else
		snprintf(out, len, "killed by SIG%s",
			 sigabbrev_np(info->si_status) ? sigabbrev_np(info->si_status) : "?");
	(void)proc;
}

static void forget(struct keeper_worker *seat, const struct proc *proc)
{
	if (seat->current == proc)
		seat->current = NULL;
	if (seat->next == proc)
		seat->next = NULL;
	if (seat->leaving == proc)
		seat->leaving = NULL;
}

void keeper_proc_exited(struct proc *proc, const siginfo_t *info)
{
	struct keeper *keeper = proc->keeper;
	uint32_t worker = proc->worker;
	struct keeper_worker *seat = &keeper->workers[worker];
	bool was_next = seat->next == proc, was_current = seat->current == proc;
	bool unasked = !proc->stopping && !keeper->stopping;
	uint64_t now = 0;
	char how[64];

	sd_event_now(keeper->loop, CLOCK_MONOTONIC, &now);
	describe_exit(proc, info, how, sizeof(how));
	/* children that it left behind hold its sockets */
	cgroup_signal(proc->cgroup_fd, SIGKILL);
	seat->failures = now - proc->started > STEADY_US ? 1 : seat->failures + 1;
	if (was_current && keeper->options.nr_listens && unasked)
		keeper_drain(keeper, proc);
	keeper_event(keeper, "exit",
		     json_pack("{s:i, s:i, s:s, s:b}", "worker", worker, "pid", proc->process.pid,
			       "how", how, "unasked", unasked),
		     "worker %u (pid %d) %s", worker, proc->process.pid, how);
	forget(seat, proc);
	if (was_next && keeper->operation.verb)
		keeper_finish_operation(keeper, EXIT_FAILED,
					"new worker %u %s before it was ready; %u of %u workers "
					"still run the old version",
					worker, how, keeper->wanted - worker, keeper->wanted);
	if (was_next)
		for (uint32_t i = 0; i < keeper->wanted; i++)
			keeper->workers[i].renew = false;
	if (was_current && unasked)
		plan_restart(keeper, worker);
	proc_free(proc);
	keeper_sync(keeper);
	keeper_step(keeper);
}

static void step_online(struct keeper *keeper, struct proc *proc)
{
	if (!proc || proc->online || proc->slot < 0 ||
	    (keeper->options.wait_ready && !proc->said_ready))
		return;
	proc->online = true;
	sd_event_source_disable_unref(proc->timer);
	proc->timer = NULL;
	keeper_resume(keeper, proc);
	keeper_event(keeper, "online",
		     json_pack("{s:i, s:i, s:i}", "worker", proc->worker, "pid", proc->process.pid,
			       "slot", proc->slot),
		     "worker %u (pid %d) is online", proc->worker, proc->process.pid);
}

static void leave(struct keeper *keeper, struct keeper_worker *seat)
{
	struct proc *proc = seat->current;

	/* with --listen old and new process share the socket: nothing to drain */
	if (!keeper->options.nr_listens)
		keeper_drain(keeper, proc);
	seat->current = NULL;
	seat->leaving = proc;
	proc_stop(proc);
}

/* The sockets of --listen are there before the process and pass from one to the next. */
static void inherit_slot(const struct keeper *keeper, struct proc *next, const struct proc *current)
{
	if (keeper->options.nr_listens && next && current)
		next->slot = current->slot;
}

static void start_worker(struct keeper *keeper, uint32_t worker)
{
	struct keeper_worker *seat = &keeper->workers[worker];
	int err = keeper_make_listeners(keeper, worker);
	struct proc *proc = err ? NULL : proc_start(keeper, worker);

	if (!proc) {
		if (err)
			keeper->exec_error = err;
		seat->failures++;
		plan_restart(keeper, worker);
		return;
	}
	inherit_slot(keeper, proc, seat->current);
	if (seat->current)
		seat->next = proc;
	else
		seat->current = proc;
	if (seat->failures && !seat->next) {
		seat->restarts++;
		keeper_note_restart(keeper, worker);
	}
	keeper_event(keeper, "start",
		     json_pack("{s:i, s:i}", "worker", worker, "pid", proc->process.pid),
		     "worker %u started, pid %d", worker, proc->process.pid);
	if (keeper->options.nr_listens)
		keeper_sync(keeper);
}

/* Rolling: one new process at a time, and the next only when this one is online. */
static bool step_renewal(struct keeper *keeper, uint32_t worker)
{
	struct keeper_worker *seat = &keeper->workers[worker];

	if (seat->next && seat->next->online) {
		leave(keeper, seat);
		seat->current = seat->next;
		seat->next = NULL;
		seat->renew = false;
	} else if (seat->renew && !seat->next && seat->current && !seat->leaving) {
		start_worker(keeper, worker);
	} else if (seat->renew && !seat->current && !seat->next) {
		seat->renew = false;
	}
	return seat->renew || seat->next;
}

static void step_wanted(struct keeper *keeper, uint32_t worker)
{
	struct keeper_worker *seat = &keeper->workers[worker];

	step_online(keeper, seat->current);
	step_online(keeper, seat->next);
	if (!seat->current && !seat->next && !seat->gave_up && !restart_is_pending(seat))
		start_worker(keeper, worker);
}

/* Returns whether something of the worker is still there. */
static bool step_unwanted(struct keeper *keeper, uint32_t worker)
{
	struct keeper_worker *seat = &keeper->workers[worker];
	bool had = seat->current || seat->next || seat->leaving;

	if (seat->next) {
		proc_stop(seat->next);
	} else if (seat->current) {
		keeper_drain(keeper, seat->current);
		keeper_close_listeners(keeper, worker);
		leave(keeper, seat);
	}
	if (!had && seat->restarts != UINT32_MAX) {
		keeper_retire(keeper, worker);
		seat->restarts = UINT32_MAX;
	}
	seat->failures = 0;
	seat->gave_up = false;
	return had;
}

static void finish_when_done(struct keeper *keeper, bool busy)
{
	uint32_t online = 0;

	for (uint32_t i = 0; i < keeper->wanted; i++) {
		online += keeper->workers[i].current && keeper->workers[i].current->online;
		busy |= keeper->workers[i].leaving != NULL;
	}
	if (!keeper->operation.verb || busy || online < keeper->wanted)
		return;
	keeper_finish_operation(keeper, EXIT_DONE, "%u workers are online", online);
}

void keeper_step(struct keeper *keeper)
{
	bool busy = false, renewing = false;

	if (keeper->stopping) {
		for (uint32_t i = 0; i < LB_MAX_WORKERS; i++)
			busy |= keeper->workers[i].current || keeper->workers[i].next ||
				keeper->workers[i].leaving;
		if (!busy)
			sd_event_exit(keeper->loop, 0);
		return;
	}
	for (uint32_t i = 0; i < keeper->wanted; i++) {
		step_wanted(keeper, i);
		if (!renewing)
			renewing = step_renewal(keeper, i);
	}
	for (uint32_t i = keeper->wanted; i < LB_MAX_WORKERS; i++)
		busy |= step_unwanted(keeper, i);
	finish_when_done(keeper, busy || renewing);
}

static void stop_all(struct keeper *keeper, bool force)
{
	keeper->stopping = true;
	for (uint32_t i = 0; i < LB_MAX_WORKERS; i++) {
		struct keeper_worker *seat = &keeper->workers[i];
		struct proc *procs[] = { seat->current, seat->next, seat->leaving };

		sd_event_source_disable_unref(seat->restart_timer);
		seat->restart_timer = NULL;
		keeper_close_listeners(keeper, i);
		for (size_t j = 0; j < 3; j++) {
			if (procs[j] && force)
				cgroup_signal(procs[j]->cgroup_fd, SIGKILL);
			else if (procs[j])
				proc_stop(procs[j]);
		}
	}
	keeper_step(keeper);
}

void keeper_stop(struct keeper *keeper)
{
	bool again = keeper->stopping;

	if (!again)
		keeper_event(keeper, "stop", NULL, "stopping; once more ends it at once");
	sd_notify(0, "STOPPING=1");
	stop_all(keeper, again);
}

void keeper_renew_all(struct keeper *keeper)
{
	for (uint32_t i = 0; i < keeper->wanted; i++) {
		keeper->workers[i].renew = keeper->workers[i].current != NULL;
		keeper->workers[i].gave_up = false;
		keeper->workers[i].failures = 0;
	}
	keeper_step(keeper);
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *arg)
{
	struct keeper *keeper = arg;

	(void)source;
	if (info->ssi_signo == SIGHUP && isatty(0))
		keeper_event(keeper, "hangup", NULL, "the terminal is gone; workers go on");
	else if (info->ssi_signo == SIGHUP)
		keeper_renew_all(keeper);
	else if (info->ssi_signo != SIGPIPE && info->ssi_signo != SIGUSR1)
		keeper_stop(keeper);
	return 0;
}

static int on_listen(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct keeper *keeper = arg;

	(void)source;
	(void)fd;
	(void)events;
	adopt_drain(keeper->adopter);
	keeper_sync(keeper);
	keeper_step(keeper);
	return 0;
}

static int on_sync_timer(sd_event_source *source, uint64_t usec, void *arg)
{
	struct keeper *keeper = arg;

	(void)usec;
	sd_event_source_set_time_relative(source, SYNC_US);
	sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	if (!keeper->stopping) {
		keeper_sync_if_changed(keeper);
		keeper_step(keeper);
	}
	return 0;
}

/* READY=1 from a worker: whose it is, its cgroup says. */
static int on_notify(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	char text[1024], control[CMSG_SPACE(sizeof(struct ucred))];
	struct iovec part = { .iov_base = text, .iov_len = sizeof(text) - 1 };
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = control,
				  .msg_controllen = sizeof(control) };
	struct keeper *keeper = arg;
	struct ucred *sender = NULL;
	ssize_t n = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	(void)source;
	(void)events;
	if (n <= 0)
		return 0;
	text[n] = '\0';
	for (struct cmsghdr *part_of = CMSG_FIRSTHDR(&message); part_of;
	     part_of = CMSG_NXTHDR(&message, part_of)) {
		if (part_of->cmsg_level == SOL_SOCKET && part_of->cmsg_type == SCM_CREDENTIALS)
			sender = (struct ucred *)CMSG_DATA(part_of);
	}
	for (uint32_t i = 0; sender && i < LB_MAX_WORKERS; i++) {
		struct keeper_worker *seat = &keeper->workers[i];
		struct proc *procs[] = { seat->current, seat->next };

		for (size_t j = 0; j < 2; j++) {
			if (procs[j] && procs[j]->process.pid == sender->pid &&
			    strstr(text, "READY=1"))
				procs[j]->said_ready = true;
		}
	}
	keeper_sync(keeper);
	keeper_step(keeper);
	return 0;
}

static int open_notify(struct keeper *keeper)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const int on = 1;

	if (fd < 0)
		return -errno;
	if (snprintf(at.sun_path, sizeof(at.sun_path), KEEPER_DIR "/%s.notify",
		     keeper->options.name) >= (int)sizeof(at.sun_path))
		return -ENAMETOOLONG;
	unlink(at.sun_path);
	if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) ||
	    bind(fd, (struct sockaddr *)&at, sizeof(at)) || chmod(at.sun_path, 0666))
		return -errno;
	keeper->notify_fd = fd_steal(&fd);
	return sd_event_add_io(keeper->loop, NULL, keeper->notify_fd, EPOLLIN, on_notify, keeper);
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

/* One keeper a service. The lock goes with its holder. */
static int take_lock(struct keeper *keeper)
{
	char path[128], pid[16] = "";
	ssize_t n;

	if (mkdir(KEEPER_DIR, 0755) && errno != EEXIST)
		return say(keeper->options.name, EXIT_NOT_ABLE, KEEPER_DIR ": %s", strerror(errno));
	snprintf(path, sizeof(path), KEEPER_DIR "/%s.lock", keeper->options.name);
	keeper->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (keeper->lock_fd < 0)
		return say(keeper->options.name, EXIT_NOT_ABLE, "%s: %s", path, strerror(errno));
	if (flock(keeper->lock_fd, LOCK_EX | LOCK_NB)) {
		n = read(keeper->lock_fd, pid, sizeof(pid) - 1);
		return say(keeper->options.name, EXIT_FAILED,
			   "the name is in use: lbctl run (pid %.*s) keeps that service; take "
			   "another --name, or lbctl stop %s",
			   n > 0 ? (int)n : 1, n > 0 ? pid : "?", keeper->options.name);
	}
	snprintf(pid, sizeof(pid), "%d", getpid());
	if (ftruncate(keeper->lock_fd, 0) || pwrite(keeper->lock_fd, pid, strlen(pid), 0) < 0)
		return EXIT_FAILED;
	return EXIT_DONE;
}

/*
 * The cgroup of an earlier keeper of this service, if there is one, else a new one below our own.
 * Where it is stands in a file, as the next keeper may be started elsewhere.
 */
static int open_cgroup(struct keeper *keeper)
{
	char path[128], parent[PATH_MAX];
	_cleanup_fclose_ FILE *file = NULL;
	struct stat st;
	int err;

	snprintf(keeper->cgroup_name, sizeof(keeper->cgroup_name), "lbctl-%s",
		 keeper->options.name);
	snprintf(path, sizeof(path), KEEPER_DIR "/%s.cgroup", keeper->options.name);
	file = fopen(path, "re");
	if (file && fgets(parent, sizeof(parent), file)) {
		parent[strcspn(parent, "\n")] = '\0';
		if (!stat(parent, &st))
			strcpy(keeper->cgroup_parent, parent);
	}
	err = *keeper->cgroup_parent ? 0 : cgroup_own(keeper->cgroup_parent);
	if (err)
		return say(keeper->options.name, EXIT_NOT_ABLE,
			   "no cgroup v2: mount one (mount -t cgroup2 none /sys/fs/cgroup), or "
			   "start the workers yourself and use lbctl attach");
	keeper->cgroup_fd = cgroup_make(keeper->cgroup_parent, keeper->cgroup_name);
	if (keeper->cgroup_fd < 0)
		return say(keeper->options.name, EXIT_NOT_ABLE,
			   "can't make a cgroup in %s: %s; run as root, or in a unit with "
			   "Delegate=yes",
			   keeper->cgroup_parent, strerror(-keeper->cgroup_fd));
	if (file)
		fclose(file);
	file = fopen(path, "we");
	if (file)
		fprintf(file, "%s\n", keeper->cgroup_parent);
	return EXIT_DONE;
}

/* The port that the workers of an earlier keeper share; they do not bind it again. */
static uint16_t port_in_use(const char *name)
{
	struct state state;
	uint16_t port = 0;

	if (state_open(&state, name, STATE_READ))
		return 0;
	if (state.config->nr_listeners)
		port = state.config->listeners[0].port;
	state_close(&state);
	return port;
}

static int open_adopter(struct keeper *keeper)
{
	int err;

	if (keeper->options.nr_listens)
		return EXIT_DONE;
	keeper->options.rules.first = port_in_use(keeper->options.name);
	err = adopt_open(keeper->cgroup_fd, &keeper->options.rules, &keeper->adopter);
	if (err == -EPERM)
		return say(keeper->options.name, EXIT_NOT_ABLE,
			   "may not load BPF programs: CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON are "
			   "needed; run as root (see lbctl doctor)");
	if (err)
		return say(keeper->options.name, EXIT_NOT_ABLE,
			   "this kernel can't share a port between programs that do not ask for "
			   "it (needs 6.1); use --listen ADDR");
	return EXIT_DONE;
}

static int add_sources(struct keeper *keeper)
{
	const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGPIPE };
	sigset_t set;
	int err = 0;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaddset(&set, signals[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]) && err >= 0; i++)
		err = sd_event_add_signal(keeper->loop, NULL, signals[i], on_signal, keeper);
	if (err >= 0 && keeper->adopter)
		err = sd_event_add_io(keeper->loop, NULL, adopt_fd(keeper->adopter), EPOLLIN,
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
		status = open_cgroup(keeper);
	if (!status && keeper->options.argv)
		status = open_adopter(keeper);
	if (status)
		return status;
	err = sd_event_new(&keeper->loop);
	if (err >= 0)
		err = add_sources(keeper);
	if (err >= 0 && keeper->options.argv)
		err = open_notify(keeper);
	if (err >= 0)
		err = control_open(keeper);
	if (err < 0)
		return say(keeper->options.name, EXIT_FAILED, "%s", strerror(-err));
	return EXIT_DONE;
}

static void remove_file(const struct keeper *keeper, const char *ending)
{
	char path[128];

	snprintf(path, sizeof(path), KEEPER_DIR "/%s.%s", keeper->options.name, ending);
	unlink(path);
}

/*
 * Stopped: what a run had goes with it. A watched service stays as it is, and a keeper that could
 * not begin leaves everything to the living workers.
 */
static void close_all(struct keeper *keeper, bool ran)
{
	struct trouble trouble;

	if (keeper->loop)
		control_close(keeper);
	if (ran && keeper->options.argv) {
		detach_run(keeper->options.name, &trouble);
		cgroup_remove(keeper->cgroup_parent, keeper->cgroup_name);
		remove_file(keeper, "cgroup");
		remove_file(keeper, "notify");
	}
	if (ran)
		remove_file(keeper, "lock");
	adopt_close(keeper->adopter);
	close_fd(&keeper->cgroup_fd);
	close_fd(&keeper->notify_fd);
	close_fd(&keeper->lock_fd);
	sd_event_unref(keeper->loop);
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
		printf("%s: %u living workers found, they go on\n", options->name, adopted);
	printf("%s: %u workers of %s; ", options->name, keeper->wanted, options->argv[0]);
	if (options->nr_listens)
		printf("each gets a listening socket of its own (LISTEN_FDS)\n");
	else if (options->rules.nr_ports)
		printf("the ports of --port are shared\n");
	else
		printf("the first TCP port that one binds is shared (--port names others)\n");
	fflush(stdout);
}

/* The command itself can't be started: say so once, as a shell does, instead of trying on. */
static int exec_failed(struct keeper *keeper)
{
	const char *command = keeper->options.argv[0];
	int err = keeper->exec_error;

	if (err == -ENOENT)
		return say(keeper->options.name, 127, "%s: command not found", command);
	if (err == -EACCES || err == -ENOEXEC)
		return say(keeper->options.name, 126, "%s: not executable", command);
	if (err == -EADDRINUSE)
		return say(
			keeper->options.name, EXIT_FAILED,
			"the address of --listen is taken by a socket of another user or without "
			"SO_REUSEPORT; lbctl scan and ss -ltnp show whose it is");
	return say(keeper->options.name, EXIT_FAILED, "can't start %s: %s", command,
		   strerror(-err));
}

static bool nothing_runs(const struct keeper *keeper)
{
	for (uint32_t i = 0; i < LB_MAX_WORKERS; i++) {
		if (keeper->workers[i].current)
			return false;
	}
	return true;
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
	keeper->cgroup_fd = keeper->lock_fd = keeper->control_fd = keeper->notify_fd = -1;
	for (uint32_t i = 0; i < LB_MAX_WORKERS; i++) {
		for (uint32_t j = 0; j < LB_MAX_LISTENERS; j++)
			keeper->workers[i].listen_fds[j] = -1;
		keeper->workers[i].restarts = UINT32_MAX;
	}
	status = open_all(keeper);
	if (status) {
		close_all(keeper, false);
		free(keeper);
		return status;
	}
	adopted = options->argv ? proc_adopt_all(keeper) : 0;
	print_start(keeper, adopted);
	keeper_sync(keeper);
	for (uint32_t i = 0; i < keeper->wanted; i++)
		keeper->workers[i].restarts = 0;
	keeper_step(keeper);
	if (keeper->exec_error && nothing_runs(keeper)) {
		status = exec_failed(keeper);
	} else {
		sd_notify(0, "READY=1");
		status = sd_event_loop(keeper->loop);
		status = status < 0 ? EXIT_FAILED : status;
	}
	close_all(keeper, true);
	free(keeper);
	return status;
}
