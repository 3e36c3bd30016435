// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Worker processes of a keeper: start, stop, exit, messages, and finding those of a dead keeper. */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/trouble.h"
#include "host/cgroup.h"
#include "host/probe.h"
#include "host/procs.h"
#include "keeper/keeper.h"
#include "service/state.h"

#define WHY_BYTES 160
#define ADVICE_BYTES 64
#define PHASE "user.lbctl.phase" /* attribute of a process's cgroup */
/*
 * A service of one listener is its maps and a program. The keeper has one open to watch for stalls
 * and one to change it, and libbpf has as many again while it loads a program for a listener.
 */
#define RESERVED_FILES (3 * (MAP_COUNT + 1))

static uint64_t now_us(const struct keeper *keeper)
{
	uint64_t now = 0;

	sd_event_now(keeper->loop, CLOCK_MONOTONIC, &now);
	return now;
}

static void cgroup_name_of(uint32_t worker, uint32_t generation, char out[32])
{
	snprintf(out, 32, "w%u-%u", worker, generation);
}

void proc_free(struct proc *proc)
{
	char dir[PATH_MAX], name[32];

	if (!proc)
		return;
	sd_event_source_disable_unref(proc->exit_source);
	sd_event_source_disable_unref(proc->timer);
	sd_event_source_disable_unref(proc->watchdog);
	sd_event_source_disable_unref(proc->channel_source);
	close_fd(&proc->process.pidfd);
	close_fd(&proc->process.channel_fd);
	if (proc->cgroup_fd >= 0) {
		cgroup_name_of(proc->worker, proc->generation, name);
		if (snprintf(dir, sizeof(dir), "%s/%s", proc->keeper->cgroup_parent,
			     proc->keeper->cgroup_name) < (int)sizeof(dir))
			cgroup_remove(dir, name);
	}
	words_end(proc->keeper->words, proc->cgroup);
	if (proc->cgroup && proc->keeper->bindhooks)
		bindhook_remove_member(proc->keeper->bindhooks, proc->cgroup);
	close_fd(&proc->cgroup_fd);
	free(proc->line);
	free(proc);
}

static int on_process_exit(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	const struct timespec nap = { .tv_nsec = 1000 * 1000 };
	struct proc *proc = arg;
	siginfo_t info = { 0 };

	(void)source;
	(void)events;
	/* not our child: how it ended is not for us to know */
	if (waitid(P_PIDFD, fd, &info, WEXITED | WNOHANG)) {
		info.si_pid = 0;
	} else if (!info.si_pid) {
		/* who traces it is told first, and then we are */
		nanosleep(&nap, NULL);
		return 0;
	}
	keeper_proc_exited(proc, &info);
	return 0;
}

/* Everything that a running process needs, whoever started it. */
static int watch(struct proc *proc)
{
	int err = sd_event_add_io(proc->keeper->loop, &proc->exit_source, proc->process.pidfd,
				  EPOLLIN, on_process_exit, proc);

	return err < 0 ? err : proc_hear(proc);
}

static struct proc *proc_new(struct keeper *keeper, uint32_t worker, uint32_t generation)
{
	struct proc *proc = calloc(1, sizeof(*proc));
	char name[32], dir[PATH_MAX];

	if (!proc)
		return NULL;
	proc->keeper = keeper;
	proc->worker = worker;
	proc->generation = generation;
	proc->slot = -1;
	proc->process = (struct process){ .pidfd = -1, .channel_fd = -1 };
	proc->started = now_us(keeper);
	cgroup_name_of(worker, generation, name);
	if (snprintf(dir, sizeof(dir), "%s/%s", keeper->cgroup_parent, keeper->cgroup_name) >=
	    (int)sizeof(dir)) {
		free(proc);
		return NULL;
	}
	proc->cgroup_fd = cgroup_make(dir, name);
	if (proc->cgroup_fd >= 0)
		proc->cgroup = cgroup_id(proc->cgroup_fd);
	return proc;
}

static void why_not_ready(const struct proc *proc, char out[WHY_BYTES])
{
	uint8_t missing = proc->keeper->protos & ~proc->protos;
	const char *old = proc->keeper->bindhooks && !probe_features()->bind_setsockopt ?
				  " (before Linux 6.1 a program must set SO_REUSEADDR; else use "
				  "--listen ADDR)" :
				  "";

	if (missing & KEEPER_TCP)
		snprintf(out, WHY_BYTES, "listens on no TCP port that is shared%s", old);
	else if (missing)
		snprintf(out, WHY_BYTES, "has no socket on a UDP port that is shared%s", old);
	else
		snprintf(out, WHY_BYTES, "is not ready");
}

/* What to do for one that is not ready because its port is another; or "". */
static void udp_advice(const struct proc *proc, char out[ADVICE_BYTES])
{
	struct bindhooks *bindhooks = proc->keeper->bindhooks;
	uint16_t port = bindhooks ? bindhook_unshared_port(bindhooks, LB_BIND_UDP) : 0;

	*out = '\0';
	if (port && proc->protos != proc->keeper->protos)
		snprintf(out, ADVICE_BYTES, "; --port udp/%u shares the UDP port that it has",
			 port);
}

static int on_ready_timeout(sd_event_source *source, uint64_t usec, void *arg)
{
	struct proc *proc = arg;
	struct keeper *keeper = proc->keeper;
	char why[WHY_BYTES], advice[ADVICE_BYTES];

	(void)source;
	(void)usec;
	if (proc->online || proc->stopping)
		return 0;
	why_not_ready(proc, why);
	udp_advice(proc, advice);
	words_end(keeper->words, proc->cgroup);
	keeper_event(keeper, "timeout",
		     json_pack("{s:i, s:i}", "worker", proc->worker, "pid", proc->process.pid),
		     "worker %u (pid %d) %s after %lu ms%s", proc->worker, proc->process.pid, why,
		     (unsigned long)keeper->options.ready_timeout_ms, advice);
	/* a current one goes on: it may be slow. One that was adopted had its time before */
	if (keeper->workers[proc->worker].next == proc || proc->adopted)
		proc_stop(proc);
	else
		keeper_finish_operation(keeper, EXIT_FAILED, "worker %u (pid %d) %s; it goes on",
					proc->worker, proc->process.pid, why);
	return 0;
}

static const char *log_path(const struct keeper *keeper, uint32_t worker, char out[PATH_MAX])
{
	if (!keeper->options.log_dir)
		return NULL;
	snprintf(out, PATH_MAX, "%s/%s-%u.log", keeper->options.log_dir, keeper->options.name,
		 worker);
	return out;
}

/*
 * Descriptors are numbered from the lowest that is free: are few left above this one? The keeper
 * keeps some for itself, as one that can't even be asked helps nobody.
 */
static bool is_among_last(int fd)
{
	struct rlimit files;

	return !getrlimit(RLIMIT_NOFILE, &files) && fd + RESERVED_FILES >= (int64_t)files.rlim_cur;
}

struct proc *proc_start(struct keeper *keeper, uint32_t worker)
{
	struct proc *proc = proc_new(keeper, worker, ++keeper->generation);
	char notify[PATH_MAX], log[PATH_MAX];
	struct process_spec spec = {
		.argv = keeper->options.argv,
		.service = keeper->options.name,
		.worker = worker,
		.workers = keeper->wanted,
		.log_path = log_path(keeper, worker, log),
		.listen_fds = keeper->workers[worker].listen_fds,
		.nr_listen_fds = keeper->options.nr_listens,
		.user = keeper->options.user,
		.watchdog_ms = keeper->options.watchdog_ms,
		.die_with_parent = keeper->options.with_controller,
	};
	int err;

	if (!proc)
		return NULL;
	snprintf(notify, sizeof(notify), KEEPER_DIR "/%s.notify", keeper->options.name);
	spec.notify_path = keeper->notify_fd >= 0 ? notify : NULL;
	spec.cgroup_fd = proc->cgroup_fd;
	err = proc->cgroup_fd < 0 ? proc->cgroup_fd : 0;
	if (!err && is_among_last(proc->cgroup_fd))
		err = -EMFILE;
	if (!err && keeper->bindhooks)
		err = bindhook_add_member(keeper->bindhooks, proc->cgroup, worker);
	if (!err)
		words_begin(keeper->words, proc->cgroup);
	if (!err)
		err = process_start(&spec, &proc->process);
	if (!err)
		err = watch(proc);
	if (err) {
		keeper->exec_error = err;
		proc_free(proc);
		return NULL;
	}
	keeper_set_timer(keeper, &proc->timer, keeper->options.ready_timeout_ms, on_ready_timeout,
			 proc);
	return proc;
}

static int on_kill_timeout(sd_event_source *source, uint64_t usec, void *arg)
{
	struct proc *proc = arg;

	(void)source;
	(void)usec;
	keeper_event(proc->keeper, "kill",
		     json_pack("{s:i, s:i}", "worker", proc->worker, "pid", proc->process.pid),
		     "worker %u (pid %d) did not end within %lu ms of SIG%s: SIGKILL", proc->worker,
		     proc->process.pid, (unsigned long)proc->keeper->options.kill_timeout_ms,
		     sigabbrev_np(proc->told));
	proc_kill(proc);
	return 0;
}

/* What can't be killed would be waited for without end. */
void proc_kill(struct proc *proc)
{
	struct keeper *keeper = proc->keeper;
	int err = cgroup_kill(proc->cgroup_fd);

	if (err == -EPERM)
		err = process_signal(proc->process.pid, keeper->options.user, SIGKILL);
	if (!err)
		return;
	keeper_event(keeper, "trouble",
		     json_pack("{s:i, s:i}", "worker", proc->worker, "pid", proc->process.pid),
		     "worker %u (pid %d) can't be killed: %s%s", proc->worker, proc->process.pid,
		     strerror(-err), err == -EPERM ? "; CAP_KILL is missing" : "");
	if (keeper->stopping)
		sd_event_exit(keeper->loop, EXIT_NOT_ABLE);
}

void proc_stop(struct proc *proc)
{
	struct keeper *keeper = proc->keeper;

	if (proc->stopping)
		return;
	proc->stopping = true;
	proc->told = SIGTERM;
	if (process_signal(proc->process.pid, keeper->options.user, SIGTERM) == -EPERM)
		keeper_event(keeper, "trouble",
			     json_pack("{s:i, s:i}", "worker", proc->worker, "pid",
				       proc->process.pid),
			     "worker %u (pid %d) may not be sent SIGTERM: CAP_KILL is missing; "
			     "SIGKILL after %lu ms",
			     proc->worker, proc->process.pid,
			     (unsigned long)keeper->options.kill_timeout_ms);
	/* in this order: one that is only said to have been told would be killed in the end */
	proc_note(proc, PROC_TOLD);
	keeper_set_timer(keeper, &proc->timer, keeper->options.kill_timeout_ms, on_kill_timeout,
			 proc);
}

void proc_abort(struct proc *proc, const char *why)
{
	struct keeper *keeper = proc->keeper;

	if (proc->stopping || proc->told)
		return;
	proc->told = SIGABRT;
	keeper_drain(keeper, proc);
	keeper_event(keeper, "watchdog",
		     json_pack("{s:i, s:i}", "worker", proc->worker, "pid", proc->process.pid),
		     "worker %u (pid %d) %s: SIGABRT", proc->worker, proc->process.pid, why);
	process_signal(proc->process.pid, keeper->options.user, SIGABRT);
	proc_note(proc, PROC_TOLD);
	keeper_set_timer(keeper, &proc->timer, keeper->options.kill_timeout_ms, on_kill_timeout,
			 proc);
}

/* The file that it has for its standard output is not at the path any more. */
static bool log_was_renamed(const struct proc *proc)
{
	char path[PATH_MAX], fd[64];
	struct stat there, its;

	snprintf(fd, sizeof(fd), "/proc/%d/fd/1", proc->process.pid);
	if (!log_path(proc->keeper, proc->worker, path) || stat(fd, &its))
		return false;
	return stat(path, &there) || there.st_ino != its.st_ino || there.st_dev != its.st_dev;
}

void proc_check_logs(struct keeper *keeper)
{
	uint32_t workers = 0, renamed = 0;

	for (uint32_t i = 0; i < keeper->wanted; i++) {
		if (!keeper->workers[i].current)
			continue;
		workers++;
		renamed += log_was_renamed(keeper->workers[i].current);
	}
	keeper_event(keeper, "logs", json_pack("{s:i}", "renamed", renamed),
		     "%u of %u log files %s renamed%s", renamed, workers,
		     renamed == 1 ? "was" : "were",
		     renamed ? "; the workers write on there, and a reload opens new ones" : "");
}

/* The process whose parent is none of the others: the one that was started. */
static pid_t find_leader(const pid_t *pids, int n)
{
	uint64_t start, earliest = UINT64_MAX;
	pid_t leader = 0;

	for (int i = 0; i < n; i++) {
		if (pids[i] > 0 && !procs_start_time(pids[i], &start) && start < earliest) {
			earliest = start;
			leader = pids[i];
		}
	}
	return leader;
}

static const char *const phases[] = {
	[PROC_STARTS] = "starts", [PROC_READY] = "ready", [PROC_ONLINE] = "online",
	[PROC_LEAVES] = "leaves", [PROC_TOLD] = "told",
};
#define PHASES (sizeof(phases) / sizeof(phases[0]))

void proc_note(struct proc *proc, enum proc_phase phase)
{
	/* READY=1 may come when it is online already */
	if (phase <= proc->phase)
		return;
	proc->phase = phase;
	cgroup_note(proc->cgroup_fd, PHASE, phases[phase]);
}

static enum proc_phase read_phase(const struct proc *proc)
{
	size_t phase = 0;
	char note[16];

	cgroup_read_note(proc->cgroup_fd, PHASE, note, sizeof(note));
	while (phase < PHASES && strcmp(note, phases[phase]))
		phase++;
	return phase < PHASES ? phase : PROC_STARTS;
}

static struct proc *adopt_one(struct keeper *keeper, uint32_t worker, uint32_t generation)
{
	struct proc *proc = proc_new(keeper, worker, generation);
	_cleanup_free_ pid_t *pids = NULL;
	int n;

	if (!proc || proc->cgroup_fd < 0) {
		proc_free(proc);
		return NULL;
	}
	n = cgroup_pids(proc->cgroup_fd, &pids);
	proc->process.pid = n > 0 ? find_leader(pids, n) : 0;
	if (proc->process.pid)
		proc->process.pidfd = syscall(__NR_pidfd_open, proc->process.pid, 0);
	if (proc->process.pidfd < 0) {
		proc_free(proc);
		return NULL;
	}
	proc->adopted = true;
	proc->phase = read_phase(proc);
	proc->said_ready = proc->phase >= PROC_READY;
	proc->process.channel_fd = process_fetch_channel(proc->process.pid);
	if (keeper->bindhooks)
		bindhook_add_member(keeper->bindhooks, proc->cgroup, worker);
	if (watch(proc)) {
		proc_free(proc);
		return NULL;
	}
	if (proc->phase == PROC_TOLD) {
		proc->stopping = true;
		proc->told = SIGTERM;
		keeper_set_timer(keeper, &proc->timer, keeper->options.kill_timeout_ms,
				 on_kill_timeout, proc);
	} else if (proc->phase < PROC_LEAVES) {
		keeper_set_timer(keeper, &proc->timer, keeper->options.ready_timeout_ms,
				 on_ready_timeout, proc);
	}
	return proc;
}

/* Of two processes one leaves, or else the newer one is to take the older one's place. */
static void take_seat(struct keeper_worker *seat, struct proc *proc)
{
	if (proc->phase >= PROC_LEAVES && seat->leaving) {
		proc_stop(proc);
	} else if (proc->phase >= PROC_LEAVES) {
		seat->leaving = proc;
	} else if (!seat->current) {
		seat->current = proc;
	} else if (seat->current->generation < proc->generation) {
		seat->next = proc;
	} else {
		seat->next = seat->current;
		seat->current = proc;
	}
}

static void fetch_listeners(const struct keeper *keeper, struct keeper_worker *seat, pid_t pid)
{
	for (uint32_t i = 0; i < keeper->options.nr_listens; i++) {
		const struct keeper_listen *listen = &keeper->options.listens[i];

		if (seat->listen_fds[i] < 0)
			seat->listen_fds[i] =
				process_fetch_listener(pid, i, listen->proto, listen->port);
	}
}

uint32_t proc_adopt_all(struct keeper *keeper)
{
	_cleanup_closedir_ DIR *dir = opendir_at(keeper->cgroup_fd, ".");
	uint32_t worker, generation, found = 0;
	struct dirent *entry;
	struct proc *proc;

	while (dir && (entry = readdir(dir))) {
		if (sscanf(entry->d_name, "w%u-%u", &worker, &generation) != 2 ||
		    worker >= LB_MAX_WORKERS)
			continue;
		if (generation > keeper->generation)
			keeper->generation = generation;
		proc = adopt_one(keeper, worker, generation);
		if (!proc)
			continue;
		found++;
		take_seat(&keeper->workers[worker], proc);
		/* for whoever begins there next, or to be retired */
		keeper->workers[worker].restarts = 0;
		if (proc->phase < PROC_LEAVES)
			fetch_listeners(keeper, &keeper->workers[worker], proc->process.pid);
	}
	for (uint32_t i = 0; i < LB_MAX_WORKERS; i++) {
		/* it may not have said so when nobody listened; of two it is to show it */
		if (keeper->workers[i].current)
			keeper->workers[i].current->said_ready = true;
	}
	return found;
}
