// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See procs.h: what /proc says of one process. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/parse.h"
#include "host/proc_file.h"
#include "host/procs.h"

#define STATUS_BYTES 1024 /* of /proc/PID/status, which begins with what is asked for */
#define PATH_BYTES 64

int procs_parse_stat(const char *text, uint64_t *ticks)
{
	/* The name is field 2 in parentheses and may itself hold spaces and parentheses. */
	const char *at = strrchr(text, ')');
	char digits[24];
	size_t len;

	if (!at)
		return -EBADMSG;
	at++;
	for (int field = 3; field <= 22; field++) {
		at = strchr(at, ' ');
		if (!at)
			return -EBADMSG;
		at++;
	}
	len = strcspn(at, " \n");
	if (len >= sizeof(digits))
		return -EBADMSG;
	memcpy(digits, at, len);
	digits[len] = '\0';
	return parse_u64(digits, 0, UINT64_MAX, ticks) ? -EBADMSG : 0;
}

/* A file or directory that is not there means that the process is not. */
static int process_error(int error)
{
	return error == ENOENT ? -ESRCH : -error;
}

int procs_start_time(pid_t pid, uint64_t *ticks)
{
	char text[PROC_STAT_BYTES];
	ssize_t n = proc_file_read(pid, "stat", text, sizeof(text));

	return n < 0 ? (int)n : procs_parse_stat(text, ticks);
}

/* What stat(2) says of a file of the process; "" is the directory. */
static int stat_file(pid_t pid, const char *file, struct stat *st)
{
	char path[PATH_BYTES];

	snprintf(path, sizeof(path), "/proc/%d%s", pid, file);
	return stat(path, st) ? process_error(errno) : 0;
}

static const char *our_program = "/proc/self/exe";

void procs_set_our_program(const char *path)
{
	our_program = path;
}

bool procs_runs_our_program(pid_t pid)
{
	struct stat its, ours;

	return !stat_file(pid, "/exe", &its) && !stat(our_program, &ours) &&
	       its.st_dev == ours.st_dev && its.st_ino == ours.st_ino;
}

int procs_netns(pid_t pid, uint64_t *inode)
{
	struct stat st;
	int err = stat_file(pid, "/ns/net", &st);

	if (!err)
		*inode = st.st_ino;
	return err;
}

int procs_uid(pid_t pid, uid_t *uid)
{
	struct stat st;
	/* The directory is the effective user's even where its files are root's (not dumpable). */
	int err = stat_file(pid, "", &st);

	if (!err)
		*uid = st.st_uid;
	return err;
}

/* In a name the kernel writes an end of line otherwise, so these lines are its own. */
static int parse_four(const char *text, const char *title, unsigned int out[PROCS_IDS])
{
	const char *line = strstr(text, title);

	return line && sscanf(line + strlen(title), "%u %u %u %u", &out[0], &out[1], &out[2],
			      &out[3]) == PROCS_IDS ?
		       0 :
		       -EBADMSG;
}

int procs_parse_ids(const char *text, struct procs_ids *ids)
{
	return parse_four(text, "\nUid:", ids->uid) || parse_four(text, "\nGid:", ids->gid) ?
		       -EBADMSG :
		       0;
}

int procs_ids(pid_t pid, struct procs_ids *ids)
{
	char text[STATUS_BYTES];
	ssize_t n = proc_file_read(pid, "status", text, sizeof(text));

	return n < 0 ? (int)n : procs_parse_ids(text, ids);
}

pid_t procs_tracer(pid_t pid)
{
	static const char title[] = "\nTracerPid:\t";
	char text[STATUS_BYTES];
	ssize_t n = proc_file_read(pid, "status", text, sizeof(text));
	const char *line = n < 0 ? NULL : strstr(text, title);
	int tracer;

	if (n < 0)
		return (int)n;
	return line && sscanf(line + strlen(title), "%d", &tracer) == 1 ? tracer : 0;
}

pid_t procs_first_started(const pid_t *pids, int n)
{
	uint64_t start, earliest = UINT64_MAX;
	pid_t leader = 0;

	for (int i = 0; i < n; i++) {
		if (pids[i] > 0 && !procs_start_time(pids[i], &start) && start < earliest) {
			earliest = start;
			leader = pids[i];
		}
	}
	return leader;
}
