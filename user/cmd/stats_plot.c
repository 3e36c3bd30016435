// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See stats_plot.h. */
#include "cmd/stats_plot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cmd/follow.h"
#include "cmd/interrupt.h"
#include "cmd/plot_record.h"
#include "cmd/view.h"

static double now_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

static int look(const struct cmd *cmd, const char *name, struct plot_record *record,
		struct follow *follow)
{
	struct census census = { 0 };
	struct trouble trouble;
	json_t *events, *event;
	struct view view;
	size_t i;
	int err = view_load_name(name, &census, &view);

	census_free(&census);
	if (err) {
		state_trouble(&trouble, name, err);
		return cmd_trouble(cmd, &trouble);
	}
	if (view.keeper)
		follow_add(follow, name);
	events = follow_take(follow);
	json_array_foreach(events, i, event) {
		plot_record_event(record, event);
	}
	json_decref(events);
	err = plot_record_add(record, &view, now_seconds());
	view_free(&view);
	return err ? cmd_fail(cmd, EXIT_FAILED, "out of memory") : EXIT_DONE;
}

static int record_all(const struct cmd *cmd, const char *name, struct plot_record *record,
		      uint64_t seconds)
{
	const struct timespec nap = { .tv_sec = 1 };
	struct follow follow = { 0 };
	int status;

	interrupt_catch();
	status = look(cmd, name, record, &follow);
	for (uint64_t i = 0; i < seconds && !interrupt_came() && !status; i++) {
		nanosleep(&nap, NULL);
		status = look(cmd, name, record, &follow);
	}
	follow_end(&follow);
	return status;
}

/* What was in the file is there until the picture is. */
static int draw(const struct cmd *cmd, const struct plot_record *record, int fd, const char *path)
{
	FILE *out = ftruncate(fd, 0) && errno != EINVAL ? NULL : fdopen(fd, "w");
	int err = out ? plot_record_write(record, out) : -errno;

	if (out && fclose(out) && !err)
		err = -errno;
	else if (!out)
		close(fd);
	return err ? cmd_fail(cmd, EXIT_FAILED, "can't write %s: %s", path, strerror(-err)) :
		     EXIT_DONE;
}

int stats_plot(const struct cmd *cmd, const char *name, const char *path, uint64_t seconds)
{
	struct plot_record *record = plot_record_new(seconds + 2);
	_cleanup_close_ int fd = -1;
	int status = EXIT_DONE;

	/* before a minute is spent on it */
	fd = record ? open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644) : -1;
	if (!record)
		status = cmd_fail(cmd, EXIT_FAILED, "out of memory");
	else if (fd < 0)
		status = cmd_fail(cmd, EXIT_FAILED, "can't write %s: %s", path, strerror(errno));
	if (!status)
		status = record_all(cmd, name, record, seconds);
	if (!status) {
		status = draw(cmd, record, fd, path);
		fd = -1;
	}
	if (!status && cmd->json)
		status = cmd_print_json(
			text_pack("{s:i, s:s, s:s}", "schema", 1, "service", name, "plot", path));
	else if (!status)
		printf("%s: drawn to %s\n", name, path);
	plot_record_free(record);
	return status;
}
