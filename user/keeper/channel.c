// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A worker's message channel, NODE_CHANNEL_FD: lines of JSON, both ways, as Node.js sends them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/cleanup.h"
#include "keeper/keeper.h"

#define MOST_LINE_BYTES 65536

static void take_message(struct proc *proc, const char *line)
{
	json_t *message = json_loads(line, JSON_DECODE_ANY, NULL);
	const char *internal;

	if (!message)
		return;
	internal = json_string_value(json_object_get(message, "cmd"));
	if (internal && !strncmp(internal, "NODE_", 5)) {
		json_decref(message);
		return;
	}
	if (json_is_string(message) && !strcmp(json_string_value(message), "ready")) {
		proc->said_ready = true;
		proc_note(proc, PROC_READY);
		keeper_sync(proc->keeper);
		keeper_step(proc->keeper);
	}
	keeper_event(proc->keeper, "message",
		     json_pack("{s:i, s:i, s:o}", "worker", proc->worker, "pid", proc->process.pid,
			       "message", message),
		     "worker %u says: %s", proc->worker, line);
}

static void take_bytes(struct proc *proc, const char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (bytes[i] == '\n') {
			proc->line[proc->line_len] = '\0';
			if (proc->line_len)
				take_message(proc, proc->line);
			proc->line_len = 0;
		} else if (proc->line_len < MOST_LINE_BYTES - 1) {
			proc->line[proc->line_len++] = bytes[i];
		}
	}
}

/* At most one buffer a turn: a worker that never stops sending must not starve the others. */
static int on_channel(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct proc *proc = arg;
	char bytes[4096];
	ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	(void)events;
	if (n > 0)
		take_bytes(proc, bytes, n);
	else if (!n || (errno != EAGAIN && errno != EINTR))
		sd_event_source_set_enabled(source, SD_EVENT_OFF);
	return 0;
}

int proc_send(struct proc *proc, const char *line)
{
	struct iovec parts[] = {
		{ .iov_base = (void *)line, .iov_len = strlen(line) },
		{ .iov_base = (char[]){ "\n" }, .iov_len = 1 },
	};
	const struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
	ssize_t n;

	if (proc->process.channel_fd < 0)
		return -ENOTCONN;
	n = sendmsg(proc->process.channel_fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0)
		return -errno;
	/* half a line would spoil the next one, so there is no next one */
	if ((size_t)n != parts[0].iov_len + 1) {
		close_fd(&proc->process.channel_fd);
		return -EMSGSIZE;
	}
	return 0;
}

int proc_hear(struct proc *proc)
{
	int err;

	proc->line = malloc(MOST_LINE_BYTES);
	if (!proc->line)
		return -ENOMEM;
	if (proc->process.channel_fd < 0)
		return 0;
	err = sd_event_add_io(proc->keeper->loop, &proc->channel_source, proc->process.channel_fd,
			      EPOLLIN, on_channel, proc);
	return err < 0 ? err : 0;
}
