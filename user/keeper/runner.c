// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See runner.h. */
#include "keeper/runner.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "host/cgroup.h"
#include "service/state.h"

#define CHILDREN_US 2000000    /* that killed children may take to go */
#define KILLED_US 5000000      /* and that all of a process may */
#define TRACED_US 1000	       /* until who traces it has been told; twice as long each time ... */
#define TRACED_MOST_US 1000000 /* ... up to this */
/*
 * A service of one listener is its maps and a program. The keeper has them open, its child that
 * changes the service has, and libbpf has as many again while it loads a program for a listener.
 */
#define RESERVED_FILES (3 * (MAP_COUNT + 1))

struct runner *runner_find(const struct runners *all, uint32_t worker, uint32_t generation)
{
	struct runner *runner = worker < LB_MAX_WORKERS ? all->of[worker] : NULL;

	while (runner && runner->generation != generation)
		runner = runner->next;
	return runner;
}

struct runner *runner_of_cgroup(const struct runners *all, uint64_t cgroup)
{
	struct runner *runner = all->by_cgroup[cgroup % RUNNER_BUCKETS];

	while (runner && runner->cgroup != cgroup)
		runner = runner->next_in_bucket;
	return cgroup ? runner : NULL;
}

static void add_to_bucket(struct runner *runner)
{
	struct runner **bucket = &runner->all->by_cgroup[runner->cgroup % RUNNER_BUCKETS];

	runner->next_in_bucket = *bucket;
	*bucket = runner;
}

static void take_from_bucket(struct runner *runner)
{
	struct runner **at = &runner->all->by_cgroup[runner->cgroup % RUNNER_BUCKETS];

	while (*at && *at != runner)
		at = &(*at)->next_in_bucket;
	if (*at)
		*at = runner->next_in_bucket;
}

static struct process *fact_of(const struct runner *runner)
{
	return plan_process(runner->all->plan, runner->worker, runner->generation);
}

static void cgroup_name_of(const struct runner *runner, char out[32])
{
	snprintf(out, 32, "w%u-%u", runner->worker, runner->generation);
}

/* --- its end --- */

static void note_exit(struct process *process, const siginfo_t *how)
{
	process->exited = true;
	process->status = how->si_pid && how->si_code == CLD_EXITED ? how->si_status : -1;
}

static void note_end(struct runner *runner)
{
	struct process *process = fact_of(runner);

	sd_event_source_set_enabled(runner->exit_source, SD_EVENT_OFF);
	sd_event_source_set_enabled(runner->empty_source, SD_EVENT_OFF);
	sd_event_source_set_enabled(runner->timer, SD_EVENT_OFF);
	sd_event_source_set_enabled(runner->killed_timer, SD_EVENT_OFF);
	turn_mark(runner->all->turn, TURN_DECIDE | TURN_LOOK);
	if (!process)
		runner_free(runner);
	else if (runner->start_error)
		process->start_error = runner->start_error;
	else
		note_exit(process, &runner->how);
}

static int on_empty(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct runner *runner = arg;
	char text[128];

	(void)source;
	(void)events;
	/* a read, so that the next change is told */
	if (pread(fd, text, sizeof(text), 0) < 0 || !cgroup_is_populated(runner->cgroup_fd))
		note_end(runner);
	return 0;
}

static int on_killed_timeout(sd_event_source *source, uint64_t usec, void *arg)
{
	struct runner *runner = arg;

	(void)source;
	(void)usec;
	runner->lives_on = !runner->ended;
	note_end(runner);
	return 0;
}

/*
 * What was killed counts as ended after a while: who traces it, or a file system that does not
 * answer, keeps it as long as he likes, and nothing may wait for that.
 */
static void await_killed(struct runner *runner, uint64_t us)
{
	if (!runner->killed_timer)
		sd_event_add_time_relative(runner->all->loop, &runner->killed_timer,
					   CLOCK_MONOTONIC, us, 0, on_killed_timeout, runner);
}

/*
 * Children that it left behind hold its sockets. Unasked they end with it, at once; what was told
 * to end may take its time, until the plan says SIGKILL.
 */
static void await_children(struct runner *runner)
{
	struct process *process = fact_of(runner);
	bool asked = process && process->state == LIFE_TERMINATING;
	int events_fd = cgroup_events(runner->cgroup_fd);

	if (asked) {
		process->main_ended = true;
		turn_mark(runner->all->turn, TURN_DECIDE);
	} else {
		runner->left_children = true;
		cgroup_kill(runner->cgroup_fd);
		await_killed(runner, CHILDREN_US);
	}
	if (sd_event_add_io(runner->all->loop, &runner->empty_source, events_fd, EPOLLPRI, on_empty,
			    runner) < 0)
		close_fd(&events_fd);
	else
		sd_event_source_set_io_fd_own(runner->empty_source, true);
	if (events_fd < 0 || !cgroup_is_populated(runner->cgroup_fd))
		note_end(runner);
}

/* Does the program run? Asked once more when it has ended, as the two may be told in any order. */
static void take_report(struct runner *runner)
{
	struct process *process = fact_of(runner);
	int error = 0;
	ssize_t n;

	if (runner->report_fd < 0)
		return;
	n = read(runner->report_fd, &error, sizeof(error));
	if (n < 0 && errno == EAGAIN)
		return;
	runner->report_source = sd_event_source_disable_unref(runner->report_source);
	close_fd(&runner->report_fd);
	/* the fact is told once it has ended, which it is about to */
	if (n == sizeof(error)) {
		runner->start_error = error ? error : -EIO;
		return;
	}
	if (process)
		process->executed = true;
	runner->all->started(runner->all->arg, runner);
	turn_mark(runner->all->turn, TURN_DECIDE);
}

static int on_traced_timeout(sd_event_source *source, uint64_t usec, void *arg)
{
	struct runner *runner = arg;

	(void)source;
	(void)usec;
	sd_event_source_set_enabled(runner->exit_source, SD_EVENT_ON);
	return 0;
}

/* Who traces it is told first, and then we are: unless he never takes note. */
static bool await_tracer(struct runner *runner)
{
	if (runner->traced_us >= TRACED_MOST_US)
		return false;
	runner->traced_us = runner->traced_us ? 2 * runner->traced_us : TRACED_US;
	sd_event_source_disable_unref(runner->timer);
	runner->timer = NULL;
	sd_event_add_time_relative(runner->all->loop, &runner->timer, CLOCK_MONOTONIC,
				   runner->traced_us, 0, on_traced_timeout, runner);
	return true;
}

static int on_process_exit(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct runner *runner = arg;

	(void)events;
	sd_event_source_set_enabled(source, SD_EVENT_OFF);
	/* not our child: how it ended is not for us to know */
	if (waitid(P_PIDFD, fd, &runner->how, WEXITED | WNOHANG))
		runner->how.si_pid = 0;
	else if (!runner->how.si_pid && await_tracer(runner))
		return 0;
	runner->timer = sd_event_source_disable_unref(runner->timer);
	runner->ended = true;
	take_report(runner);
	if (cgroup_is_populated(runner->cgroup_fd) > 0)
		await_children(runner);
	else
		note_end(runner);
	return 0;
}

/* --- its start --- */

static int on_report(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	(void)source;
	(void)fd;
	(void)events;
	take_report(arg);
	return 0;
}

static void on_message(void *arg, const char *line, const json_t *message)
{
	struct runner *runner = arg;

	runner->all->said(runner->all->arg, runner, line, message);
}

int runner_watch(struct runner *runner, int channel_fd)
{
	sd_event *loop = runner->all->loop;
	int err = sd_event_add_io(loop, &runner->exit_source, runner->pidfd, EPOLLIN,
				  on_process_exit, runner);

	if (err >= 0 && runner->report_fd >= 0)
		err = sd_event_add_io(loop, &runner->report_source, runner->report_fd, EPOLLIN,
				      on_report, runner);
	if (err >= 0 && channel_fd >= 0)
		err = channel_open(loop, channel_fd, on_message, runner, &runner->channel);
	if (err < 0 && !runner->channel)
		close_fd(&channel_fd);
	return err < 0 ? err : 0;
}

struct runner *runner_new(struct runners *all, uint32_t worker, uint32_t generation)
{
	struct runner *runner = calloc(1, sizeof(*runner));
	char name[32];

	if (!runner)
		return NULL;
	*runner = (struct runner){
		.all = all,
		.next = all->of[worker],
		.worker = worker,
		.generation = generation,
		.instance = UINT32_MAX,
		.pidfd = -1,
		.report_fd = -1,
		.slot = -1,
		.joined = -1,
	};
	all->of[worker] = runner;
	cgroup_name_of(runner, name);
	runner->cgroup_fd = cgroup_make(all->cgroup, name);
	if (runner->cgroup_fd >= 0)
		runner->cgroup = cgroup_id(runner->cgroup_fd);
	add_to_bucket(runner);
	return runner;
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

/* The lowest number that no living process has: so there are no more than there were processes. */
static uint32_t free_instance(const struct runners *all)
{
	static bool used[ROLES * LB_MAX_WORKERS + 1];
	uint32_t free = 0;

	memset(used, 0, sizeof(used));
	for (uint32_t w = 0; w < LB_MAX_WORKERS; w++) {
		for (const struct runner *runner = all->of[w]; runner; runner = runner->next) {
			if (runner->instance < sizeof(used))
				used[runner->instance] = true;
		}
	}
	while (free + 1 < sizeof(used) && used[free])
		free++;
	return free;
}

static void take_instance(struct runner *runner, struct spawn_spec *spec)
{
	char note[16];

	runner->instance = spec->instance = free_instance(runner->all);
	snprintf(note, sizeof(note), "%u", runner->instance);
	cgroup_note(runner->cgroup_fd, RUNNER_INSTANCE, note);
}

static int start(struct runner *runner, struct spawn_spec *spec)
{
	struct runners *all = runner->all;
	struct spawned spawned;
	int err = runner->cgroup_fd < 0 ? runner->cgroup_fd : 0;

	if (!err && is_among_last(runner->cgroup_fd))
		err = -EMFILE;
	if (!err && all->hooks)
		err = bindhook_add_member(all->hooks, runner->cgroup, runner->worker);
	spec->cgroup_fd = runner->cgroup_fd;
	take_instance(runner, spec);
	if (!err)
		err = spawn_start(spec, &spawned);
	if (err)
		return err;
	runner->pid = spawned.pid;
	runner->pidfd = spawned.pidfd;
	runner->report_fd = spawned.report_fd;
	err = runner_watch(runner, spawned.channel_fd);
	if (err)
		runner_kill(runner);
	return err;
}

struct runner *runner_start(struct runners *all, struct spawn_spec *spec, uint32_t generation)
{
	struct runner *runner = runner_new(all, spec->worker, generation);
	struct process *process = plan_process(all->plan, spec->worker, generation);
	int err = runner ? start(runner, spec) : -ENOMEM;

	if (err && runner)
		runner->start_error = err;
	if (err && process)
		process->start_error = err;
	if (err)
		turn_mark(all->turn, TURN_DECIDE);
	return runner;
}

void runner_free(struct runner *runner)
{
	struct runners *all = runner->all;
	struct runner **at = &all->of[runner->worker];
	char name[32];

	while (*at && *at != runner)
		at = &(*at)->next;
	if (*at)
		*at = runner->next;
	take_from_bucket(runner);
	sd_event_source_disable_unref(runner->report_source);
	sd_event_source_disable_unref(runner->exit_source);
	sd_event_source_disable_unref(runner->empty_source);
	sd_event_source_disable_unref(runner->timer);
	sd_event_source_disable_unref(runner->killed_timer);
	channel_close(runner->channel);
	close_fd(&runner->report_fd);
	close_fd(&runner->pidfd);
	if (runner->cgroup_fd >= 0) {
		cgroup_name_of(runner, name);
		cgroup_remove(all->cgroup, name);
	}
	if (runner->cgroup && all->hooks)
		bindhook_remove_member(all->hooks, runner->cgroup);
	close_fd(&runner->cgroup_fd);
	free(runner);
}

/* --- what is done to it --- */

void runner_mark(const struct runner *runner, enum lifecycle state)
{
	cgroup_note(runner->cgroup_fd, RUNNER_STATE, lifecycle_name(state));
}

int runner_signal(const struct runner *runner, int signal_number, enum kill_mode mode)
{
	return spawn_signal(runner->pid, mode == KILL_GROUP, runner->all->user, signal_number);
}

void runner_signal_rest(const struct runner *runner, int signal_number)
{
	_cleanup_free_ pid_t *pids = NULL;
	int n = cgroup_pids(runner->cgroup_fd, &pids);

	for (int i = 0; i < n; i++)
		spawn_signal(pids[i], false, runner->all->user, signal_number);
}

int runner_signal_alone(const struct runner *runner, int signal_number)
{
	return syscall(SYS_pidfd_send_signal, runner->pidfd, signal_number, NULL, 0) ? -errno : 0;
}

int runner_kill(struct runner *runner)
{
	int err = cgroup_kill(runner->cgroup_fd);

	if (err == -EPERM)
		err = spawn_signal(runner->pid, true, runner->all->user, SIGKILL);
	await_killed(runner, KILLED_US);
	return err == -ESRCH ? 0 : err;
}
