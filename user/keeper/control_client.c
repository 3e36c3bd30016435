// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See control.h. */
#include "keeper/control.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "keeper/keeper.h"

int control_address(const char *name, struct sockaddr_un *at)
{
	*at = (struct sockaddr_un){ .sun_family = AF_UNIX };
	return snprintf(at->sun_path, sizeof(at->sun_path), KEEPER_DIR "/%s.sock", name) >=
			       (int)sizeof(at->sun_path) ?
		       -ENAMETOOLONG :
		       0;
}

int control_connect(const char *name)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct sockaddr_un at;
	int err = fd < 0 ? -errno : control_address(name, &at);

	if (!err && connect(fd, (struct sockaddr *)&at, sizeof(at)))
		err = -errno;
	return err ? err : fd_steal(&fd);
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

void control_poke(const char *name)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const char request[] = "{\"verb\":\"look\"}";
	struct sockaddr_un at;

	if (!control_address(name, &at) && !connect(fd, (struct sockaddr *)&at, sizeof(at)))
		send(fd, request, strlen(request), MSG_NOSIGNAL);
}

pid_t control_keeper(const char *name)
{
	_cleanup_close_ int fd = control_connect(name);
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len))
		return 0;
	return peer.pid;
}
