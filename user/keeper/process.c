// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See process.h. */
#include "keeper/process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "lb_abi.h"

/* Descriptors 3 .. 3 + n - 1 are LISTEN_FDS; then the worker's end of the channel, then ours. */
#define FIRST_FD 3

static struct rlimit files; /* as it was before we raised it; all zero = we did not */

void process_raise_file_limit(void)
{
	struct rlimit raised;

	if (getrlimit(RLIMIT_NOFILE, &raised))
		return;
	files = raised;
	raised.rlim_cur = raised.rlim_max;
	setrlimit(RLIMIT_NOFILE, &raised);
}

static void set_number(const char *name, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%lu", (unsigned long)value);
	setenv(name, text, 1);
}

static void set_environment(const struct process_spec *spec)
{
	setenv("LBCTL_SERVICE", spec->service, 1);
	set_number("LBCTL_WORKER", spec->worker);
	set_number("LBCTL_WORKERS", spec->workers);
	set_number("NODE_APP_INSTANCE", spec->worker);
	set_number("NODE_CHANNEL_FD", FIRST_FD + spec->nr_listen_fds);
	setenv("NODE_CHANNEL_SERIALIZATION_MODE", "json", 1);
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	if (spec->watchdog_ms) {
		set_number("WATCHDOG_USEC", spec->watchdog_ms * 1000);
		set_number("WATCHDOG_PID", getpid());
	}
	if (spec->notify_path)
		setenv("NOTIFY_SOCKET", spec->notify_path, 1);
	if (spec->nr_listen_fds) {
		set_number("LISTEN_FDS", spec->nr_listen_fds);
		set_number("LISTEN_PID", getpid());
	}
}

static int become_user(const char *name)
{
	const struct passwd *user = getpwnam(name);

	if (!user)
		return -ESRCH;
	if (initgroups(name, user->pw_gid) || setgid(user->pw_gid) || setuid(user->pw_uid))
		return -errno;
	setenv("USER", name, 1);
	setenv("HOME", user->pw_dir, 1);
	return 0;
}

/*
 * Who owns the directory may have put something else there, a way to another file or a pipe that
 * nobody reads, and it is opened with lbctl's rights. -EMLINK: that is so.
 */
static int open_log(const char *path)
{
	_cleanup_close_ int fd = open(
		path, O_WRONLY | O_APPEND | O_CREAT | O_NOCTTY | O_NOFOLLOW | O_NONBLOCK, 0640);
	struct stat st;

	if (fd < 0)
		return errno == ELOOP || errno == ENXIO ? -EMLINK : -errno;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_nlink != 1)
		return -EMLINK;
	fcntl(fd, F_SETFL, O_APPEND);
	return fd_steal(&fd);
}

static int redirect(const struct process_spec *spec)
{
	int null = open("/dev/null", O_RDONLY), log;

	if (null < 0 || dup2(null, 0) < 0)
		return -errno;
	close(null);
	if (!spec->log_path)
		return 0;
	log = open_log(spec->log_path);
	if (log < 0) {
		/* a full disk is no reason not to serve */
		dprintf(2, "lbctl: %s: worker %u can't write to %s: %s; its output goes here\n",
			spec->service, spec->worker, spec->log_path,
			log == -EMLINK ? "not a plain file of one name" : strerror(-log));
		return 0;
	}
	if (dup2(log, 1) < 0 || dup2(log, 2) < 0)
		return -errno;
	close(log);
	return 0;
}

/*
 * Moves descriptors to where the conventions want them; by way of higher ones, as they may cross.
 * The pipe for reports moves first: whatever fails after that can still be told.
 */
static int place_descriptors(const struct process_spec *spec, const int channel[2], int *report)
{
	int moved[LB_MAX_LISTENERS + 2], safe, fd, n = spec->nr_listen_fds;

	safe = FIRST_FD + n + 2;
	fd = fcntl(*report, F_DUPFD_CLOEXEC, safe);
	if (fd < 0)
		return -errno;
	*report = fd;
	for (int i = 0; i < n + 2; i++) {
		fd = i < n ? spec->listen_fds[i] : channel[n + 1 - i];
		moved[i] = fcntl(fd, F_DUPFD_CLOEXEC, safe);
		if (moved[i] < 0)
			return -errno;
	}
	for (int i = 0; i < n + 2; i++) {
		if (dup2(moved[i], FIRST_FD + i) < 0)
			return -errno;
	}
	return 0;
}

__attribute__((noreturn)) static void run_child(const struct process_spec *spec,
						const int channel[2], int report)
{
	sigset_t none;
	int err;

	sigemptyset(&none);
	for (int i = 1; i < 32; i++)
		signal(i, SIG_DFL);
	/* a terminal may be set to stop who prints in the background, and workers are there */
	signal(SIGTTOU, SIG_IGN);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setpgid(0, 0);
	err = redirect(spec);
	if (!err)
		err = place_descriptors(spec, channel, &report);
	if (!err && spec->user)
		err = become_user(spec->user);
	/* after setuid(), which clears it */
	if (!err && spec->die_with_parent)
		prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (!err) {
		set_environment(spec);
		if (files.rlim_max)
			setrlimit(RLIMIT_NOFILE, &files);
		execvp(spec->argv[0], spec->argv);
		err = -errno;
	}
	if (write(report, &err, sizeof(err)) < 0)
		_exit(126);
	_exit(127);
}

static pid_t clone_into(int cgroup_fd, int *pidfd)
{
	struct clone_args args = {
		.flags = CLONE_PIDFD | CLONE_INTO_CGROUP,
		.pidfd = (uintptr_t)pidfd,
		.exit_signal = SIGCHLD,
		.cgroup = cgroup_fd,
	};

	return syscall(__NR_clone3, &args, sizeof(args));
}

/* Waits until the child has executed the program: what it reports is why it could not. */
static int await_exec(int report, int pidfd)
{
	siginfo_t info;
	int err = 0;

	if (read(report, &err, sizeof(err)) != sizeof(err))
		return 0;
	waitid(P_PIDFD, pidfd, &info, WEXITED);
	return err ? err : -EIO;
}

int process_start(const struct process_spec *spec, struct process *process)
{
	_cleanup_close_ int ours = -1;
	_cleanup_close_ int theirs = -1;
	_cleanup_close_ int report_read = -1;
	_cleanup_close_ int report_write = -1;
	int channel[2], report[2], err;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel))
		return -errno;
	ours = channel[0];
	theirs = channel[1];
	if (pipe2(report, O_CLOEXEC))
		return -errno;
	report_read = report[0];
	report_write = report[1];
	process->pidfd = -1;
	process->pid = clone_into(spec->cgroup_fd, &process->pidfd);
	if (process->pid < 0)
		return -errno;
	if (!process->pid)
		run_child(spec, channel, report[1]);
	setpgid(process->pid, process->pid);
	close_fd(&report_write);
	err = await_exec(report_read, process->pidfd);
	if (err) {
		close_fd(&process->pidfd);
		return err;
	}
	fcntl(ours, F_SETFL, O_NONBLOCK);
	process->channel_fd = fd_steal(&ours);
	return 0;
}

static int signal_group(pid_t pid, int signal_number)
{
	/* it may not lead a group yet, or any more */
	if (!kill(-pid, signal_number) || !kill(pid, signal_number))
		return 0;
	return -errno;
}

int process_signal(pid_t pid, const char *name, int signal_number)
{
	int err = signal_group(pid, signal_number);
	const struct passwd *user = err == -EPERM && name ? getpwnam(name) : NULL;
	uid_t ours = geteuid();

	if (!user || setresuid(-1, user->pw_uid, -1))
		return err;
	err = signal_group(pid, signal_number);
	/* the real one, so it is ours to take; the change hid what /proc has of us */
	if (setresuid(-1, ours, -1) || prctl(PR_SET_DUMPABLE, 1))
		return -errno;
	return err;
}

/* NODE_CHANNEL_FD as the process was started with, or -errno. */
static int channel_number(pid_t pid, uint64_t *number)
{
	_cleanup_fclose_ FILE *file = NULL;
	_cleanup_free_ char *entry = NULL;
	const char name[] = "NODE_CHANNEL_FD=";
	size_t room = 0;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/environ", pid);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	while (getdelim(&entry, &room, '\0', file) > 0) {
		if (!strncmp(entry, name, strlen(name)))
			return parse_u64(entry + strlen(name), 0, 65536, number);
	}
	return -ENOENT;
}

static int fetch(pid_t pid, int number)
{
	_cleanup_close_ int pidfd = syscall(__NR_pidfd_open, pid, 0);
	int fd;

	if (pidfd < 0)
		return -errno;
	fd = syscall(__NR_pidfd_getfd, pidfd, number, 0);
	return fd < 0 ? -errno : fd;
}

/* -1: it is no socket. */
static int option_of(int fd, int option)
{
	int value = -1;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, option, &value, &len) ? -1 : value;
}

/* One end of a pair has no name, nor has its peer; and who made the pair is known. */
static bool is_of_a_pair(int fd, pid_t not_by)
{
	struct sockaddr_un ours, theirs;
	socklen_t ours_len = sizeof(ours), theirs_len = sizeof(theirs), maker_len;
	struct ucred maker = { .pid = not_by };

	maker_len = sizeof(maker);
	return option_of(fd, SO_DOMAIN) == AF_UNIX && option_of(fd, SO_TYPE) == SOCK_STREAM &&
	       !getsockname(fd, (struct sockaddr *)&ours, &ours_len) &&
	       !getpeername(fd, (struct sockaddr *)&theirs, &theirs_len) &&
	       ours_len == sizeof(sa_family_t) && theirs_len == sizeof(sa_family_t) &&
	       !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &maker, &maker_len) && maker.pid != not_by;
}

int process_fetch_channel(pid_t pid)
{
	_cleanup_close_ int fd = -1;
	uint64_t number;
	int err = channel_number(pid, &number);

	if (err)
		return err;
	fd = fetch(pid, (int)number + 1);
	if (fd < 0)
		return fd;
	return is_of_a_pair(fd, pid) ? fd_steal(&fd) : -ENOTSOCK;
}

static uint16_t port_of(int fd)
{
	union {
		struct sockaddr any;
		struct sockaddr_in ipv4;
		struct sockaddr_in6 ipv6;
	} at;
	socklen_t len = sizeof(at);

	if (getsockname(fd, &at.any, &len))
		return 0;
	if (at.any.sa_family == AF_INET)
		return ntohs(at.ipv4.sin_port);
	return at.any.sa_family == AF_INET6 ? ntohs(at.ipv6.sin6_port) : 0;
}

int process_fetch_listener(pid_t pid, uint32_t index, uint8_t proto, uint16_t port)
{
	_cleanup_close_ int fd = fetch(pid, FIRST_FD + index);

	if (fd < 0)
		return fd;
	if (option_of(fd, SO_PROTOCOL) != proto || port_of(fd) != port ||
	    (proto == LB_PROTO_TCP && option_of(fd, SO_ACCEPTCONN) != 1))
		return -ENOTSOCK;
	return fd_steal(&fd);
}
