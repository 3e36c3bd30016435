// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See orphans.h. */
#include "keeper/orphans.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"

/* P_PID: this child; P_ALL: any. */
static bool has_ended(idtype_t type, pid_t pid)
{
	siginfo_t info = { 0 };

	return !waitid(type, pid, &info, WEXITED | WNOHANG | WNOWAIT) && info.si_pid;
}

/* Children that the keeper waits for are in its own process group. */
static bool is_ours(const struct runners *all, pid_t pid)
{
	if (getpgid(pid) == getpgrp())
		return true;
	for (uint32_t w = 0; w < LB_MAX_WORKERS; w++) {
		for (const struct runner *runner = all->of[w]; runner; runner = runner->next) {
			if (runner->pid == pid)
				return true;
		}
	}
	return false;
}

void orphans_reap(const struct runners *all)
{
	_cleanup_fclose_ FILE *file = NULL;
	int pid;

	if (!has_ended(P_ALL, 0))
		return;
	file = fopen("/proc/thread-self/children", "re");
	while (file && fscanf(file, "%d", &pid) == 1) {
		if (has_ended(P_PID, pid) && !is_ours(all, pid))
			waitpid(pid, NULL, WNOHANG);
	}
}
