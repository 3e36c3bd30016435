// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See waits.h. */
#include "host/waits.h"

#include <ctype.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "host/proc_file.h"
#include "host/procs.h"

#define MOST_FDS 1024
#define MOST_THREADS 256 /* of one process are looked at */
#define LONG_BITS (CHAR_BIT * sizeof(unsigned long))

void waits_parse(const char *text, struct waits_call *out)
{
	/* not every architecture has the older ones */
	static const struct {
		long number;
		int how;
	} calls[] = {
		{ SYS_accept, WAITS_FD },	{ SYS_accept4, WAITS_FD },
		{ SYS_recvfrom, WAITS_FD },	{ SYS_recvmsg, WAITS_FD },
		{ SYS_recvmmsg, WAITS_FD },	{ SYS_ppoll, WAITS_POLL },
		{ SYS_pselect6, WAITS_SELECT },
#ifdef SYS_poll
		{ SYS_poll, WAITS_POLL },
#endif
#ifdef SYS_select
		{ SYS_select, WAITS_SELECT },
#endif
	};
	unsigned long long args[2];
	long number;

	*out = (struct waits_call){ .how = WAITS_NOT };
	/* "running", or -1 of one that is in no call */
	if (sscanf(text, "%ld 0x%llx 0x%llx", &number, &args[0], &args[1]) != 3)
		return;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		if (calls[i].number == number)
			*out = (struct waits_call){ calls[i].how, { args[0], args[1] } };
	}
}

/* --- one thread --- */

struct look {
	const uint64_t *inodes;
	size_t n;
	pid_t pid;
};

static bool is_one(const struct look *look, uint64_t fd)
{
	char path[64], link[64];
	uint64_t inode;
	ssize_t len;

	if (fd > INT_MAX)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", look->pid, (int)fd);
	len = readlink(path, link, sizeof(link) - 1);
	if (len < 0)
		return false;
	link[len] = '\0';
	inode = procs_parse_link(link);
	for (size_t i = 0; i < look->n; i++) {
		if (inode && look->inodes[i] == inode)
			return true;
	}
	return false;
}

static bool read_memory(const struct look *look, uint64_t from, void *to, size_t bytes)
{
	const struct iovec local = { to, bytes };
	const struct iovec remote = { (void *)(uintptr_t)from, bytes };

	return process_vm_readv(look->pid, &local, 1, &remote, 1, 0) == (ssize_t)bytes;
}

static bool polls_one(const struct look *look, uint64_t from, uint64_t count)
{
	struct pollfd fds[MOST_FDS];
	size_t n = count < MOST_FDS ? count : MOST_FDS;

	if (!read_memory(look, from, fds, n * sizeof(*fds)))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (fds[i].fd >= 0 && is_one(look, fds[i].fd))
			return true;
	}
	return false;
}

static bool selects_one(const struct look *look, uint64_t count, uint64_t from)
{
	unsigned long bits[MOST_FDS / LONG_BITS];
	size_t n = count < MOST_FDS ? count : MOST_FDS;

	if (!read_memory(look, from, bits, (n + LONG_BITS - 1) / LONG_BITS * sizeof(*bits)))
		return false;
	for (size_t fd = 0; fd < n; fd++) {
		if (bits[fd / LONG_BITS] >> fd % LONG_BITS & 1 && is_one(look, fd))
			return true;
	}
	return false;
}

static bool thread_waits(const struct look *look, const char *tid)
{
	char name[64], text[256];
	struct waits_call call;

	snprintf(name, sizeof(name), "task/%.16s/syscall", tid);
	if (proc_file_read(look->pid, name, text, sizeof(text)) < 0)
		return false;
	waits_parse(text, &call);
	switch (call.how) {
	case WAITS_FD:
		return is_one(look, call.args[0]);
	case WAITS_POLL:
		return polls_one(look, call.args[0], call.args[1]);
	case WAITS_SELECT:
		return selects_one(look, call.args[0], call.args[1]);
	default:
		return false;
	}
}

/* --- one process --- */

static bool process_waits(const struct look *look)
{
	_cleanup_closedir_ DIR *dir = NULL;
	const struct dirent *entry;
	unsigned int threads = 0;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task", look->pid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir)) && threads < MOST_THREADS) {
		if (!isdigit((unsigned char)*entry->d_name))
			continue;
		threads++;
		if (thread_waits(look, entry->d_name))
			return true;
	}
	return false;
}

bool waits_at(const uint64_t *inodes, size_t n, const pid_t *pids, size_t nr_pids)
{
	struct procs_list holders;
	bool waits = false;

	if (procs_find_holders_among(inodes, n, pids, nr_pids, &holders))
		return false;
	for (size_t i = 0; i < holders.count && !waits; i++) {
		const struct look look = { inodes, n, holders.items[i].pid };

		waits = holders.items[i].polls || process_waits(&look);
	}
	procs_free(&holders);
	return waits;
}
