// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See worker_env.h. */
#include "keeper/worker_env.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/envfile.h"
#include "keeper/node.h"
#include "keeper/user_rights.h"

static void set_number(const char *name, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%lu", (unsigned long)value);
	setenv(name, text, 1);
}

/* Others hand the variable on to a Node.js that they start, and close the descriptor: it aborts. */
static void set_channel(const struct spawn_spec *spec)
{
	uint64_t fd = SPAWN_FIRST_FD + spec->nr_listen_fds;

	set_number(SPAWN_CHANNEL, fd);
	if (node_is_run(spec->argv)) {
		set_number("NODE_CHANNEL_FD", fd);
		setenv("NODE_CHANNEL_SERIALIZATION_MODE", "json", 1);
	} else {
		unsetenv("NODE_CHANNEL_FD");
		unsetenv("NODE_CHANNEL_SERIALIZATION_MODE");
	}
}

/* Below lbctl run the package does nothing unless it is told to; who has told it knows better. */
static void load_package(const struct spawn_spec *spec)
{
	const char *before = getenv("NODE_OPTIONS");
	char *options;

	if (!spec->node_package || strpbrk(spec->node_package, "\"\\") || getenv("LBCTL_CLUSTER") ||
	    !node_is_run(spec->argv))
		return;
	if (asprintf(&options, "%s%s--require \"%s\"", before ? before : "",
		     before && *before ? " " : "", spec->node_package) < 0)
		return;
	setenv("LBCTL_CLUSTER", "on", 1);
	setenv("NODE_OPTIONS", options, 1);
	free(options);
}

static void set_own(const struct spawn_spec *spec)
{
	setenv("LBCTL_SERVICE", spec->service, 1);
	/* its processes would all say that they are the same one */
	if (spec->forks) {
		unsetenv("LBCTL_WORKER");
		unsetenv("LBCTL_WORKERS");
		load_package(spec);
	} else {
		set_number("LBCTL_WORKER", spec->worker);
		set_number("LBCTL_WORKERS", spec->workers);
	}
	set_number("LBCTL_INSTANCE", spec->instance);
	if (spec->instance_var)
		set_number(spec->instance_var, spec->worker);
	set_channel(spec);
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	if (spec->watchdog_ms) {
		set_number("WATCHDOG_USEC", spec->watchdog_ms * 1000);
		set_number("WATCHDOG_PID", getpid());
	}
	if (spec->notify_path)
		setenv("NOTIFY_SOCKET", spec->notify_path, 1);
	if (spec->nr_listen_fds) {
		set_number("LISTEN_FDS", spec->nr_listen_fds);
		set_number("LISTEN_PID", getpid());
	}
}

static int read_file(const char *path, char **text, size_t *len)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;
	ssize_t n = 1;

	if (fd < 0 || fstat(fd, &st))
		return errno;
	if (!S_ISREG(st.st_mode))
		return EINVAL;
	if (st.st_size > ENVFILE_MOST_BYTES)
		return EFBIG;
	*text = malloc(st.st_size + 1);
	if (!*text)
		return ENOMEM;
	while (n > 0 && *len < (size_t)st.st_size) {
		n = read(fd, *text + *len, st.st_size - *len);
		*len += n > 0 ? n : 0;
	}
	return n < 0 ? errno : 0;
}

/* Else who can put a link there would be given what is root's alone to read. */
static int read_by_path(const char *path, const char *user, char **text, size_t *len)
{
	char inside[PATH_MAX + 1];
	int err;

	snprintf(inside, sizeof(inside), "%s/", path);
	err = user_rights_take(inside, user);
	if (err && err != -EXDEV)
		return -err;
	err = read_file(path, text, len);
	user_rights_give_back();
	return err;
}

int worker_env_read(const struct spawn_spec *spec, char **text, size_t *len)
{
	int err;

	*text = NULL;
	*len = 0;
	err = spec->env_file ? read_by_path(spec->env_file, spec->user, text, len) : 0;
	return err ? -(SPAWN_ENV_FILE + err) : 0;
}

static void set_one(void *arg, const char *name, const char *value)
{
	(void)arg;
	setenv(name, value, 1);
}

int worker_env_set(const struct spawn_spec *spec, const char *text, size_t len)
{
	unsigned int line = 0;
	int err = text ? envfile_parse(text, len, set_one, NULL, &line) : 0;

	if (err)
		return err == -EBADMSG ? -(SPAWN_ENV_LINE + (int)line) : err;
	set_own(spec);
	return 0;
}
