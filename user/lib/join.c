/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See join.h. */
#include "join.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "packet.h"

#define AGAIN_MS 50

struct call {
	const struct lbctl_joining *joining;
	char *why;
	uint64_t deadline_ms;
	int fd;	    /* to the keeper */
	int passed; /* the descriptor that came with the answer, -1 = none */
	unsigned int hung_up;
	struct lbctl_answer answer;
};

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* At least 1: a timeout of 0 would mean none. */
static unsigned int ms_left(const struct call *call)
{
	uint64_t now = now_ms();

	return now < call->deadline_ms ? call->deadline_ms - now : 1;
}

static int fail(struct call *call, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int fail(struct call *call, int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(call->why, LBCTL_WHY_BYTES, format, args);
	va_end(args);
	return err;
}

static int timed_out(struct call *call)
{
	return fail(call, -ETIMEDOUT,
		    "the keeper of %s did not answer within %u ms; is it stopped, or very busy?",
		    call->joining->service, call->joining->patience_ms);
}

static int connect_failed(struct call *call, int err)
{
	const char *service = call->joining->service, *path = call->joining->path;

	switch (err) {
	case -ENOENT:
		return fail(call, err,
			    "no keeper of %s at %s; lbctl run or lbctl watch %s starts one",
			    service, path, service);
	case -ECONNREFUSED:
		return fail(call, err, "the keeper of %s is dead (%s); start it again", service,
			    path);
	case -EACCES:
	case -EPERM:
		return fail(call, -EACCES,
			    "may not connect to %s: the keeper of %s admits root, its own user, "
			    "the user of run --user and --group",
			    path, service);
	case -EAGAIN: /* what SO_SNDTIMEO makes of it */
		return timed_out(call);
	default:
		return fail(call, err, "connect to %s: %s", path, strerror(-err));
	}
}

static int connect_keeper(struct call *call)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	unsigned int ms = ms_left(call);
	const struct timeval patience = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };
	int err;

	if (strlen(call->joining->path) >= sizeof(at.sun_path))
		return connect_failed(call, -ENAMETOOLONG);
	strcpy(at.sun_path, call->joining->path);
	call->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (call->fd < 0)
		return connect_failed(call, -errno);
	setsockopt(call->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	do {
		err = connect(call->fd, (struct sockaddr *)&at, sizeof(at)) ? -errno : 0;
	} while (err == -EINTR && now_ms() < call->deadline_ms);
	return err ? connect_failed(call, err) : 0;
}

static void drop_passed(struct call *call)
{
	if (call->passed >= 0)
		close(call->passed);
	call->passed = -1;
}

/*
 * A keeper that hung up on what it had not read leaves ECONNRESET, and behind that its answer.
 * Return: bytes, 0 when it hung up, or -errno.
 */
static ssize_t await_packet(struct call *call, void *bytes, size_t size)
{
	struct pollfd ready = { .fd = call->fd, .events = POLLIN };
	int resets = 0;
	ssize_t n;

	do {
		if (now_ms() >= call->deadline_ms)
			return -ETIMEDOUT;
		poll(&ready, 1, ms_left(call));
		n = lbctl_packet_receive(call->fd, bytes, size, &call->passed);
	} while (n == -EAGAIN || (n == -ECONNRESET && !resets++));
	return n;
}

/*
 * It died, or a child of a dead one took the call with it: the next call tells whether one lives.
 * More than one hang-up is its will.
 */
static int gone(struct call *call, int err)
{
	if (err == ECONNRESET || err == EPIPE)
		call->answer.again = !call->hung_up++;
	return fail(call, -EPROTO, "the keeper of %s went away: %s", call->joining->service,
		    strerror(err));
}

/*
 * A keeper that sends one away says why and hangs up, maybe before the question was sent: so a
 * question that can't be sent may have an answer.
 */
static int ask(struct call *call, const char *question, int passed)
{
	int sent = lbctl_packet_send(call->fd, question, strlen(question), passed);
	char bytes[LBCTL_ANSWER_BYTES];
	ssize_t n;

	drop_passed(call);
	n = await_packet(call, bytes, sizeof(bytes));
	if (n == -ETIMEDOUT)
		return timed_out(call);
	if (n <= 0)
		return gone(call, n ? -n : sent ? -sent : ECONNRESET);
	if (lbctl_answer_parse(bytes, n, &call->answer))
		return fail(call, -EPROTO, "the keeper of %s gave an answer that makes no sense",
			    call->joining->service);
	return 0;
}

static int errno_of(long status)
{
	switch (status) {
	case 2:
		return -EINVAL;
	case 3:
		return -ENOENT;
	case 4:
		return -EPERM;
	default:
		return -EBUSY;
	}
}

static void hang_up(struct call *call)
{
	drop_passed(call);
	if (call->fd >= 0)
		close(call->fd);
	call->fd = -1;
}

static int join_once(struct call *call)
{
	char question[64] = "{\"verb\":\"join\"}";
	int err = connect_keeper(call);

	call->answer = (struct lbctl_answer){ 0 };
	if (!err)
		err = ask(call, "{\"verb\":\"hello\"}", -1);
	if (!err && !call->answer.status) {
		if (call->joining->worker >= 0)
			snprintf(question, sizeof(question), "{\"verb\":\"join\",\"worker\":%ld}",
				 call->joining->worker);
		err = ask(call, question, call->joining->listen_fd);
	}
	if (!err && call->answer.status)
		err = fail(call, errno_of(call->answer.status), "%s", call->answer.text);
	return err;
}

static int take_place(struct call *call, struct lbctl_joined *joined)
{
	const struct lbctl_answer *answer = &call->answer;

	if (answer->slot < 0 || answer->slot >= LB_MAX_SLOTS || answer->worker < 0 ||
	    answer->worker >= LB_MAX_WORKERS || call->passed < 0)
		return fail(call, -EPROTO, "the keeper of %s gave no place, or no load page",
			    call->joining->service);
	*joined = (struct lbctl_joined){
		.load_fd = call->passed,
		.slot = answer->slot,
		.worker = answer->worker,
	};
	call->passed = -1;
	return 0;
}

int lbctl_join(const struct lbctl_joining *joining, struct lbctl_joined *joined,
	       char why[LBCTL_WHY_BYTES])
{
	const struct timespec nap = { .tv_nsec = AGAIN_MS * 1000000L };
	struct call call = {
		.joining = joining,
		.why = why,
		.deadline_ms = now_ms() + joining->patience_ms,
		.fd = -1,
		.passed = -1,
	};
	int err = join_once(&call);

	while (err && call.answer.again && now_ms() + AGAIN_MS < call.deadline_ms) {
		hang_up(&call);
		nanosleep(&nap, NULL);
		err = join_once(&call);
	}
	if (!err)
		err = take_place(&call, joined);
	hang_up(&call);
	return err;
}
