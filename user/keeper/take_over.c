// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The living processes of an earlier keeper: by their cgroups, and what it noted there. */
#include <errno.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "host/cgroup.h"
#include "host/procs.h"
#include "keeper/fetch.h"
#include "keeper/runner.h"

static enum lifecycle read_mark(const struct runner *runner)
{
	char note[16];
	int state;

	cgroup_read_note(runner->cgroup_fd, RUNNER_STATE, note, sizeof(note));
	state = lifecycle_parse(note);
	return state >= LIFE_STARTING && state <= LIFE_TERMINATING ? state : LIFE_STARTING;
}

/* One that an older lbctl has started has none. */
static uint32_t read_instance(const struct runner *runner)
{
	uint64_t instance = UINT32_MAX;
	char note[16];

	cgroup_read_note(runner->cgroup_fd, RUNNER_INSTANCE, note, sizeof(note));
	parse_u64(note, 0, UINT32_MAX, &instance);
	return instance;
}

static int find_process(struct runner *runner)
{
	_cleanup_free_ pid_t *pids = NULL;
	int n = runner->cgroup_fd < 0 ? -ENOENT : cgroup_pids(runner->cgroup_fd, &pids);

	runner->pid = n > 0 ? procs_first_started(pids, n) : 0;
	if (runner->pid)
		runner->pidfd = syscall(__NR_pidfd_open, runner->pid, 0);
	return runner->pidfd < 0 ? -ESRCH : 0;
}

static bool take_over(struct runners *all, uint32_t worker, uint32_t generation, uint64_t now_us)
{
	struct runner *runner = runner_new(all, worker, generation);
	int channel_fd;

	if (!runner || find_process(runner)) {
		if (runner)
			runner_free(runner);
		return false;
	}
	runner->taken_over = true;
	runner->instance = read_instance(runner);
	channel_fd = fetch_channel(runner->pid);
	if (all->hooks)
		bindhook_add_member(all->hooks, runner->cgroup, worker);
	/* one too many has no place, and ends */
	if (runner_watch(runner, channel_fd) ||
	    !plan_take_over(all->plan, worker, generation, read_mark(runner), now_us))
		runner_kill(runner);
	return true;
}

uint32_t runners_take_over(struct runners *all, int cgroup_fd, uint64_t now_us)
{
	_cleanup_closedir_ DIR *dir = opendir_at(cgroup_fd, ".");
	uint32_t worker, generation, found = 0;
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		if (!runner_parse_name(entry->d_name, &worker, &generation))
			continue;
		if (generation > all->plan->generation)
			all->plan->generation = generation;
		found += take_over(all, worker, generation, now_us);
	}
	return found;
}
