// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See processes.h. */
#include "harness/processes.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "harness/counters.h"
#include "harness/world.h"

static pid_t parent_of(pid_t pid)
{
	char path[64], line[512] = "";
	const char *name_end;
	int parent = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (fgets(line, sizeof(line), file) && (name_end = strrchr(line, ')')))
		sscanf(name_end + 1, " %*c %d", &parent);
	fclose(file);
	return parent;
}

size_t processes_children(pid_t parent, pid_t *pids, size_t max)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	size_t n = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		pid_t pid = atoi(entry->d_name);

		if (pid <= 0 || parent_of(pid) != parent)
			continue;
		if (n < max)
			pids[n] = pid;
		n++;
	}
	closedir(dir);
	return n;
}

static bool is_named(pid_t pid, const char *name)
{
	char path[64], line[32] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	file = fopen(path, "re");
	if (!file)
		return false;
	if (fgets(line, sizeof(line), file))
		line[strcspn(line, "\n")] = '\0';
	fclose(file);
	return !strcmp(line, name);
}

pid_t processes_child_named(pid_t parent, const char *name)
{
	pid_t pids[64];
	size_t n = processes_children(parent, pids, ARRAY_SIZE(pids));

	for (size_t i = 0; i < n && i < ARRAY_SIZE(pids); i++) {
		if (is_named(pids[i], name))
			return pids[i];
	}
	return 0;
}

char process_state(pid_t pid)
{
	char path[64], state = 'X';
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "re");
	if (!file)
		return 'X';
	if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
		state = 'X';
	fclose(file);
	return state;
}

/* A zombie does not. */
bool process_lives(pid_t pid)
{
	char state = pid > 0 ? process_state(pid) : 'X';

	return state != 'Z' && state != 'X';
}

unsigned long process_resident_kib(pid_t pid)
{
	static const char name[] = "VmRSS:";
	unsigned long kib;
	char path[64], *text, *at;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	text = file_read(path);
	at = strstr(text, name);
	if (!at)
		fail_msg("%s has no %s", path, name);
	kib = strtoul(at + strlen(name), NULL, 10);
	free(text);
	return kib;
}

static bool listens(int fd)
{
	int is_listening = 0;
	socklen_t len = sizeof(is_listening);

	return !getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &len) && is_listening;
}

size_t process_listeners(pid_t pid, int *fds, size_t max)
{
	int pidfd = syscall(SYS_pidfd_open, pid, 0);
	size_t n = 0;

	assert_true(pidfd >= 0);
	for (int number = 0; number < 64 && n < max; number++) {
		int fd = syscall(SYS_pidfd_getfd, pidfd, number, 0);

		if (fd >= 0 && listens(fd))
			fds[n++] = fd;
		else if (fd >= 0)
			close(fd);
	}
	close(pidfd);
	if (!n)
		fail_msg("pid %d has no listening socket", pid);
	return n;
}
