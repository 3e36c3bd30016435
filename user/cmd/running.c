// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See running.h. The note has one line: "begun" or "done", a blank, and the file. */
#include "cmd/running.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cmd/kept.h"
#include "keeper/control_client.h"
#include "keeper/leftovers.h"
#include "keeper/run_files.h"
#include "service/state.h"

#define NOTE "applied"
#define BEGUN "begun "
#define DONE "done "

static void read_note(const char *name, struct running *running)
{
	char line[PATH_MAX];

	if (run_files_read(name, NOTE, line))
		return;
	running->half = !strncmp(line, BEGUN, strlen(BEGUN));
	if (running->half)
		running->file = strdup(line + strlen(BEGUN));
	else if (!strncmp(line, DONE, strlen(DONE)))
		running->file = strdup(line + strlen(DONE));
}

void running_note(const char *name, const char *file, bool done)
{
	char line[PATH_MAX + 16];

	if (mkdir(RUN_FILES_DIR, 0755) && errno != EEXIST)
		return;
	snprintf(line, sizeof(line), "%s%s", done ? DONE : BEGUN, file);
	run_files_write(name, NOTE, line);
}

uint32_t running_workers(const char *name, int most_ms)
{
	_cleanup_close_ int fd = most_ms < 0 ? control_connect(name) : control_connect_now(name);
	json_t *request = text_pack("{s:s}", "verb", "hello"), *reply = NULL;
	uint32_t workers = 0;

	if (fd >= 0 && !control_request(fd, request) &&
	    poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, most_ms) == 1 &&
	    !control_receive(fd, &reply))
		workers = json_integer_value(json_object_get(reply, "workers"));
	json_decref(request);
	json_decref(reply);
	return workers;
}

void running_read(const char *name, struct running *running)
{
	char link[64];
	struct state state;
	ssize_t n;

	*running = (struct running){ .keeper = control_keeper(name) };
	read_note(name, running);
	if (!running->keeper) {
		running->left = leftovers_exist(name);
		running->attached = !running->left && !state_open(&state, name, STATE_READ);
		if (running->attached)
			state_close(&state);
		return;
	}
	running->workers = running_workers(name, -1);
	running->argv = kept_read(running->keeper);
	snprintf(link, sizeof(link), "/proc/%d/cwd", running->keeper);
	n = readlink(link, running->directory, sizeof(running->directory) - 1);
	running->directory[n > 0 ? n : 0] = '\0';
}

void running_free(struct running *running)
{
	free(running->file);
	free(running->argv);
}

/* "web.applied" of service web. */
static bool parse_note_name(const char *file, char name[LB_NAME_MAX + 1])
{
	const char *dot = strrchr(file, '.');

	if (!dot || strcmp(dot + 1, NOTE) || dot - file > LB_NAME_MAX)
		return false;
	snprintf(name, LB_NAME_MAX + 1, "%.*s", (int)(dot - file), file);
	return !parse_name(name);
}

static bool is_of(const char *name, const char *file)
{
	char path[RUN_FILES_PATH_BYTES];
	struct running running;
	bool is_it, runs;

	running_read(name, &running);
	is_it = running.file && !strcmp(running.file, file);
	runs = running.keeper || running.left;
	running_free(&running);
	if (is_it && !runs) {
		run_files_path(name, NOTE, path);
		unlink(path);
	}
	return is_it && runs;
}

static int compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

int running_of_file(const char *file, char (**names)[LB_NAME_MAX + 1])
{
	_cleanup_closedir_ DIR *dir = opendir(RUN_FILES_DIR);
	const struct dirent *entry;
	char name[LB_NAME_MAX + 1], (*more)[LB_NAME_MAX + 1];
	int n = 0;

	*names = NULL;
	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	while ((entry = readdir(dir))) {
		if (!parse_note_name(entry->d_name, name) || !is_of(name, file))
			continue;
		more = reallocarray(*names, n + 1, sizeof(**names));
		if (!more)
			return -ENOMEM;
		*names = more;
		strcpy(more[n++], name);
	}
	if (n)
		qsort(*names, n, sizeof(**names), compare);
	return n;
}
