// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Who may talk to a keeper: root, the keeper's own user, and the group of a run; the workers' own
 * user and the group of a watched service may join and nothing else.
 */
#include <errno.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/trouble.h"
#include "keeper/control.h"
#include "keeper/keeper.h"

#define MOST_GROUPS 256 /* of a client that are looked at */
#define PAUSE_MS 100

static bool is_in_group(int fd, gid_t group)
{
	gid_t groups[MOST_GROUPS];
	socklen_t len = sizeof(groups);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len))
		return false;
	for (size_t i = 0; i < len / sizeof(*groups); i++) {
		if (groups[i] == group)
			return true;
	}
	return false;
}

static enum admission admit(const struct keeper *keeper, int fd, const struct ucred *peer)
{
	gid_t group = keeper->options.group;

	if (!peer->uid || peer->uid == getuid())
		return OPERATOR;
	/* that of a watched service was given to report load, not to control lbctl */
	if (group != LB_NO_GROUP && (peer->gid == group || is_in_group(fd, group)))
		return keeper->options.argv ? OPERATOR : WORKER;
	return peer->uid == keeper->worker_uid ? WORKER : STRANGER;
}

/*
 * It is told why, and hung up on. What it has sent meanwhile is taken first: a connection that is
 * closed with something unread gives its other end an error before the answer.
 */
static void send_away(int fd, int status, bool again, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static void send_away(int fd, int status, bool again, const char *format, ...)
{
	json_t *reply;
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	reply = json_pack("{s:i, s:s, s:b}", "status", status, "text", text, "again", again);
	control_send(fd, reply, -1);
	json_decref(reply);
	shutdown(fd, SHUT_RD);
	while (recv(fd, text, 1, MSG_DONTWAIT) > 0)
		continue;
	close(fd);
}

static int on_pause_end(sd_event_source *source, uint64_t usec, void *arg)
{
	struct keeper *keeper = arg;

	(void)source;
	(void)usec;
	sd_event_source_set_enabled(keeper->control_source, SD_EVENT_ON);
	return 0;
}

/*
 * There is no descriptor or no memory for who comes. It stays in the queue, where it would wake us
 * at once again, without end.
 */
static void pause_listening(struct keeper *keeper)
{
	keeper_set_timer(keeper, &keeper->control_timer, PAUSE_MS, on_pause_end, keeper);
	if (keeper->control_timer)
		sd_event_source_set_enabled(keeper->control_source, SD_EVENT_OFF);
}

static int on_connect(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct keeper *keeper = arg;
	int connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	enum admission admission = STRANGER;
	struct ucred peer = { .uid = -1 };
	socklen_t len = sizeof(peer);

	(void)source;
	(void)events;
	if (connection < 0) {
		if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
			pause_listening(keeper);
		return 0;
	}
	if (!getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &len))
		admission = admit(keeper, connection, &peer);
	if (admission == STRANGER)
		send_away(connection, EXIT_NOT_ABLE, false,
			  "user %u is not admitted by the keeper of %s, but root, its own user and "
			  "--group are",
			  peer.uid, keeper->options.name);
	else if (control_admit(keeper, connection, &peer, admission) == -EUSERS)
		send_away(connection, EXIT_FAILED, true,
			  "too many clients are connected; try again");
	return 0;
}

/* Lets those connect who may ask for something. A keeper without CAP_CHOWN keeps its service. */
static void let_in(struct keeper *keeper, const char *path)
{
	const char *user = keeper->options.user;
	const struct passwd *entry = user ? getpwnam(user) : NULL;
	uid_t uid = entry ? entry->pw_uid : (uid_t)-1;

	keeper->worker_uid = entry ? uid : getuid();
	/* LB_NO_GROUP is chown()'s "leave it", too */
	if (chown(path, uid, keeper->options.group))
		keeper_event(keeper, "trouble", NULL,
			     "only root and user %u can connect to %s: to let --group and the "
			     "user of --user in takes CAP_CHOWN",
			     getuid(), path);
}

_Static_assert(LB_NO_GROUP == (gid_t)-1, "chown() leaves the group as it is");

int control_open(struct keeper *keeper)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un at;
	int err = fd < 0 ? -errno : control_address(keeper->options.name, &at);

	if (err)
		return err;
	unlink(at.sun_path);
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) || chmod(at.sun_path, 0660) ||
	    listen(fd, 16))
		return -errno;
	let_in(keeper, at.sun_path);
	keeper->control_fd = fd_steal(&fd);
	return sd_event_add_io(keeper->loop, &keeper->control_source, keeper->control_fd, EPOLLIN,
			       on_connect, keeper);
}
