// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See socket_like.h. */
#include "host/socket_like.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "base/cleanup.h"

/* Newer than some C libraries. */
#define LIKE_BUF_LOCK 72      /* SO_BUF_LOCK, Linux 5.16: which buffers were sized by hand */
#define LIKE_TXREHASH 74      /* SO_TXREHASH */
#define LIKE_TX_DELAY 37      /* TCP_TX_DELAY */
#define LIKE_AUTOFLOWLABEL 70 /* IPV6_AUTOFLOWLABEL */
#define LIKE_MINHOPCOUNT 73   /* IPV6_MINHOPCOUNT */
#define MOST_BYTES 64

/*
 * What an accepted socket has of its listener. What the kernel does not know, it does not copy; so
 * one list serves all kernels. `forced`: sets a buffer's size, whatever the limits say. `measured`:
 * of a connection it is what goes on there.
 */
static const struct option {
	int level, name;
	const char *text;
	int forced;
	bool measured;
} options[] = {
	{ SOL_SOCKET, SO_BINDTODEVICE, "SO_BINDTODEVICE", 0, false },
	{ SOL_SOCKET, SO_KEEPALIVE, "SO_KEEPALIVE", 0, false },
	{ SOL_SOCKET, SO_OOBINLINE, "SO_OOBINLINE", 0, false },
	{ SOL_SOCKET, SO_LINGER, "SO_LINGER", 0, false },
	{ SOL_SOCKET, SO_PRIORITY, "SO_PRIORITY", 0, false },
	{ SOL_SOCKET, SO_MARK, "SO_MARK", 0, false },
	{ SOL_SOCKET, SO_RCVLOWAT, "SO_RCVLOWAT", 0, false },
	{ SOL_SOCKET, SO_RCVTIMEO, "SO_RCVTIMEO", 0, false },
	{ SOL_SOCKET, SO_SNDTIMEO, "SO_SNDTIMEO", 0, false },
	{ SOL_SOCKET, SO_DONTROUTE, "SO_DONTROUTE", 0, false },
	{ SOL_SOCKET, SO_TIMESTAMP, "SO_TIMESTAMP", 0, false },
	{ SOL_SOCKET, SO_TIMESTAMPNS, "SO_TIMESTAMPNS", 0, false },
	{ SOL_SOCKET, SO_TIMESTAMPING, "SO_TIMESTAMPING", 0, false },
	{ SOL_SOCKET, SO_BUSY_POLL, "SO_BUSY_POLL", 0, false },
	{ SOL_SOCKET, SO_MAX_PACING_RATE, "SO_MAX_PACING_RATE", 0, false },
	{ SOL_SOCKET, SO_ZEROCOPY, "SO_ZEROCOPY", 0, false },
	{ SOL_SOCKET, LIKE_TXREHASH, "SO_TXREHASH", 0, false },
	{ SOL_SOCKET, SO_SNDBUF, "SO_SNDBUF", SO_SNDBUFFORCE, false },
	{ SOL_SOCKET, SO_RCVBUF, "SO_RCVBUF", SO_RCVBUFFORCE, false },
	{ IPPROTO_IP, IP_TOS, "IP_TOS", 0, false },
	{ IPPROTO_IP, IP_TTL, "IP_TTL", 0, false },
	{ IPPROTO_IP, IP_MINTTL, "IP_MINTTL", 0, false },
	{ IPPROTO_IP, IP_MTU_DISCOVER, "IP_MTU_DISCOVER", 0, false },
	{ IPPROTO_IP, IP_FREEBIND, "IP_FREEBIND", 0, false },
	{ IPPROTO_IP, IP_TRANSPARENT, "IP_TRANSPARENT", 0, false },
	{ IPPROTO_IP, IP_OPTIONS, "IP_OPTIONS", 0, false },
	{ IPPROTO_IP, IP_RECVTOS, "IP_RECVTOS", 0, false },
	{ IPPROTO_IP, IP_RECVTTL, "IP_RECVTTL", 0, false },
	{ IPPROTO_IPV6, IPV6_V6ONLY, "IPV6_V6ONLY", 0, false },
	{ IPPROTO_IPV6, IPV6_TCLASS, "IPV6_TCLASS", 0, false },
	{ IPPROTO_IPV6, IPV6_UNICAST_HOPS, "IPV6_UNICAST_HOPS", 0, false },
	{ IPPROTO_IPV6, IPV6_MTU_DISCOVER, "IPV6_MTU_DISCOVER", 0, false },
	{ IPPROTO_IPV6, LIKE_AUTOFLOWLABEL, "IPV6_AUTOFLOWLABEL", 0, false },
	{ IPPROTO_IPV6, LIKE_MINHOPCOUNT, "IPV6_MINHOPCOUNT", 0, false },
	{ IPPROTO_TCP, TCP_NODELAY, "TCP_NODELAY", 0, false },
	{ IPPROTO_TCP, TCP_CORK, "TCP_CORK", 0, false },
	{ IPPROTO_TCP, TCP_CONGESTION, "TCP_CONGESTION", 0, false },
	{ IPPROTO_TCP, TCP_MAXSEG, "TCP_MAXSEG", 0, true },
	{ IPPROTO_TCP, TCP_KEEPIDLE, "TCP_KEEPIDLE", 0, false },
	{ IPPROTO_TCP, TCP_KEEPINTVL, "TCP_KEEPINTVL", 0, false },
	{ IPPROTO_TCP, TCP_KEEPCNT, "TCP_KEEPCNT", 0, false },
	{ IPPROTO_TCP, TCP_SYNCNT, "TCP_SYNCNT", 0, false },
	{ IPPROTO_TCP, TCP_LINGER2, "TCP_LINGER2", 0, false },
	{ IPPROTO_TCP, TCP_DEFER_ACCEPT, "TCP_DEFER_ACCEPT", 0, false },
	{ IPPROTO_TCP, TCP_WINDOW_CLAMP, "TCP_WINDOW_CLAMP", 0, true },
	{ IPPROTO_TCP, TCP_USER_TIMEOUT, "TCP_USER_TIMEOUT", 0, false },
	{ IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, "TCP_THIN_LINEAR_TIMEOUTS", 0, false },
	{ IPPROTO_TCP, TCP_NOTSENT_LOWAT, "TCP_NOTSENT_LOWAT", 0, false },
	{ IPPROTO_TCP, TCP_SAVE_SYN, "TCP_SAVE_SYN", 0, false },
	{ IPPROTO_TCP, TCP_INQ, "TCP_INQ", 0, false },
	{ IPPROTO_TCP, LIKE_TX_DELAY, "TCP_TX_DELAY", 0, false },
	/* last: a buffer that is set is one that was sized by hand */
	{ SOL_SOCKET, LIKE_BUF_LOCK, "SO_BUF_LOCK", 0, false },
};

struct value {
	char bytes[MOST_BYTES];
	socklen_t len;
};

/* Nothing where the kernel has no such option. */
static struct value value_of(int fd, const struct option *option)
{
	struct value value = { .len = MOST_BYTES };

	if (getsockopt(fd, option->level, option->name, value.bytes, &value.len))
		value = (struct value){ .len = 0 };
	return value;
}

static bool is_same(const struct value *one, const struct value *other)
{
	return one->len == other->len && !memcmp(one->bytes, other->bytes, one->len);
}

/* The kernel doubles what it is given. */
static int set_buffer(int fd, int name, const struct value *value)
{
	int bytes;

	memcpy(&bytes, value->bytes, sizeof(bytes));
	bytes /= 2;
	return setsockopt(fd, SOL_SOCKET, name, &bytes, sizeof(bytes));
}

static bool copy(int fd, int like, const struct option *option)
{
	struct value wanted = value_of(like, option), has = value_of(fd, option);

	if (is_same(&wanted, &has))
		return true;
	/* a listener that is shut down loses what was set of it */
	if (option->measured)
		return false;
	if (option->forced)
		set_buffer(fd, option->forced, &wanted);
	else
		setsockopt(fd, option->level, option->name, wanted.bytes, wanted.len);
	has = value_of(fd, option);
	return is_same(&wanted, &has);
}

/* A filter and a protocol on top (kernel TLS) are inherited and can't be read. */
static const char *uncopied(int fd)
{
	char name[16] = "";
	socklen_t len = sizeof(name);

	if (!getsockopt(fd, IPPROTO_TCP, TCP_ULP, name, &len) && len && *name)
		return "TCP_ULP";
	len = 0;
	if (getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, NULL, &len) || len)
		return "SO_ATTACH_FILTER";
	return NULL;
}

/* An accepted socket has its listener's; where there is no SELinux neither has one. */
static bool has_same_label(int one, int other)
{
	char a[256] = "", b[256] = "";

	fgetxattr(one, "security.selinux", a, sizeof(a) - 1);
	fgetxattr(other, "security.selinux", b, sizeof(b) - 1);
	return !strcmp(a, b);
}

static int copy_all(int fd, int like, const char **cannot)
{
	*cannot = uncopied(like);
	for (size_t i = 0; !*cannot && i < sizeof(options) / sizeof(options[0]); i++) {
		if (!copy(fd, like, &options[i]))
			*cannot = options[i].text;
	}
	if (!*cannot && !has_same_label(fd, like))
		*cannot = "the SELinux label";
	return *cannot ? -EOPNOTSUPP : 0;
}

/* A reuseport group is of one user. */
static int socket_of_user(int family, uid_t user)
{
	int ours = setfsuid(user);
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), err = -errno;

	setfsuid(ours);
	return fd < 0 ? err : fd;
}

int socket_like(int like, const struct sockaddr *addr, socklen_t len, const char **cannot)
{
	_cleanup_close_ int fd = -1;
	const int on = 1;
	struct stat st;
	int err;

	*cannot = NULL;
	if (fstat(like, &st))
		return -errno;
	fd = socket_of_user(addr->sa_family, st.st_uid);
	if (fd < 0)
		return fd;
	err = copy_all(fd, like, cannot);
	if (err)
		return err;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) || bind(fd, addr, len))
		return -errno;
	return fd_steal(&fd);
}

const char *socket_differs(int one, int other, bool connections)
{
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		struct value a = value_of(one, &options[i]), b = value_of(other, &options[i]);

		if (!is_same(&a, &b) && !(connections && options[i].measured))
			return options[i].text;
	}
	return NULL;
}
