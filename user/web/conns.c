// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See conns.h. */
#include "web/conns.h"

#include <stdlib.h>
#include <sys/socket.h>

/* In the order of what they did last, the newest first. */
struct conn {
	struct conns *conns;
	struct conn *newer, *older;
	int fd; /* -1 = hung up on */
	bool busy;
};

static void take_out(struct conn *conn)
{
	*(conn->newer ? &conn->newer->older : &conn->conns->newest) = conn->older;
	if (conn->older)
		conn->older->newer = conn->newer;
}

static void put_first(struct conn *conn)
{
	conn->newer = NULL;
	conn->older = conn->conns->newest;
	if (conn->older)
		conn->older->newer = conn;
	conn->conns->newest = conn;
}

void conns_on_notify(void *arg, struct MHD_Connection *connection, void **context,
		     enum MHD_ConnectionNotificationCode code)
{
	struct conns *conns = arg;
	struct conn *conn = *context;

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		*context = conn = calloc(1, sizeof(*conn));
		if (!conn)
			return;
		conn->conns = conns;
		conn->fd = mhd.get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)
				   ->connect_fd;
		put_first(conn);
		conns->count++;
	} else if (conn) {
		take_out(conn);
		conns->count--;
		free(conn);
		*context = NULL;
	}
}

void conns_set_busy(struct MHD_Connection *connection, bool busy)
{
	struct conn *conn = mhd.get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)
				    ->socket_context;

	if (!conn)
		return;
	conn->busy = busy;
	take_out(conn);
	put_first(conn);
}

bool conns_make_room(struct conns *conns)
{
	struct conn *idlest = NULL;

	if (conns->count < CONNS_MOST)
		return true;
	for (struct conn *conn = conns->newest; conn; conn = conn->older) {
		if (!conn->busy && conn->fd >= 0)
			idlest = conn;
	}
	if (!idlest)
		return false;
	shutdown(idlest->fd, SHUT_RDWR);
	idlest->fd = -1;
	return true;
}
