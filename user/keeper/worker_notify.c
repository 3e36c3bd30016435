// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See worker_notify.h. */
#include "keeper/worker_notify.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "keeper/receive.h"
#include "keeper/task.h"

#define MOST_A_TURN 64 /* messages; who sends without end must not starve the others */

struct worker_notify {
	int fd;
	sd_event_source *source;
	void (*take)(void *arg, pid_t pid, const char *line);
	void *arg;
};

/* Returns false when there is no message. */
static bool take_message(const struct worker_notify *notify)
{
	struct received with;
	char text[1024], *rest = text, *line;
	ssize_t n = receive(notify->fd, text, sizeof(text) - 1, &with);

	if (n < 0)
		return false;
	received_drop(&with);
	text[n] = '\0';
	while (with.pid && (line = strsep(&rest, "\n")))
		notify->take(notify->arg, with.pid, line);
	return true;
}

static int on_message(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	(void)source;
	(void)fd;
	(void)events;
	for (int i = 0; i < MOST_A_TURN && take_message(arg); i++)
		continue;
	return 0;
}

static int let_in(const char *path, uid_t user)
{
	/* in this order: to change the mode of another user's file takes CAP_FOWNER */
	if (user != (uid_t)-1 && !chmod(path, 0600) && !chown(path, user, -1))
		return 0;
	return chmod(path, 0666);
}

int worker_notify_open(sd_event *loop, const char *path, uid_t user,
		       void (*take)(void *arg, pid_t pid, const char *line), void *arg,
		       struct worker_notify **out)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const int on = 1;
	struct worker_notify *notify;
	int err;

	if (fd < 0)
		return -errno;
	if (snprintf(at.sun_path, sizeof(at.sun_path), "%s", path) >= (int)sizeof(at.sun_path))
		return -ENAMETOOLONG;
	unlink(at.sun_path);
	receive_no_fds(fd);
	if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) ||
	    bind(fd, (struct sockaddr *)&at, sizeof(at)) || let_in(at.sun_path, user))
		return -errno;
	notify = calloc(1, sizeof(*notify));
	if (!notify)
		return -ENOMEM;
	*notify = (struct worker_notify){ .fd = fd, .take = take, .arg = arg };
	err = sd_event_add_io(loop, &notify->source, fd, EPOLLIN, on_message, notify);
	if (err < 0) {
		free(notify);
		return err;
	}
	fd = -1;
	*out = notify;
	return 0;
}

void worker_notify_close(struct worker_notify *notify)
{
	if (!notify)
		return;
	sd_event_source_disable_unref(notify->source);
	/* what nobody read may hold descriptors */
	task_drop_fd(&notify->fd);
	free(notify);
}
