// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See idle.h. */
#include "idle.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "client.h"

#define MAX_PROCESSES 512

struct process {
	pid_t pid, parent;
	unsigned long long cpu_ns, wakeups;
	unsigned long resident_pages;
};

struct snapshot {
	struct process all[MAX_PROCESSES];
	size_t count;
	uint64_t at_ns;
};

/* One thread: its run time (Documentation/scheduler/sched-stats.rst) and how often it slept. */
static void add_thread(struct process *process, pid_t tid)
{
	_cleanup_fclose_ FILE *schedstat = NULL, *status = NULL;
	unsigned long long ns, switches;
	char path[64], line[256];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/schedstat", process->pid, tid);
	schedstat = fopen(path, "re");
	if (schedstat && fscanf(schedstat, "%llu", &ns) == 1)
		process->cpu_ns += ns;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/status", process->pid, tid);
	status = fopen(path, "re");
	while (status && fgets(line, sizeof(line), status)) {
		if (sscanf(line, "voluntary_ctxt_switches: %llu", &switches) == 1)
			process->wakeups += switches;
		else
			sscanf(line, "PPid: %d", &process->parent);
	}
}

/* Returns whether it is there still; a zombie, which has no memory, is not. */
static bool read_process(pid_t pid, struct process *process)
{
	_cleanup_closedir_ DIR *tasks = NULL;
	_cleanup_fclose_ FILE *statm = NULL;
	struct dirent *task;
	char path[64];

	*process = (struct process){ .pid = pid };
	snprintf(path, sizeof(path), "/proc/%d/statm", pid);
	statm = fopen(path, "re");
	if (!statm || fscanf(statm, "%*u %lu", &process->resident_pages) != 1)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	tasks = opendir(path);
	while (tasks && (task = readdir(tasks))) {
		if (atoi(task->d_name) > 0)
			add_thread(process, atoi(task->d_name));
	}
	return tasks && process->resident_pages;
}

static int take_snapshot(struct snapshot *snapshot)
{
	_cleanup_closedir_ DIR *proc = opendir("/proc");
	struct dirent *entry;
	pid_t pid;

	if (!proc)
		return -errno;
	snapshot->count = 0;
	snapshot->at_ns = client_now_ns();
	while ((entry = readdir(proc)) && snapshot->count < MAX_PROCESSES) {
		pid = atoi(entry->d_name);
		if (pid > 0 && pid != getpid() &&
		    read_process(pid, &snapshot->all[snapshot->count]))
			snapshot->count++;
	}
	return 0;
}

static const struct process *find(const struct snapshot *snapshot, pid_t pid)
{
	for (size_t i = 0; i < snapshot->count; i++) {
		if (snapshot->all[i].pid == pid)
			return &snapshot->all[i];
	}
	return NULL;
}

static bool has_child(const struct snapshot *snapshot, pid_t pid)
{
	for (size_t i = 0; i < snapshot->count; i++) {
		if (snapshot->all[i].parent == pid)
			return true;
	}
	return false;
}

static void add_difference(struct idle_cost *cost, const struct process *before,
			   const struct process *after, double seconds)
{
	cost->processes++;
	cost->wakeups_per_s += (after->wakeups - before->wakeups) / seconds;
	cost->cpu_us_per_s += (after->cpu_ns - before->cpu_ns) / 1e3 / seconds;
	cost->memory_mb += (double)after->resident_pages * sysconf(_SC_PAGESIZE) / (1 << 20);
}

int idle_measure(double seconds, struct idle_sample *sample)
{
	_cleanup_free_ struct snapshot *snapshots = calloc(2, sizeof(*snapshots));
	struct snapshot *before = snapshots, *after = snapshots + 1;
	int err = snapshots ? take_snapshot(before) : -ENOMEM;

	*sample = (struct idle_sample){ 0 };
	if (err)
		return err;
	usleep(seconds * 1e6);
	err = take_snapshot(after);
	for (size_t i = 0; i < after->count && !err; i++) {
		const struct process *now = &after->all[i], *then = find(before, now->pid);

		if (then)
			add_difference(has_child(after, now->pid) ? &sample->keepers :
								    &sample->workers,
				       then, now, (after->at_ns - before->at_ns) / 1e9);
	}
	return err;
}
