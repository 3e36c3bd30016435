// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What workers say through NOTIFY_SOCKET, in the words of sd_notify(3): READY=1, STOPPING=1,
 * WATCHDOG=1. Whoever sends is known by its credentials.
 */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "host/cgroup.h"
#include "keeper/keeper.h"

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83 /* <linux/socket.h>, Linux 6.16 */
#endif

#define MOST_A_TURN 64 /* messages; who sends without end must not starve the others */

static bool is_member(const struct proc *proc, pid_t pid)
{
	_cleanup_free_ pid_t *pids = NULL;
	int n = cgroup_pids(proc->cgroup_fd, &pids);

	for (int i = 0; i < n; i++) {
		if (pids[i] == pid)
			return true;
	}
	return false;
}

/* "0::/.../lbctl-web/w3-7" is the seventh process of all, and worker 3. */
static bool read_place(const struct keeper *keeper, pid_t pid, uint32_t *worker,
		       uint32_t *generation)
{
	_cleanup_fclose_ FILE *file = NULL;
	_cleanup_free_ char *line = NULL;
	char path[32], *at;
	size_t room = 0;

	snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
	file = fopen(path, "re");
	while (file && getline(&line, &room, file) > 0) {
		at = strncmp(line, "0::", 3) ? NULL : strstr(line, keeper->cgroup_name);
		if (at &&
		    sscanf(at + strlen(keeper->cgroup_name), "/w%u-%u", worker, generation) == 2)
			return *worker < LB_MAX_WORKERS;
	}
	return false;
}

/* A process of ours, or one that it started: a shell or npm stands in front of many servers. */
static struct proc *sender_of(struct keeper *keeper, pid_t pid)
{
	uint32_t worker, generation;

	if (!read_place(keeper, pid, &worker, &generation))
		return NULL;
	for (size_t i = 0; i < 3; i++) {
		struct keeper_worker *seat = &keeper->workers[worker];
		struct proc *procs[] = { seat->current, seat->next, seat->leaving };

		/* whatever cgroup someone else may call so is not that one */
		if (procs[i] && procs[i]->generation == generation && is_member(procs[i], pid))
			return procs[i];
	}
	return NULL;
}

static void say_stopping(struct proc *proc)
{
	if (proc->says_stopping || proc->stopping || proc->keeper->stopping)
		return;
	proc->says_stopping = true;
	keeper_drain(proc->keeper, proc);
	keeper_event(proc->keeper, "stopping",
		     json_pack("{s:i, s:i}", "worker", proc->worker, "pid", proc->process.pid),
		     "worker %u (pid %d) says that it stops: it gets no more %s", proc->worker,
		     proc->process.pid, keeper_traffic(proc->keeper));
}

/* Returns whether it became ready. */
static bool take_line(struct proc *proc, const char *line)
{
	if (!strcmp(line, "WATCHDOG=1"))
		sd_event_now(proc->keeper->loop, CLOCK_MONOTONIC, &proc->pinged);
	if (!strcmp(line, "WATCHDOG=trigger"))
		proc_abort(proc, "sent WATCHDOG=trigger");
	if (!strcmp(line, "STOPPING=1"))
		say_stopping(proc);
	if (strcmp(line, "READY=1") || proc->said_ready)
		return false;
	proc->said_ready = true;
	proc_note(proc, PROC_READY);
	return true;
}

static pid_t pid_of(const struct msghdr *message)
{
	struct cmsghdr *part = CMSG_FIRSTHDR(message);

	for (; part; part = CMSG_NXTHDR((struct msghdr *)message, part)) {
		if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_CREDENTIALS)
			return ((struct ucred *)CMSG_DATA(part))->pid;
	}
	return 0;
}

/* Returns false when there is no message. */
static bool take_message(struct keeper *keeper, bool *ready)
{
	char text[1024], control[CMSG_SPACE(sizeof(struct ucred))], *rest = text, *line;
	struct iovec part = { .iov_base = text, .iov_len = sizeof(text) - 1 };
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = control,
				  .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(keeper->notify_fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct proc *proc;

	if (n < 0)
		return false;
	text[n] = '\0';
	proc = sender_of(keeper, pid_of(&message));
	while (proc && (line = strsep(&rest, "\n")))
		*ready |= take_line(proc, line);
	return true;
}

static void take_messages(struct keeper *keeper)
{
	bool ready = false;

	for (int i = 0; i < MOST_A_TURN && take_message(keeper, &ready); i++)
		continue;
	if (!ready)
		return;
	keeper_sync(keeper);
	keeper_step(keeper);
}

static int on_notify(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	(void)source;
	(void)fd;
	(void)events;
	take_messages(arg);
	return 0;
}

/*
 * A worker may become whom it likes, so everybody may send; who sent tells whom it is from. A
 * worker that --user has made somebody stays that. To drop a descriptor that came along can block,
 * as its sender likes: a socket that lingers.
 */
static int let_in(const struct keeper *keeper, const char *path)
{
	const char *user = keeper->options.user;
	const struct passwd *entry = user ? getpwnam(user) : NULL;

	/* in this order: to change the mode of another user's file takes CAP_FOWNER */
	if (entry && !chmod(path, 0600) && !chown(path, entry->pw_uid, -1))
		return 0;
	return chmod(path, 0666);
}

int keeper_open_notify(struct keeper *keeper)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	char path[KEEPER_PATH_BYTES];
	const int on = 1, off = 0;

	if (fd < 0)
		return -errno;
	keeper_path(keeper->options.name, "notify", path);
	if (snprintf(at.sun_path, sizeof(at.sun_path), "%s", path) >= (int)sizeof(at.sun_path))
		return -ENAMETOOLONG;
	unlink(at.sun_path);
	if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) ||
	    bind(fd, (struct sockaddr *)&at, sizeof(at)) || let_in(keeper, at.sun_path))
		return -errno;
	/* before Linux 6.16 it fails, and who may send may send descriptors, too */
	setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &off, sizeof(off));
	keeper->notify_fd = fd_steal(&fd);
	return sd_event_add_io(keeper->loop, NULL, keeper->notify_fd, EPOLLIN, on_notify, keeper);
}

/* --- the watchdog --- */

static int on_watchdog(sd_event_source *source, uint64_t due, void *arg)
{
	struct proc *proc = arg;
	struct keeper *keeper = proc->keeper;
	uint64_t period = keeper->options.watchdog_ms * 1000, now = 0;
	char why[64];

	/*
	 * what it sent may still be in the socket; and when we were stopped ourselves, it is not
	 * the one that was late
	 */
	take_messages(keeper);
	sd_event_now(keeper->loop, CLOCK_MONOTONIC, &now);
	if (now - due > period)
		proc->pinged = now;
	if (proc->stopping)
		return 0;
	if (proc->pinged + period > now) {
		sd_event_source_set_time(source, proc->pinged + period);
		return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	}
	snprintf(why, sizeof(why), "sent no WATCHDOG=1 for %lu ms",
		 (unsigned long)keeper->options.watchdog_ms);
	proc_abort(proc, why);
	return 0;
}

void keeper_begin_watchdog(struct proc *proc)
{
	sd_event *loop = proc->keeper->loop;
	uint64_t period = proc->keeper->options.watchdog_ms * 1000;

	if (!period)
		return;
	sd_event_now(loop, CLOCK_MONOTONIC, &proc->pinged);
	sd_event_add_time(loop, &proc->watchdog, CLOCK_MONOTONIC, proc->pinged + period, 0,
			  on_watchdog, proc);
}
