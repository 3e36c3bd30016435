// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See control_client.h. */
#include "keeper/control_client.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "base/text_json.h"
#include "keeper/run_files.h"

#define MOST_CHANGES 128 /* a packet */

int control_address(const char *name, const char *ending, struct sockaddr_un *at)
{
	*at = (struct sockaddr_un){ .sun_family = AF_UNIX };
	return snprintf(at->sun_path, sizeof(at->sun_path), RUN_FILES_DIR "/%s.%s", name, ending) >=
			       (int)sizeof(at->sun_path) ?
		       -ENAMETOOLONG :
		       0;
}

/*
 * Has the process ended that listens there? One that it had just forked has the socket for a moment
 * longer than a keeper that is killed.
 */
static bool is_dead(int fd)
{
	struct ucred peer = { 0 };
	socklen_t len = sizeof(peer);
	_cleanup_close_ int pidfd = -1;

	/* 0: it is in a pid namespace that we don't see */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) || peer.pid <= 0)
		return false;
	pidfd = syscall(__NR_pidfd_open, peer.pid, 0);
	if (pidfd < 0)
		return errno == ESRCH;
	return poll(&(struct pollfd){ .fd = pidfd, .events = POLLIN }, 1, 0) == 1;
}

static int connect_to(const char *name, int flags)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | flags, 0);
	struct sockaddr_un at;
	int err = fd < 0 ? -errno : control_address(name, CONTROL_PACKETS, &at);

	if (!err && connect(fd, (struct sockaddr *)&at, sizeof(at)))
		err = -errno;
	if (!err && is_dead(fd))
		err = -ECONNREFUSED;
	return err ? err : fd_steal(&fd);
}

int control_connect(const char *name)
{
	return connect_to(name, 0);
}

int control_connect_now(const char *name)
{
	return connect_to(name, SOCK_NONBLOCK);
}

int control_request(int fd, const json_t *request)
{
	_cleanup_free_ char *text = json_dumps(request, JSON_COMPACT);

	if (!text)
		return -ENOMEM;
	if (strlen(text) > CONTROL_MOST_BYTES)
		return -EMSGSIZE;
	return send(fd, text, strlen(text), MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int control_receive(int fd, json_t **value)
{
	static char bytes[CONTROL_MOST_BYTES];
	ssize_t n;

	do {
		n = recv(fd, bytes, sizeof(bytes), 0);
	} while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n ? -errno : -EPIPE;
	*value = json_loadb(bytes, n, 0, NULL);
	return *value ? 0 : -EBADMSG;
}

void control_add_change(json_t *changes, const char *type, json_t *details, const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	text_vformat(text, sizeof(text), format, args);
	va_end(args);
	json_array_append_new(changes, text_pack("{s:s, s:o, s:s}", "type", type, "details",
						 details ? details : json_object(), "text", text));
}

static void tell_some(int fd, json_t *some)
{
	json_t *request = text_pack("{s:s, s:o}", "verb", "changed", "changes", some);

	control_request(fd, request);
	json_decref(request);
}

void control_tell(const char *name, json_t *changes)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	json_t *change, *some = json_array();
	struct sockaddr_un at;
	size_t i;

	if (json_array_size(changes) && !control_address(name, CONTROL_PACKETS, &at) &&
	    !connect(fd, (struct sockaddr *)&at, sizeof(at))) {
		json_array_foreach(changes, i, change) {
			json_array_append(some, change);
			if (json_array_size(some) < MOST_CHANGES &&
			    i + 1 < json_array_size(changes))
				continue;
			tell_some(fd, some);
			some = json_array();
		}
	}
	json_decref(some);
	json_decref(changes);
}

pid_t control_keeper(const char *name)
{
	_cleanup_close_ int fd = control_connect_now(name);
	struct ucred peer;
	socklen_t len = sizeof(peer);

	/* one that is stopped, and has as many waiting as it takes, is there all the same */
	if (fd == -EAGAIN)
		return run_files_holder(name) > 0 ? run_files_holder(name) : 0;
	if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len))
		return 0;
	return peer.pid;
}
