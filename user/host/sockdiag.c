/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* sock_diag over a netlink socket of its own per call: one dump for each address family. */
#include "host/sockdiag.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"

/* The kernel fills at most 32 KiB at a time, however much room a reader offers. */
#define BUFFER_BYTES 65536
#define ATTEMPTS 5
#define FIRST_ITEMS 64

/* Newer than some kernel headers that lbctl is built with. */
#define ATTR_ULP_INFO 19
#define ATTR_CGROUP_ID 21
#define ULP_NAME 1

struct dump {
	int fd;
	char *buffer; /* BUFFER_BYTES */
	uint8_t extensions;
	int map_fd; /* of the marks that are asked for; -1 = none */
	struct sockdiag_reply reply;
};

struct request {
	struct nlmsghdr header;
	struct inet_diag_req_v2 body;
	/* only with marks */
	struct nlattr storages;
	struct nlattr map;
	uint32_t map_fd;
};

static const void *attr_data(const struct nlattr *attr)
{
	return (const char *)attr + NLA_HDRLEN;
}

/* The attribute of this type among `len` bytes, with *size bytes of data; NULL if there is none. */
static const struct nlattr *attr_find(const void *data, size_t len, int type, size_t *size)
{
	const char *at = data;

	while (len >= NLA_HDRLEN) {
		const struct nlattr *attr = (const struct nlattr *)at;
		size_t step;

		if (attr->nla_len < NLA_HDRLEN || attr->nla_len > len)
			return NULL;
		if ((attr->nla_type & NLA_TYPE_MASK) == type) {
			*size = attr->nla_len - NLA_HDRLEN;
			return attr;
		}
		step = NLA_ALIGN(attr->nla_len);
		if (step > len)
			return NULL;
		at += step;
		len -= step;
	}
	return NULL;
}

static bool ulp_is_mptcp(const void *data, size_t len)
{
	static const char mptcp[] = "mptcp";
	const struct nlattr *info, *name;
	size_t size;

	info = attr_find(data, len, ATTR_ULP_INFO, &size);
	if (!info)
		return false;
	name = attr_find(attr_data(info), size, ULP_NAME, &size);
	return name && size == sizeof(mptcp) && !memcmp(attr_data(name), mptcp, size);
}

/* The value in the map that was asked for. */
static void parse_mark(const void *data, size_t len, struct sockdiag_socket *out)
{
	const struct nlattr *attr = attr_find(data, len, INET_DIAG_SK_BPF_STORAGES, &len);

	if (attr)
		attr = attr_find(attr_data(attr), len, SK_DIAG_BPF_STORAGE, &len);
	if (attr)
		attr = attr_find(attr_data(attr), len, SK_DIAG_BPF_STORAGE_MAP_VALUE, &len);
	out->marked = attr && len >= LB_FIRST_conn;
	/* another lbctl may have made the map, with a longer or a shorter mark */
	if (out->marked)
		memcpy(&out->mark, attr_data(attr),
		       len < sizeof(out->mark) ? len : sizeof(out->mark));
}

/* Of the kernel's struct tcp_info, which grows at its end: tcpi_data_segs_in, and _out. */
#define DATA_SEGMENTS_AT 152

/* libc's has less of it. */
static void parse_activity(const void *data, size_t len, struct sockdiag_socket *out)
{
	const struct nlattr *attr = attr_find(data, len, INET_DIAG_INFO, &len);
	struct tcp_info info = { 0 };
	uint32_t segments[2] = { 0 };

	if (!attr)
		return;
	memcpy(&info, attr_data(attr), len < sizeof(info) ? len : sizeof(info));
	out->sent_ms = info.tcpi_last_data_sent;
	out->received_ms = info.tcpi_last_data_recv;
	if (len >= DATA_SEGMENTS_AT + sizeof(segments))
		memcpy(segments, (const char *)attr_data(attr) + DATA_SEGMENTS_AT,
		       sizeof(segments));
	out->unanswered = segments[0] && !segments[1];
}

static void parse_attributes(const void *data, size_t len, struct sockdiag_socket *out)
{
	const struct nlattr *attr;
	size_t size;

	attr = attr_find(data, len, INET_DIAG_SKV6ONLY, &size);
	if (attr && size >= sizeof(uint8_t))
		out->v6only = *(const uint8_t *)attr_data(attr) != 0;
	attr = attr_find(data, len, INET_DIAG_SKMEMINFO, &size);
	if (attr && size >= (SK_MEMINFO_RCVBUF + 1) * sizeof(uint32_t))
		out->queue_max = ((const uint32_t *)attr_data(attr))[SK_MEMINFO_RCVBUF];
	attr = attr_find(data, len, ATTR_CGROUP_ID, &size);
	if (attr && size >= sizeof(out->cgroup_id))
		memcpy(&out->cgroup_id, attr_data(attr), sizeof(out->cgroup_id));
	out->mptcp = ulp_is_mptcp(data, len);
	parse_activity(data, len, out);
	parse_mark(data, len, out);
}

int sockdiag_parse(const void *payload, size_t len, struct sockdiag_socket *out)
{
	const struct inet_diag_msg *msg = payload;
	size_t addr_bytes;

	if (len < sizeof(*msg))
		return -EBADMSG;
	if (msg->idiag_family != AF_INET && msg->idiag_family != AF_INET6)
		return -EBADMSG;
	addr_bytes = msg->idiag_family == AF_INET ? 4 : 16;
	*out = (struct sockdiag_socket){
		.family = msg->idiag_family,
		.state = msg->idiag_state,
		.port = ntohs(msg->id.idiag_sport),
		.peer_port = ntohs(msg->id.idiag_dport),
		.uid = msg->idiag_uid,
		.ifindex = msg->id.idiag_if,
		.queued = msg->idiag_rqueue,
		.queue_max = msg->idiag_wqueue,
		.inode = msg->idiag_inode,
		.cookie = (uint64_t)msg->id.idiag_cookie[1] << 32 | msg->id.idiag_cookie[0],
	};
	memcpy(out->addr, msg->id.idiag_src, addr_bytes);
	memcpy(out->peer, msg->id.idiag_dst, addr_bytes);
	parse_attributes((const char *)payload + NLMSG_ALIGN(sizeof(*msg)),
			 len - NLMSG_ALIGN(sizeof(*msg)), out);
	return 0;
}

static int list_add(struct sockdiag_reply *reply, const struct nlmsghdr *header)
{
	struct sockdiag_list *list = &reply->list;
	struct sockdiag_socket *item;
	int err;

	if (list->count == reply->room) {
		size_t room = reply->room ? reply->room * 2 : FIRST_ITEMS;
		void *items = reallocarray(list->items, room, sizeof(*list->items));

		if (!items)
			return -ENOMEM;
		list->items = items;
		reply->room = room;
	}
	item = &list->items[list->count];
	err = sockdiag_parse(NLMSG_DATA(header), NLMSG_PAYLOAD(header, 0), item);
	if (err)
		return err;
	item->proto = reply->proto;
	list->count++;
	return 0;
}

/* The error that NLMSG_ERROR and NLMSG_DONE begin with, 0 or -errno. */
static int message_error(const struct nlmsghdr *header)
{
	int error;

	if (header->nlmsg_len < NLMSG_LENGTH(sizeof(error)))
		return header->nlmsg_type == NLMSG_DONE ? 0 : -EBADMSG;
	memcpy(&error, NLMSG_DATA(header), sizeof(error));
	return error < 0 ? error : 0;
}

int sockdiag_read(struct sockdiag_reply *reply, const void *bytes, size_t len, uint32_t seq)
{
	size_t step;

	for (size_t at = 0; at < len; at += step) {
		const struct nlmsghdr *header = (const struct nlmsghdr *)((const char *)bytes + at);
		int err;

		if (!NLMSG_OK(header, len - at))
			return -EBADMSG;
		step = NLMSG_ALIGN(header->nlmsg_len);
		if (header->nlmsg_seq != seq)
			continue;
		if (header->nlmsg_flags & NLM_F_DUMP_INTR)
			reply->interrupted = true;
		switch (header->nlmsg_type) {
		case NLMSG_DONE:
			err = message_error(header);
			return err ? err : 1;
		case NLMSG_ERROR:
			err = message_error(header);
			return err ? err : -EBADMSG;
		case SOCK_DIAG_BY_FAMILY:
			err = list_add(reply, header);
			if (err)
				return err;
		}
	}
	return 0;
}

static ssize_t receive(struct dump *dump)
{
	struct sockaddr_nl from = {};
	struct iovec part = { .iov_base = dump->buffer, .iov_len = BUFFER_BYTES };
	struct msghdr message = {
		.msg_name = &from,
		.msg_namelen = sizeof(from),
		.msg_iov = &part,
		.msg_iovlen = 1,
	};
	ssize_t len;

	do {
		message.msg_namelen = sizeof(from);
		len = recvmsg(dump->fd, &message, 0);
	} while ((len < 0 && errno == EINTR) || (len > 0 && from.nl_pid != 0));
	if (len < 0)
		return -errno;
	if (len == 0)
		return -EPIPE;
	return message.msg_flags & MSG_TRUNC ? -EMSGSIZE : len;
}

static int send_request(struct dump *dump, const struct request *request)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	ssize_t sent;

	do {
		sent = sendto(dump->fd, request, request->header.nlmsg_len, 0,
			      (struct sockaddr *)&kernel, sizeof(kernel));
	} while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

/*
 * The port goes into idiag_sport: every kernel compares it for listeners, connections and UDP
 * before it builds a message, so a bytecode filter would add nothing.
 */
static int dump_family(struct dump *dump, uint8_t family, uint32_t states, uint16_t port)
{
	struct request request = {
		.header = {
			.nlmsg_len = dump->map_fd < 0 ? offsetof(struct request, storages) :
							sizeof(request),
			.nlmsg_type = SOCK_DIAG_BY_FAMILY,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
			.nlmsg_seq = family,
		},
		.body = {
			.sdiag_family = family,
			.sdiag_protocol = dump->reply.proto,
			.idiag_ext = dump->extensions,
			.idiag_states = states,
			.id = { .idiag_sport = htons(port) },
		},
		.storages = {
			.nla_len = 2 * NLA_HDRLEN + sizeof(request.map_fd),
			.nla_type = INET_DIAG_REQ_SK_BPF_STORAGES,
		},
		.map = {
			.nla_len = NLA_HDRLEN + sizeof(request.map_fd),
			.nla_type = SK_DIAG_BPF_STORAGE_REQ_MAP_FD,
		},
		.map_fd = dump->map_fd,
	};
	int result;

	result = send_request(dump, &request);
	while (!result) {
		ssize_t len = receive(dump);

		if (len < 0)
			return len;
		result = sockdiag_read(&dump->reply, dump->buffer, len, request.header.nlmsg_seq);
	}
	return result < 0 ? result : 0;
}

static int dump_once(struct dump *dump, uint32_t states, uint16_t port)
{
	_cleanup_close_ int fd = -1;
	int err;

	/* A fresh socket each time: a failed attempt leaves messages in the old one. */
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (fd < 0)
		return -errno;
	dump->fd = fd;
	dump->reply.list.count = 0;
	dump->reply.interrupted = false;
	err = dump_family(dump, AF_INET, states, port);
	if (!err)
		err = dump_family(dump, AF_INET6, states, port);
	if (!err && dump->reply.interrupted)
		err = -EAGAIN;
	return err;
}

static int compare_cookies(const void *left, const void *right)
{
	const struct sockdiag_socket *a = left, *b = right;

	return (a->cookie > b->cookie) - (a->cookie < b->cookie);
}

void sockdiag_sort(struct sockdiag_list *list)
{
	size_t kept = 0;

	if (!list->count)
		return;
	qsort(list->items, list->count, sizeof(*list->items), compare_cookies);
	for (size_t i = 1; i < list->count; i++) {
		if (list->items[i].cookie != list->items[kept].cookie)
			list->items[++kept] = list->items[i];
	}
	list->count = kept + 1;
}

/*
 * Who asks for INET_DIAG_INFO also learns of MPTCP. Of connections only where that is asked for: it
 * makes each five times as dear, because the kernel locks it and copies its tcp_info.
 */
#define WITH_INFO (1U << (INET_DIAG_INFO - 1))
/* Of UDP sockets the memory tells the room for what is unread. */
#define WITH_MEMORY (1U << (INET_DIAG_SKMEMINFO - 1))
#define CONNECTED (1U << TCP_ESTABLISHED | 1U << TCP_CLOSE_WAIT)

static int dump_sockets(uint8_t proto, uint32_t states, uint8_t extensions, uint16_t port,
			int map_fd, struct sockdiag_list *out)
{
	_cleanup_free_ char *buffer = malloc(BUFFER_BYTES);
	struct dump dump = {
		.fd = -1,
		.buffer = buffer,
		.extensions = extensions,
		.map_fd = map_fd,
		.reply = { .proto = proto },
	};
	int err = -EAGAIN;

	*out = (struct sockdiag_list){};
	if (!buffer)
		return -ENOMEM;
	for (int attempt = 0; attempt < ATTEMPTS && err == -EAGAIN; attempt++)
		err = dump_once(&dump, states, port);
	if (err) {
		sockdiag_free(&dump.reply.list);
		return err;
	}
	sockdiag_sort(&dump.reply.list);
	*out = dump.reply.list;
	return 0;
}

int sockdiag_listeners(uint8_t proto, uint16_t port, struct sockdiag_list *out)
{
	switch (proto) {
	case IPPROTO_TCP:
		return dump_sockets(proto, 1U << TCP_LISTEN, WITH_INFO, port, -1, out);
	case IPPROTO_UDP:
		return dump_sockets(proto, 1U << TCP_CLOSE | 1U << TCP_ESTABLISHED, WITH_MEMORY,
				    port, -1, out);
	default:
		*out = (struct sockdiag_list){};
		return -EINVAL;
	}
}

int sockdiag_connections(uint16_t port, struct sockdiag_list *out)
{
	return dump_sockets(IPPROTO_TCP, CONNECTED, 0, port, -1, out);
}

int sockdiag_activity(uint16_t port, struct sockdiag_list *out)
{
	return dump_sockets(IPPROTO_TCP, CONNECTED, WITH_INFO, port, -1, out);
}

int sockdiag_marks(int map_fd, struct sockdiag_list *out)
{
	return dump_sockets(IPPROTO_TCP, CONNECTED | 1U << TCP_LISTEN | 1U << TCP_SYN_RECV, 0, 0,
			    map_fd, out);
}

void sockdiag_free(struct sockdiag_list *list)
{
	free(list->items);
	*list = (struct sockdiag_list){};
}

uint64_t sockdiag_cookie(int socket_fd)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	return getsockopt(socket_fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) ? 0 : cookie;
}
