// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See log_files.h. */
#include "keeper/log_files.h"

#include <stdio.h>
#include <sys/stat.h>

#include "base/text_json.h"

#define DEADLINE_MS 5000

struct shared {
	const struct keeper *keeper;
	uint32_t workers, renamed;
};

/* The file that it has for its standard output is not at the path any more. */
static bool was_renamed(const struct keeper *keeper, const struct runner *runner)
{
	char path[PATH_MAX], fd[64];
	struct stat there, its;

	snprintf(fd, sizeof(fd), "/proc/%d/fd/1", runner->pid);
	if (!tell_log_path(keeper, runner->worker, path) || stat(fd, &its))
		return false;
	return stat(path, &there) || there.st_ino != its.st_ino || there.st_dev != its.st_dev;
}

static int run(void *memory)
{
	struct shared *shared = memory;
	const struct plan *plan = &shared->keeper->plan;

	for (uint32_t w = 0; w < plan->wanted; w++) {
		const struct process *current = &plan->workers[w].at[ROLE_CURRENT];
		const struct runner *runner =
			runner_find(&shared->keeper->runners, w, current->generation);

		if (!runner)
			continue;
		shared->workers++;
		shared->renamed += was_renamed(shared->keeper, runner);
	}
	return 0;
}

static void on_done(void *arg, int status, void *memory)
{
	const struct shared *shared = memory;
	struct keeper *keeper = arg;

	if (status) {
		event_tell(keeper->log, "trouble", NULL, "the log files could not be looked at");
		return;
	}
	event_tell(keeper->log, "logs", text_pack("{s:i}", "renamed", shared->renamed),
		   "%u of %u log files %s renamed%s", shared->renamed, shared->workers,
		   shared->renamed == 1 ? "was" : "were",
		   shared->renamed ? "; the workers write on there, and a reload opens new ones" :
				     "");
}

static const struct task_spec look_at_files = { run, on_done, sizeof(struct shared), DEADLINE_MS };

void log_files_check(struct keeper *keeper)
{
	const struct shared shared = { .keeper = keeper };
	struct task *task;

	task_start(keeper->loop, &look_at_files, &shared, keeper, &task);
}
