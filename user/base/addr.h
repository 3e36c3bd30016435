/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Addresses as users write them: 8080, :8080, 10.0.0.1:80, localhost:3000, [::]:443, udp/:53,
 * tcp/[::1]:80; and as lbctl writes them back.
 */
#ifndef ADDR_H
#define ADDR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/parse.h"

#define ADDR_MAX_HOSTS 16
/* Always enough for addr_format(), with a protocol in front. */
#define ADDR_STRLEN (INET6_ADDRSTRLEN + sizeof("udp/[]:65535") - 1)

struct addr_host {
	uint8_t family;	   /* AF_INET or AF_INET6 */
	uint8_t bytes[16]; /* network order; IPv4 in the first four, the rest 0 */
};

struct addr {
	uint8_t proto;	 /* LB_PROTO_TCP or LB_PROTO_UDP */
	bool any;	 /* no host was written: all that a group listens on at that port */
	uint16_t port;	 /* host order, never 0 */
	size_t nr_hosts; /* 0 when any */
	struct addr_host hosts[ADDR_MAX_HOSTS]; /* a name may mean several; no two are equal */
};

/*
 * Without "udp/" or "tcp/" in front it is TCP. A host is an IPv4 address of four numbers, an IPv6
 * address in brackets, or a name: "localhost" is 127.0.0.1 and ::1, any other asks the resolver,
 * which may block. An IPv4-mapped IPv6 address becomes the IPv4 address.
 *
 * Returns 0, or -EINVAL with *why the part of a sentence that says what is wrong and what to
 * write instead (constant memory); then *addr is all zero. After success *why is NULL.
 */
int addr_parse(const char *text, struct addr *addr, const char **why);

/*
 * "0.0.0.0:8080" or "[::]:443"; `bytes` in network order, `port` in host order. Returns 0,
 * -ENOSPC (never with ADDR_STRLEN bytes) or -EAFNOSUPPORT; then `out` is "" if it has any room.
 */
int addr_format(uint8_t family, const uint8_t *bytes, uint16_t port, char *out, size_t len);

/* The name of a service for which the user gave none: "tcp-8080", "udp-53", whatever the host. */
void addr_default_name(const struct addr *addr, char out[LB_NAME_MAX + 1]);

#endif
