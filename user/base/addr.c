/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reading and writing addresses. The readers below return NULL or what is wrong with the text, as
 * addr_parse() hands it on.
 */
#include "base/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "lb_abi.h"

#define FORMS "write 8080, :8080, 10.0.0.1:80, [::]:443 or udp/:53"
#define LONGEST_HOST 253 /* RFC 1035, 2.3.4: 255 octets on the wire */
#define LONGEST_TEXT (sizeof("udp/") - 1 + LONGEST_HOST + sizeof(":65535") - 1)

#define DIGITS "0123456789"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

static bool starts_with(const char *text, const char *start)
{
	return !strncmp(text, start, strlen(start));
}

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), len_end = strlen(end);

	return len >= len_end && !strcmp(text + len - len_end, end);
}

static bool consists_of(const char *text, const char *letters)
{
	return *text && !text[strspn(text, letters)];
}

static bool is_path(const char *text)
{
	return *text == '/' || *text == '@' || starts_with(text, "./") ||
	       starts_with(text, "../") || starts_with(text, "~/") || starts_with(text, "unix:") ||
	       starts_with(text, "unix/") || ends_with(text, ".sock");
}

static bool has_space(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text <= ' ' || *text == 0x7f)
			return true;
	return false;
}

/* What is no address at all, told before the parts are looked at. */
static const char *check_shape(const char *text)
{
	if (!text || !*text)
		return "the address is empty; " FORMS;
	if (is_path(text))
		return "Unix sockets have no SO_REUSEPORT; let the server listen on a TCP port";
	if (strstr(text, "://"))
		return "a URL is not an address; write only host and port: localhost:8080";
	if (has_space(text))
		return "an address has no spaces; " FORMS;
	if (strlen(text) > LONGEST_TEXT)
		return "too long for an address; " FORMS;
	return NULL;
}

/* How to write what ends in "/udp"; the text lasts until the next one. */
static const char *udp_hint(const char *text)
{
	static char hint[160];

	snprintf(hint, sizeof(hint), "not an address; UDP is written udp/%s%.*s",
		 strchr(text, ':') ? "" : ":", (int)(strlen(text) - strlen("/udp")), text);
	return hint;
}

/* "udp/" or "tcp/" in front; *rest becomes what follows. */
static const char *read_proto(const char *text, uint8_t *proto, const char **rest)
{
	const char *slash = strchr(text, '/');

	*proto = starts_with(text, "udp/") ? LB_PROTO_UDP : LB_PROTO_TCP;
	*rest = text;
	if (!slash)
		return NULL;
	if (starts_with(text, "udp/") || starts_with(text, "tcp/")) {
		*rest = slash + 1;
		slash = strchr(*rest, '/');
		return slash ? "only one / stands in an address; " FORMS : NULL;
	}
	if (ends_with(text, "/udp"))
		return udp_hint(text);
	if (ends_with(text, "/tcp"))
		return "not an address; TCP is written :80 or tcp/:80";
	if ((size_t)(slash - text) > strcspn(text, ":"))
		return "nothing follows the port; write only host and port: localhost:8080";
	return "before the / stands udp or tcp: udp/:53";
}

static const char *read_port(const char *text, uint16_t *port)
{
	uint64_t value;

	if (!*text)
		return "the port is missing; " FORMS;
	switch (parse_u64(text, 0, UINT16_MAX, &value)) {
	case 0:
		break;
	case -ERANGE:
		return "the port is out of range; a port is 1 to 65535";
	default:
		return "the port is not a number: " FORMS;
	}
	if (!value)
		return "port 0 is not a port; a port is 1 to 65535";
	*port = value;
	return NULL;
}

/* False when there is no room. A host that is there already is not added again. */
static bool add_host(struct addr *addr, uint8_t family, const void *bytes)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff }; /* RFC 4291, 2.5.5.2 */
	struct addr_host host = { .family = family };

	if (family == AF_INET) {
		memcpy(host.bytes, bytes, sizeof(struct in_addr));
	} else if (!memcmp(bytes, mapped, sizeof(mapped))) {
		host.family = AF_INET;
		memcpy(host.bytes, (const uint8_t *)bytes + sizeof(mapped), sizeof(struct in_addr));
	} else {
		memcpy(host.bytes, bytes, sizeof(struct in6_addr));
	}
	for (size_t i = 0; i < addr->nr_hosts; i++)
		if (!memcmp(&addr->hosts[i], &host, sizeof(host)))
			return true;
	if (addr->nr_hosts == ADDR_MAX_HOSTS)
		return false;
	addr->hosts[addr->nr_hosts++] = host;
	return true;
}

static bool add_resolved(struct addr *addr, const struct addrinfo *list)
{
	for (; list; list = list->ai_next) {
		bool added = true;

		if (list->ai_family == AF_INET) {
			const struct sockaddr_in *in = (const void *)list->ai_addr;

			added = add_host(addr, AF_INET, &in->sin_addr);
		} else if (list->ai_family == AF_INET6) {
			const struct sockaddr_in6 *in6 = (const void *)list->ai_addr;

			added = add_host(addr, AF_INET6, &in6->sin6_addr);
		}
		if (!added)
			return false;
	}
	return true;
}

/* No AI_ADDRCONFIG: a server may listen on ::1 where no interface has a global IPv6 address. */
static const char *resolve(const char *name, struct addr *addr)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *list;
	bool fit;

	if (getaddrinfo(name, NULL, &hints, &list))
		return "the host name is not known on this host; write its IP address";
	fit = add_resolved(addr, list);
	freeaddrinfo(list);
	if (!fit)
		return "the host name stands for too many addresses; write one IP address";
	if (!addr->nr_hosts)
		return "the host name has no IP address; write the IP address";
	return NULL;
}

/*
 * The resolver reads 10.1, 0x7f000001 and 2130706433 as IPv4 addresses (inet_aton(3)). Whoever
 * writes such a thing more likely left something out, so it must be four numbers or a name.
 */
static bool looks_like_ipv4(const char *host)
{
	const char *dot = strrchr(host, '.');
	const char *last = dot ? dot + 1 : host;

	return consists_of(last, DIGITS) || starts_with(last, "0x") || starts_with(last, "0X");
}

static const char *read_name(const char *host, struct addr *addr)
{
	struct in_addr in;

	if (!strcmp(host, "udp") || !strcmp(host, "tcp"))
		return "not an address; the protocol ends in a /: udp/:53 or tcp/:80";
	if (!strcmp(host, "*"))
		return "every address is written without a host: :8080";
	if (strlen(host) > LONGEST_HOST)
		return "the host name is too long; it has at most 253 letters";
	if (inet_pton(AF_INET, host, &in) == 1) {
		add_host(addr, AF_INET, &in);
		return NULL;
	}
	if (looks_like_ipv4(host))
		return "not an IPv4 address; it is four numbers from 0 to 255: 10.0.0.1:80";
	if (!consists_of(host, LETTERS DIGITS "-._") || *host == '.' || *host == '-')
		return "not a host name; it is made of letters, digits, - and dots: localhost:80";
	if (!strcasecmp(host, "localhost") || !strcasecmp(host, "localhost.")) {
		/* RFC 6761, 6.3: always the loopback addresses, whatever /etc/hosts lists. */
		const struct in_addr loopback = { .s_addr = htonl(INADDR_LOOPBACK) };

		add_host(addr, AF_INET, &loopback);
		add_host(addr, AF_INET6, &in6addr_loopback);
		return NULL;
	}
	return resolve(host, addr);
}

/* `inside` is what stood between [ and ]. */
static const char *read_ipv6(const char *inside, struct addr *addr)
{
	struct in6_addr in6;
	struct in_addr in;

	if (strchr(inside, '%'))
		return "the interface can't be part of it; leave out % and what follows";
	if (inet_pton(AF_INET, inside, &in) == 1)
		return "an IPv4 address is written without brackets: 10.0.0.1:80";
	if (inet_pton(AF_INET6, inside, &in6) != 1)
		return "between [ and ] stands an IPv6 address: [::1]:80";
	add_host(addr, AF_INET6, &in6);
	return NULL;
}

/* `text` starts with [ and is cut up in place. */
static const char *read_brackets(char *text, struct addr *addr)
{
	char *end = strchr(text, ']');
	const char *why;

	if (!end)
		return "the ] is missing; an IPv6 address is written [::1]:80";
	*end++ = '\0';
	why = read_ipv6(text + 1, addr);
	if (why)
		return why;
	if (!*end)
		return "the port is missing; write [::1]:80";
	if (*end != ':')
		return "between ] and the port stands a colon: [::1]:80";
	return read_port(end + 1, &addr->port);
}

/* No colon at all: a port, or a host whose port was forgotten. */
static const char *read_bare(const char *text, struct addr *addr)
{
	if (strchr(LETTERS, *text) || strchr(text, '.'))
		return "the port is missing; write it after a colon: localhost:80, 10.0.0.1:80";
	addr->any = true;
	return read_port(text, &addr->port);
}

/* More than one colon and no bracket in front. `last` is the last colon of `text`. */
static const char *explain_colons(char *text, char *last)
{
	struct in6_addr in6;
	bool ipv6;

	ipv6 = strstr(text, "::") || inet_pton(AF_INET6, text, &in6) == 1;
	*last = '\0';
	ipv6 = ipv6 || inet_pton(AF_INET6, text, &in6) == 1;
	return ipv6 ? "an IPv6 address is written in brackets: [::1]:80" :
		      "not an address: too many colons; " FORMS;
}

/* `text` is cut up in place. */
static const char *read_host_and_port(char *text, struct addr *addr)
{
	char *colon = strrchr(text, ':');
	const char *why;

	if (!*text)
		return "the port is missing; " FORMS;
	if (*text == '[')
		return read_brackets(text, addr);
	if (!colon)
		return read_bare(text, addr);
	if (colon != strchr(text, ':'))
		return explain_colons(text, colon);
	*colon = '\0';
	why = read_port(colon + 1, &addr->port);
	if (why)
		return why;
	addr->any = colon == text;
	return addr->any ? NULL : read_name(text, addr);
}

int addr_parse(const char *text, struct addr *addr, const char **why)
{
	char copy[LONGEST_TEXT + 1];
	const char *rest;

	memset(addr, 0, sizeof(*addr));
	*why = check_shape(text);
	if (!*why)
		*why = read_proto(text, &addr->proto, &rest);
	if (!*why) {
		memcpy(copy, rest, strlen(rest) + 1);
		*why = read_host_and_port(copy, addr);
	}
	if (!*why)
		return 0;
	memset(addr, 0, sizeof(*addr));
	return -EINVAL;
}

int addr_format(uint8_t family, const uint8_t *bytes, uint16_t port, char *out, size_t len)
{
	bool brackets = family == AF_INET6;
	char host[INET6_ADDRSTRLEN];
	int wanted;

	if (len)
		*out = '\0';
	if (!inet_ntop(family, bytes, host, sizeof(host)))
		return -errno;
	wanted = snprintf(out, len, "%s%s%s:%u", brackets ? "[" : "", host, brackets ? "]" : "",
			  port);
	if (wanted >= 0 && (size_t)wanted < len)
		return 0;
	if (len)
		*out = '\0';
	return -ENOSPC;
}

void addr_default_name(const struct addr *addr, char out[LB_NAME_MAX + 1])
{
	snprintf(out, LB_NAME_MAX + 1, "%s-%u", addr->proto == LB_PROTO_UDP ? "udp" : "tcp",
		 addr->port);
}
