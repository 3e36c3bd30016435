// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See world.h. */
#include "world.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cmd.h"
#include "host/cgroup.h"

#define CLEAN_UP_MS 5000
#define MAX_FILES 65536

static int join(char *out, const char *dir, const char *name)
{
	return snprintf(out, PATH_MAX, "%s%s", dir, name) < PATH_MAX ? 0 : -ENAMETOOLONG;
}

static int find_cache(struct world *world)
{
	const char *cache = getenv("LB_BENCH_CACHE"), *home = getenv("HOME");

	if (cache)
		return join(world->cache, cache, "");
	return join(world->cache, home ? home : "/root", "/.cache/lb-bench");
}

int world_find(struct world *world, struct trouble *trouble)
{
	const char *tools = getenv("LB_BENCH_TOOLS");
	char relative[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", world->build, sizeof(world->build) - 1);

	if (len < 0)
		return trouble_set(trouble, EXIT_FAILED, "can't read /proc/self/exe: %s",
				   strerror(errno));
	world->build[len] = '\0';
	*strrchr(world->build, '/') = '\0';
	if (find_cache(world) || join(relative, world->build, "/../tools/bench"))
		return trouble_set(trouble, EXIT_FAILED, "a path is too long");
	if (!realpath(tools ? tools : relative, world->tools))
		return trouble_set(trouble, EXIT_FAILED,
				   "can't find the peers' scripts at %s: %s; LB_BENCH_TOOLS says "
				   "where tools/bench is",
				   tools ? tools : relative, strerror(errno));
	return EXIT_DONE;
}

static int make_cgroup(struct world *world, struct trouble *trouble)
{
	char parent[PATH_MAX], name[48];
	int err = cgroup_own(parent), fd;
	struct timespec now;

	/* the same pid may run another one in another pid namespace */
	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(name, sizeof(name), "/lb-bench-%d-%lx%08lx", getpid(), (long)now.tv_sec,
		 now.tv_nsec);
	fd = err ? err : cgroup_make(parent, name + 1);
	if (fd < 0)
		return trouble_set(
			trouble, EXIT_NOT_ABLE,
			"can't make a cgroup (v2): %s; it takes root and a cgroup2 mount",
			strerror(-fd));
	close(fd);
	return join(world->cgroup, parent, name) ?
		       trouble_set(trouble, EXIT_FAILED, "a path is too long") :
		       EXIT_DONE;
}

static void remove_cgroup(const struct world *world)
{
	char parent[PATH_MAX], kill_path[PATH_MAX + 16];
	const char *name = strrchr(world->cgroup, '/');
	_cleanup_close_ int fd = -1;

	snprintf(parent, sizeof(parent), "%.*s", (int)(name - world->cgroup), world->cgroup);
	snprintf(kill_path, sizeof(kill_path), "%s/cgroup.kill", world->cgroup);
	fd = open(kill_path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0 && write(fd, "1", 1) < 0)
		fprintf(stderr, "lb-bench: kill what is left: %s\n", strerror(errno));
	for (int ms = 0; ms < CLEAN_UP_MS && cgroup_remove(parent, name + 1) == -EBUSY; ms += 10)
		usleep(10000);
}

static pid_t inner;

static void block_signals(int how)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	sigprocmask(how, &signals, NULL);
}

/* A terminal's Ctrl-C reaches both; other signals come to us alone. The second one means now. */
static void pass_on(int signal)
{
	static volatile sig_atomic_t before;

	if (before)
		kill(inner, SIGKILL);
	else if (signal != SIGINT || getpgrp() != tcgetpgrp(STDIN_FILENO))
		kill(inner, signal);
	before = 1;
}

static void wait_outside(const struct world *world)
{
	const struct sigaction action = { .sa_handler = pass_on };
	int status;

	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	block_signals(SIG_UNBLOCK);
	while (waitpid(inner, &status, 0) < 0) {
		if (errno != EINTR)
			exit(EXIT_FAILED);
	}
	remove_cgroup(world);
	exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

static int loopback_up(void)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };

	return fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) ? -errno : 0;
}

static bool set_kernel(const char *name, const char *value)
{
	_cleanup_close_ int fd = -1;
	char path[128];

	snprintf(path, sizeof(path), "/proc/sys/net/%s", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd >= 0 && write(fd, value, strlen(value)) > 0;
}

/* As many as may be: peers say themselves what is too few for them. */
static void raise_files(void)
{
	struct rlimit files = { MAX_FILES, MAX_FILES };

	if (!setrlimit(RLIMIT_NOFILE, &files) || getrlimit(RLIMIT_NOFILE, &files))
		return;
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
}

static int furnish(struct trouble *trouble)
{
	int err;

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) ||
	    mount("bpf", "/sys/fs/bpf", "bpf", 0, "mode=0700") ||
	    mount("tmpfs", "/run", "tmpfs", 0, "mode=0755") || mkdir(WORLD_DIR, 0755))
		return trouble_set(trouble, EXIT_NOT_ABLE,
				   "can't mount proc, bpffs and a /run of its own: %s",
				   strerror(errno));
	err = loopback_up();
	if (err)
		return trouble_set(trouble, EXIT_FAILED, "can't bring the loopback device up: %s",
				   strerror(-err));
	raise_files();
	/* one address makes 20,000 connections a second: ports must be free again soon */
	if (!set_kernel("ipv4/tcp_tw_reuse", "1") ||
	    !set_kernel("ipv4/ip_local_port_range", "20000 65000") ||
	    !set_kernel("core/somaxconn", "4096"))
		return trouble_set(trouble, EXIT_FAILED, "can't set the network up: %s",
				   strerror(errno));
	return EXIT_DONE;
}

int world_enter(struct world *world, struct trouble *trouble)
{
	int status = world_find(world, trouble);

	/* none may end us between the making of a cgroup and the one who takes it away */
	block_signals(SIG_BLOCK);
	if (!status)
		status = make_cgroup(world, trouble);
	if (status)
		return status;
	fflush(NULL);
	if (unshare(CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET) || (inner = fork()) < 0) {
		trouble_set(trouble, EXIT_NOT_ABLE, "can't make namespaces: %s; run as root",
			    strerror(errno));
		remove_cgroup(world);
		return trouble->status;
	}
	if (inner)
		wait_outside(world);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	cmd_catch_signals();
	block_signals(SIG_UNBLOCK);
	setenv("LC_ALL", "C", 1);
	return furnish(trouble);
}
