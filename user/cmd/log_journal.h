/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a unit's workers have written to the journal of systemd, sd-journal(3). */
#ifndef LOG_JOURNAL_H
#define LOG_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "cmd/log_tail.h"

/* Of lines that are lbctl's own, or nobody's: who wrote them had ended before journald looked. */
#define LOG_NO_WORKER UINT32_MAX

struct log_journal {
	struct sd_journal *journal;
	const char *service;
	uint32_t worker; /* whose lines alone are wanted, or LB_ALL_WORKERS */
	log_line_fn line;
	void *arg;
};

/*
 * Opens the unit's journal; the other fields are the caller's to set before. Returns 0 or -errno;
 * log_journal_close() is to follow in any case.
 */
int log_journal_open(struct log_journal *journal, const char *unit);

/* Tells the last `lines` lines that there are now and are wanted. Returns 0 or -errno. */
int log_journal_last(struct log_journal *journal, uint64_t lines);

/* Tells what has come since, and waits so long for more if nothing has. Returns 0 or -errno. */
int log_journal_follow(struct log_journal *journal, unsigned int wait_ms);

void log_journal_close(struct log_journal *journal);

/* Whose process is in this cgroup, a path as /proc/PID/cgroup has it? LOG_NO_WORKER: of none. */
uint32_t log_journal_worker(const char *cgroup, const char *service);

#endif
