// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See spawn.h. */
#include "keeper/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "host/cgroup.h"
#include "keeper/log_open.h"
#include "keeper/receive.h"
#include "keeper/user_rights.h"
#include "keeper/worker_env.h"
#include "lb_abi.h"

static struct rlimit files; /* as it was before we raised it; all zero = we did not */

void spawn_raise_file_limit(void)
{
	struct rlimit raised;

	if (getrlimit(RLIMIT_NOFILE, &raised))
		return;
	files = raised;
	raised.rlim_cur = raised.rlim_max;
	setrlimit(RLIMIT_NOFILE, &raised);
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

static const char *log_trouble(int err)
{
	if (err == -EMLINK)
		return "not a plain file of one name";
	if (err == -EXDEV)
		return "others than root can change where that leads";
	return strerror(-err);
}

static int redirect(const struct spawn_spec *spec)
{
	int null = open("/dev/null", O_RDONLY), log;

	if (null < 0 || dup2(null, 0) < 0)
		return -errno;
	close(null);
	if (!spec->log_path)
		return 0;
	log = log_open(spec->log_path, spec->user);
	if (log < 0) {
		/* a full disk is no reason not to serve */
		text_tell(2, "lbctl: %s: worker %u can't write to %s: %s; its output goes here",
			  spec->service, spec->worker, spec->log_path, log_trouble(log));
		return 0;
	}
	if (dup2(log, 1) < 0 || dup2(log, 2) < 0)
		return -errno;
	close(log);
	return 0;
}

static bool is_here(const char *path)
{
	struct stat there, here;

	return !stat(path, &there) && !stat(".", &here) && there.st_dev == here.st_dev &&
	       there.st_ino == here.st_ino;
}

/* Else who can put a link there could have a look at what is below a directory of root's. */
static int change_directory(const char *path, const char *user)
{
	char inside[PATH_MAX + 1];
	int err;

	if (is_here(path))
		return 0;
	snprintf(inside, sizeof(inside), "%s/", path);
	err = user_rights_take(inside, user);
	if (err && err != -EXDEV)
		return err;
	err = chdir(path) ? -errno : 0;
	user_rights_give_back();
	return err;
}

/*
 * Looked up anew each time, as a link in the path may lead elsewhere now. One that nobody asked for
 * is where lbctl was started: whoever removes it is no reason not to serve.
 */
static int enter_directory(const struct spawn_spec *spec)
{
	int err;

	if (!spec->cwd)
		return 0;
	err = change_directory(spec->cwd, spec->user);
	if (!err) {
		setenv("PWD", spec->cwd, 1);
		return 0;
	}
	if (spec->needs_cwd)
		return -(SPAWN_CWD - err);
	text_tell(2, "lbctl: %s: worker %u can't start in %s: %s; it starts where that was",
		  spec->service, spec->worker, spec->cwd, strerror(-err));
	return 0;
}

/*
 * Moves descriptors to where the conventions want them; by way of higher ones, as they may cross.
 * The pipe for reports moves first: whatever fails after that can still be told.
 */
static int place_descriptors(const struct spawn_spec *spec, const int channel[2], int *report)
{
	int moved[LB_MAX_LISTENERS + 2], safe, fd, n = spec->nr_listen_fds;

	safe = SPAWN_FIRST_FD + n + 2;
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
		if (dup2(moved[i], SPAWN_FIRST_FD + i) < 0)
			return -errno;
	}
	return 0;
}

__attribute__((noreturn)) static void run_child(const struct spawn_spec *spec, const int channel[2],
						int report)
{
	char *variables = NULL;
	size_t len = 0;
	sigset_t none;
	int err;

	if (spec->environment)
		environ = spec->environment;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/*
	 * In ours it could type into our terminal, read what is typed there, be stopped as it
	 * prints, and join our process group. Only who leads no group can do that, so nobody is to
	 * make it lead one before.
	 */
	setsid();
	err = redirect(spec);
	if (!err)
		err = place_descriptors(spec, channel, &report);
	if (!err)
		err = enter_directory(spec);
	if (!err)
		err = worker_env_read(spec, &variables, &len);
	if (!err && spec->user)
		err = become_user(spec->user);
	/* after setuid(), which clears it */
	if (!err && spec->parent_death_signal)
		prctl(PR_SET_PDEATHSIG, spec->parent_death_signal);
	if (!err && spec->no_new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		err = -errno;
	if (!err)
		err = worker_env_set(spec, variables, len);
	if (!err) {
		if (files.rlim_max)
			setrlimit(RLIMIT_NOFILE, &files);
		execvp(spec->argv[0], spec->argv);
		err = -errno;
	}
	if (write(report, &err, sizeof(err)) < 0)
		_exit(126);
	_exit(127);
}

int spawn_start(const struct spawn_spec *spec, struct spawned *out)
{
	_cleanup_close_ int ours = -1;
	_cleanup_close_ int theirs = -1;
	_cleanup_close_ int report_read = -1;
	_cleanup_close_ int report_write = -1;
	int channel[2], report[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel))
		return -errno;
	ours = channel[0];
	theirs = channel[1];
	receive_no_fds(ours);
	if (pipe2(report, O_CLOEXEC))
		return -errno;
	report_read = report[0];
	report_write = report[1];
	out->pidfd = -1;
	out->pid = cgroup_fork(spec->cgroup_fd, 0, &out->pidfd);
	if (out->pid < 0)
		return out->pid;
	if (!out->pid)
		run_child(spec, channel, report[1]);
	fcntl(ours, F_SETFL, O_NONBLOCK);
	fcntl(report_read, F_SETFL, O_NONBLOCK);
	out->channel_fd = fd_steal(&ours);
	out->report_fd = fd_steal(&report_read);
	return 0;
}

static int signal_one(pid_t pid, bool group, int signal_number)
{
	/* it may not lead a group yet, or any more */
	if ((group && !kill(-pid, signal_number)) || !kill(pid, signal_number))
		return 0;
	return -errno;
}

int spawn_signal(pid_t pid, bool group, uid_t user, int signal_number)
{
	int err = pid > 0 ? signal_one(pid, group, signal_number) : -ESRCH;
	uid_t ours = geteuid();

	if (err != -EPERM || user == (uid_t)-1 || setresuid(-1, user, -1))
		return err;
	err = signal_one(pid, group, signal_number);
	/* the real one, so it is ours to take; the change hid what /proc has of us */
	if (setresuid(-1, ours, -1) || prctl(PR_SET_DUMPABLE, 1))
		return -errno;
	return err;
}
