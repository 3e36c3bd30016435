// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See growth.h. The workers are lbctl-demo-worker and do nothing; nobody connects. */
#include "growth.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "client.h"
#include "cmd.h"

#define NAME "growth"
#define PORT "7000"
#define MOST_ARGS 20
#define ONLINE_S 120 /* at most */

static double since_s(uint64_t begin_ns)
{
	return (client_now_ns() - begin_ns) / 1e9;
}

/* Its own CPU time, without that of children that it has waited for (proc(5), fields 14 and 15). */
static double cpu_s(pid_t pid)
{
	_cleanup_fclose_ FILE *stat = NULL;
	unsigned long user = 0, system = 0;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	stat = fopen(path, "re");
	if (!stat ||
	    fscanf(stat, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
		   &system) != 2)
		return 0;
	return (double)(user + system) / sysconf(_SC_CLK_TCK);
}

static double memory_mb(pid_t pid)
{
	_cleanup_fclose_ FILE *statm = NULL;
	unsigned long pages = 0;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/statm", pid);
	statm = fopen(path, "re");
	if (!statm || fscanf(statm, "%*u %lu", &pages) != 1)
		return 0;
	return (double)pages * sysconf(_SC_PAGESIZE) / (1 << 20);
}

/* Becomes `lbctl run`. */
__attribute__((noreturn)) static void run_child(const struct world *world,
						const struct growth_run *run, int out)
{
	static const char *const listening[] = { "--listen", "127.0.0.1:" PORT, NULL };
	static const char *const bound[] = { "--port", PORT, NULL };
	static const char *const binds[] = { "--no-reuseport", "-l", "127.0.0.1:" PORT, NULL };
	char lbctl[PATH_MAX + 8], worker[PATH_MAX + 24], number[16];
	const char *argv[MOST_ARGS] = { "lbctl", "run",	 "--name",	  NAME,
					"-n",	 number, "--ready-after", "0" };
	size_t n = 8;

	snprintf(lbctl, sizeof(lbctl), "%s/lbctl", world->build);
	snprintf(worker, sizeof(worker), "%s/lbctl-demo-worker", world->build);
	snprintf(number, sizeof(number), "%u", run->workers);
	for (const char *const *arg = run->listen ? listening : bound; *arg; arg++)
		argv[n++] = *arg;
	argv[n++] = "--";
	argv[n++] = worker;
	argv[n++] = "--quiet";
	for (const char *const *arg = binds; !run->listen && *arg; arg++)
		argv[n++] = *arg;
	if (dup2(out, STDOUT_FILENO) == STDOUT_FILENO)
		execv(lbctl, (char *const *)argv);
	_exit(127);
}

/* How often a word ends in these bytes; *matched of it came with those before. */
static unsigned int count_words(const char *word, size_t *matched, const char *bytes, size_t n)
{
	unsigned int count = 0;

	for (size_t i = 0; i < n; i++) {
		*matched = bytes[i] == word[*matched] ? *matched + 1 : bytes[i] == word[0];
		if (word[*matched])
			continue;
		*matched = 0;
		count++;
	}
	return count;
}

/* Reads what it prints until every worker is online. Later lines it drops when the pipe is full. */
static int await_workers(int out, unsigned int workers)
{
	const uint64_t end_ns = client_now_ns() + ONLINE_S * 1000000000ULL;
	struct pollfd ready = { .fd = out, .events = POLLIN };
	size_t matched = 0;
	char bytes[4096];
	ssize_t n = 1;

	while (workers && n > 0 && !cmd_stop) {
		if (client_now_ns() > end_ns)
			return -ETIMEDOUT;
		if (poll(&ready, 1, 1000) <= 0)
			continue;
		n = read(out, bytes, sizeof(bytes));
		if (n > 0)
			workers -= count_words(" is online\n", &matched, bytes, n);
	}
	return workers ? -ECANCELED : 0;
}

static int measure(const struct world *world, pid_t pid, int out, uint64_t begin_ns,
		   struct growth_run *run)
{
	int err = await_workers(out, run->workers);
	double ms;

	if (err)
		return err;
	run->online_s = since_s(begin_ns);
	run->online_cpu_s = cpu_s(pid);
	ms = growth_lbctl_ms(world, (const char *const[]){ "reload", NAME, NULL });
	run->reload_s = ms / 1e3;
	run->reload_cpu_s = cpu_s(pid) - run->online_cpu_s;
	run->memory_mb = memory_mb(pid);
	return ms < 0 ? -ECANCELED : 0;
}

int growth_run(const struct world *world, struct growth_run *run, struct trouble *trouble)
{
	const uint64_t begin_ns = client_now_ns();
	int ends[2], status, err;
	uint64_t stop_ns;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC))
		return trouble_set(trouble, EXIT_FAILED, "pipe: %s", strerror(errno));
	fflush(NULL);
	pid = fork();
	if (!pid)
		run_child(world, run, ends[1]);
	close(ends[1]);
	err = pid < 0 ? -errno : measure(world, pid, ends[0], begin_ns, run);
	stop_ns = client_now_ns();
	if (pid > 0) {
		kill(pid, SIGTERM);
		while (waitpid(pid, &status, 0) != pid && errno == EINTR)
			continue;
	}
	close(ends[0]);
	run->stop_s = since_s(stop_ns);
	return err ? trouble_set(trouble, EXIT_FAILED, "can't run %u workers: %s", run->workers,
				 err == -ECANCELED ? "lbctl failed" : strerror(-err)) :
		     EXIT_DONE;
}
