/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a process uses, and how it was started, as /proc says. */
#ifndef USAGE_H
#define USAGE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct usage {
	uint64_t uptime_ms;
	uint64_t cpu_ms;       /* user and system time since its start, all threads, no children */
	uint64_t memory_bytes; /* resident */
};

/* Returns 0, -ESRCH (no such process) or -EBADMSG. */
int usage_read(pid_t pid, struct usage *usage);

/*
 * The resident memory of all processes in a cgroup and below; what they share counts for each, and
 * one that can't be read does not count.
 */
uint64_t usage_memory_of_cgroup(int dir_fd);

/*
 * Its command line, words with spaces between them, as text.h writes what others chose; what does
 * not fit is cut. "" for a process that has none, as a kernel thread or one that is gone.
 */
void usage_command(pid_t pid, char *out, size_t len);

/* In clock ticks and pages: fields 14, 15, 22 and 24 of a text like /proc/PID/stat. */
struct usage_stat {
	uint64_t cpu_ticks, start_ticks, resident_pages;
};

/* Returns 0, or -EBADMSG and then nothing is set. */
int usage_parse_stat(const char *text, struct usage_stat *stat);

#endif
