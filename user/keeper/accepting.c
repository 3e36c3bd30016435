// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See accepting.h. */
#include "keeper/accepting.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "host/cgroup.h"
#include "host/waits.h"
#include "keeper/task.h"

#define SOONEST_US 10000
#define LATEST_US 250000
#define DEADLINE_MS 2000
#define MOST_ASKED 64 /* in one look; the others in the next */

struct accepting {
	struct accepting_config config;
	struct task *task;
	uint64_t next_us;
};

struct asked {
	uint32_t worker, generation;
	bool accepts;
};

struct shared {
	const struct accepting *accepting;
	struct asked asked[MOST_ASKED];
	size_t count;
};

uint64_t accepting_wait_us(uint64_t age_us)
{
	if (age_us < SOONEST_US)
		return SOONEST_US;
	return age_us < LATEST_US ? age_us : LATEST_US;
}

/* --- in the child --- */

static int compare_inodes(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

	return (a > b) - (a < b);
}

/* Of the sockets of one process. */
struct inodes {
	uint64_t items[LB_MAX_LISTENERS];
	size_t count;
};

static void list_inodes(const struct accepting_config *config, const struct asked *asked,
			struct inodes *out)
{
	const int *fds = listeners_fds(config->listeners, asked->worker, asked->generation);
	struct stat st;

	for (uint32_t i = 0; fds && i < config->nr_listens; i++) {
		if (fds[i] >= 0 && !fstat(fds[i], &st))
			out->items[out->count++] = st.st_ino;
	}
	qsort(out->items, out->count, sizeof(*out->items), compare_inodes);
}

static bool accepts(const struct accepting_config *config, const struct asked *asked,
		    const struct inodes *inodes)
{
	const struct runner *runner =
		runner_find(config->runners, asked->worker, asked->generation);
	_cleanup_free_ pid_t *pids = NULL;
	int count = runner ? cgroup_pids(runner->cgroup_fd, &pids) : 0;

	return count > 0 && waits_at(inodes->items, inodes->count, pids, count);
}

static int run(void *memory)
{
	struct inodes inodes[MOST_ASKED] = { 0 };
	struct shared *shared = memory;
	const struct accepting_config *config = &shared->accepting->config;

	for (size_t i = 0; i < shared->count; i++)
		list_inodes(config, &shared->asked[i], &inodes[i]);
	/* a duplicate of a socket would keep its queue from moving */
	listeners_close_all(config->listeners);
	for (size_t i = 0; i < shared->count; i++)
		shared->asked[i].accepts = accepts(config, &shared->asked[i], &inodes[i]);
	return 0;
}

/* --- in the loop --- */

/* A look that took too long has found what it has. */
static void on_done(void *arg, int status, void *memory)
{
	struct accepting *accepting = arg;
	const struct shared *shared = memory;

	(void)status;
	accepting->task = NULL;
	for (size_t i = 0; i < shared->count; i++) {
		const struct asked *asked = &shared->asked[i];
		struct process *process =
			plan_process(accepting->config.plan, asked->worker, asked->generation);

		if (process && asked->accepts)
			process->accepts = true;
	}
	turn_mark(accepting->config.turn, TURN_DECIDE);
}

/* *youngest_us becomes the age of the youngest. */
static void find_asked(const struct accepting *accepting, uint64_t now_us, struct shared *shared,
		       uint64_t *youngest_us)
{
	const struct plan *plan = accepting->config.plan;

	*youngest_us = LATEST_US;
	for (uint32_t w = 0; w < plan->used; w++) {
		for (int role = 0; role < ROLES && shared->count < MOST_ASKED; role++) {
			const struct process *process = &plan->workers[w].at[role];
			uint64_t age_us = now_us - process->started_us;

			if (!plan_awaits_accept(plan, process))
				continue;
			shared->asked[shared->count++] =
				(struct asked){ .worker = w, .generation = process->generation };
			if (age_us < *youngest_us)
				*youngest_us = age_us;
		}
	}
}

static const struct task_spec looks = { run, on_done, sizeof(struct shared), DEADLINE_MS };

uint64_t accepting_look(struct accepting *accepting, uint64_t now_us)
{
	struct shared shared = { .accepting = accepting };
	uint64_t youngest_us;

	if (!accepting || accepting->task)
		return PLAN_NEVER;
	find_asked(accepting, now_us, &shared, &youngest_us);
	if (!shared.count)
		return PLAN_NEVER;
	if (now_us < accepting->next_us)
		return accepting->next_us;
	accepting->next_us = now_us + accepting_wait_us(youngest_us);
	if (task_start(accepting->config.loop, &looks, &shared, accepting, &accepting->task))
		return accepting->next_us;
	return PLAN_NEVER;
}

struct accepting *accepting_new(const struct accepting_config *config)
{
	struct accepting *accepting = calloc(1, sizeof(*accepting));

	if (accepting)
		accepting->config = *config;
	return accepting;
}

void accepting_free(struct accepting *accepting)
{
	if (!accepting)
		return;
	task_cancel(accepting->task);
	free(accepting);
}
