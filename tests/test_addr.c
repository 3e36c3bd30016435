/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Addresses in, addresses out. The resolver is replaced: no test asks the network. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "check.h"
#include "lb_abi.h"

#define TCP LB_PROTO_TCP
#define UDP LB_PROTO_UDP
#define A "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk." /* 64 */

static int lookups, answers;

static struct addrinfo *add_answer(struct addrinfo *next, const char *host)
{
	struct {
		struct addrinfo info;
		struct sockaddr_storage sa;
	} *node = calloc(1, sizeof(*node));

	assert_non_null(node);
	node->info.ai_next = next;
	node->info.ai_addr = (struct sockaddr *)&node->sa;
	if (inet_pton(AF_INET, host, &((struct sockaddr_in *)&node->sa)->sin_addr) == 1)
		node->info.ai_family = AF_INET;
	else if (inet_pton(AF_INET6, host, &((struct sockaddr_in6 *)&node->sa)->sin6_addr) == 1)
		node->info.ai_family = AF_INET6;
	else
		node->info.ai_family = AF_UNIX;
	answers++;
	return &node->info;
}

static struct addrinfo *add_numbered_answers(int n)
{
	struct addrinfo *list = NULL;
	char host[INET_ADDRSTRLEN];

	for (int i = n; i > 0; i--) {
		snprintf(host, sizeof(host), "10.0.0.%d", i & 0xff);
		list = add_answer(list, host);
	}
	return list;
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
		struct addrinfo **list)
{
	lookups++;
	assert_null(service);
	assert_int_equal(hints->ai_family, AF_UNSPEC);
	assert_int_equal(hints->ai_flags, 0);
	*list = NULL;
	if (!strcmp(node, "two.example")) {
		*list = add_answer(*list, "::ffff:10.0.0.1");
		*list = add_answer(*list, "2001:db8::1");
		*list = add_answer(*list, "10.0.0.1");
	} else if (!strcmp(node, "unix.example")) {
		*list = add_answer(*list, "no IP address");
	} else if (!strcmp(node, "sixteen.example")) {
		*list = add_numbered_answers(ADDR_MAX_HOSTS);
	} else if (!strcmp(node, "seventeen.example")) {
		*list = add_numbered_answers(ADDR_MAX_HOSTS + 1);
	}
	return *list ? 0 : EAI_NONAME;
}

void freeaddrinfo(struct addrinfo *list)
{
	while (list) {
		struct addrinfo *next = list->ai_next;

		free(list);
		answers--;
		list = next;
	}
}

/* Hosts as "1.2.3.4 ::1", in order. */
static void list_hosts(const struct addr *addr, char *out, size_t len)
{
	size_t used = 0;

	*out = '\0';
	for (size_t i = 0; i < addr->nr_hosts; i++) {
		char host[INET6_ADDRSTRLEN];

		assert_non_null(
			inet_ntop(addr->hosts[i].family, addr->hosts[i].bytes, host, sizeof(host)));
		used += snprintf(out + used, len - used, "%s%s", i ? " " : "", host);
		assert_true(used < len);
	}
}

static const struct {
	const char *input;
	int proto;
	uint16_t port;
	const char *hosts; /* NULL: any */
} accepted[] = {
	{ "8080", TCP, 8080, NULL },
	{ ":8080", TCP, 8080, NULL },
	{ "1", TCP, 1, NULL },
	{ ":65535", TCP, 65535, NULL },
	{ ":0080", TCP, 80, NULL },
	{ "tcp/:80", TCP, 80, NULL },
	{ "tcp/80", TCP, 80, NULL },
	{ "udp/:53", UDP, 53, NULL },
	{ "udp/53", UDP, 53, NULL },
	{ "10.0.0.1:80", TCP, 80, "10.0.0.1" },
	{ "255.255.255.255:80", TCP, 80, "255.255.255.255" },
	{ "0.0.0.0:80", TCP, 80, "0.0.0.0" },
	{ "udp/10.0.0.1:53", UDP, 53, "10.0.0.1" },
	{ "[::]:443", TCP, 443, "::" },
	{ "[::1]:80", TCP, 80, "::1" },
	{ "udp/[2001:DB8:0::1]:53", UDP, 53, "2001:db8::1" },
	{ "[fe80::1]:80", TCP, 80, "fe80::1" },
	{ "[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]:65535", TCP, 65535,
	  "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" },
	{ "[::ffff:1.2.3.4]:80", TCP, 80, "1.2.3.4" },
	{ "[::ffff:0:0]:80", TCP, 80, "0.0.0.0" },
	{ "[::1.2.3.4]:80", TCP, 80, "::1.2.3.4" },
	{ "localhost:3000", TCP, 3000, "127.0.0.1 ::1" },
	{ "LocalHost.:3000", TCP, 3000, "127.0.0.1 ::1" },
	{ "udp/localhost:53", UDP, 53, "127.0.0.1 ::1" },
	{ "two.example:80", TCP, 80, "10.0.0.1 2001:db8::1" },
	{ "sixteen.example:80", TCP, 80,
	  "10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4 10.0.0.5 10.0.0.6 10.0.0.7 10.0.0.8 "
	  "10.0.0.9 "
	  "10.0.0.10 10.0.0.11 10.0.0.12 10.0.0.13 10.0.0.14 10.0.0.15 10.0.0.16" },
};

static void test_accepted(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(accepted); i++) {
		const char *want = accepted[i].hosts ? accepted[i].hosts : "";
		char got[ADDR_MAX_HOSTS * INET6_ADDRSTRLEN];
		struct addr addr;
		const char *why;
		int err;

		memset(&addr, 0xff, sizeof(addr));
		why = "untouched";
		err = addr_parse(accepted[i].input, &addr, &why);
		if (err || why)
			fail_msg("%s: got %d, %s, want 0", accepted[i].input, err, why);
		list_hosts(&addr, got, sizeof(got));
		if (addr.proto != accepted[i].proto || addr.port != accepted[i].port ||
		    addr.any != !accepted[i].hosts || strcmp(got, want))
			fail_msg("%s: got %d %s%s port %d, want %d %s%s port %d", accepted[i].input,
				 addr.proto, addr.any ? "any" : "", got, addr.port,
				 accepted[i].proto, accepted[i].hosts ? "" : "any", want,
				 accepted[i].port);
	}
	assert_int_equal(answers, 0);
}

/* `want` is a part of the reason. */
static const struct {
	const char *input, *want;
} refused[] = {
	{ NULL, "the address is empty" },
	{ "", "the address is empty" },
	{ ":443/udp", "not an address; UDP is written udp/:443" },
	{ "443/udp", "not an address; UDP is written udp/:443" },
	{ ":443/tcp", "not an address; TCP is written :80" },
	{ "udp:53", "udp/:53" },
	{ "tcp:80", "tcp/:80" },
	{ "UDP/:53", "before the / stands udp or tcp" },
	{ "sctp/:80", "before the / stands udp or tcp" },
	{ "udp/tcp/:80", "only one /" },
	{ "udp/:53/", "only one /" },
	{ "localhost:80/index.html", "nothing follows the port" },
	{ "http://localhost:80", "a URL is not an address" },
	{ "https://[::1]/", "a URL is not an address" },
	{ "udp/", "the port is missing" },
	{ ":", "the port is missing" },
	{ "10.0.0.1", "the port is missing" },
	{ "10.0.0.1:", "the port is missing" },
	{ "localhost", "the port is missing" },
	{ "[::1]", "the port is missing" },
	{ "[::1]:", "the port is missing" },
	{ "0", "port 0 is not a port; a port is 1 to 65535" },
	{ ":0", "port 0 is not a port" },
	{ "[::1]:00", "port 0 is not a port" },
	{ "65536", "the port is out of range; a port is 1 to 65535" },
	{ "10.0.0.1:65616", "the port is out of range" },
	{ ":18446744073709551696", "the port is out of range" },
	{ "80abc", "the port is not a number: write 8080, :8080, 10.0.0.1:80, [::]:443" },
	{ ":http", "the port is not a number" },
	{ "localhost:80abc", "the port is not a number" },
	{ "-1", "the port is not a number" },
	{ ":+80", "the port is not a number" },
	{ "80,81", "the port is not a number" },
	{ "8000-8010", "the port is not a number" },
	{ "[::1]:80:81", "the port is not a number" },
	{ " 80", "no spaces" },
	{ "80 ", "no spaces" },
	{ "10.0.0.1: 80", "no spaces" },
	{ "80\n", "no spaces" },
	{ "::1", "in brackets: [::1]:80" },
	{ "::", "in brackets: [::1]:80" },
	{ "::1:80", "in brackets: [::1]:80" },
	{ ":::80", "in brackets: [::1]:80" },
	{ "2001:db8:1:2:3:4:5:6", "in brackets: [::1]:80" },
	{ "2001:db8:1:2:3:4:5:6:80", "in brackets: [::1]:80" },
	{ "fe80::1%lo:80", "in brackets: [::1]:80" },
	{ "localhost:80:81", "too many colons" },
	{ ":80:", "too many colons" },
	{ "[::1", "the ] is missing" },
	{ "[", "the ] is missing" },
	{ "[]:80", "between [ and ] stands an IPv6 address" },
	{ "[:::1]:80", "between [ and ] stands an IPv6 address" },
	{ "[localhost]:80", "between [ and ] stands an IPv6 address" },
	{ "[" A A "]:80", "between [ and ] stands an IPv6 address" },
	{ "[[::1]]:80", "between [ and ] stands an IPv6 address" },
	{ "[10.0.0.1]:80", "without brackets: 10.0.0.1:80" },
	{ "[::1]80", "between ] and the port stands a colon" },
	{ "[fe80::1%lo]:80", "the interface can't be part of it" },
	{ "*:80", "written without a host: :8080" },
	{ "256.0.0.1:80", "not an IPv4 address" },
	{ "10.0.0.1.2:80", "not an IPv4 address" },
	{ "10.1:80", "not an IPv4 address" },
	{ "0177.0.0.1:80", "not an IPv4 address" },
	{ "2130706433:80", "not an IPv4 address" },
	{ "0x7f000001:80", "not an IPv4 address" },
	{ "0X7f.1:80", "not an IPv4 address" },
	{ "m\xc3\xbcnchen.example:80", "not a host name" },
	{ "a$b:80", "not a host name" },
	{ "-n:80", "not a host name" },
	{ ".example:80", "not a host name" },
	{ A A A A "example:80", "too long for an address" },
	{ A A A A "ab:1", "the host name is too long" },
	{ "unknown.example:80", "the host name is not known" },
	{ "unix.example:80", "no IP address" },
	{ "seventeen.example:80", "too many addresses" },
	{ "/run/g.sock", "no SO_REUSEPORT; let the server listen on a TCP port" },
	{ "./g", "Unix sockets" },
	{ "../g", "Unix sockets" },
	{ "~/g", "Unix sockets" },
	{ "g.sock", "Unix sockets" },
	{ "unix:g", "Unix sockets" },
	{ "unix:///run/g", "Unix sockets" },
	{ "@abstract", "Unix sockets" },
	{ "/" A A A A A, "Unix sockets" },
};

static void test_refused(void **state)
{
	static const struct addr zero;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		struct addr addr;
		const char *why = NULL;
		int err;

		memset(&addr, 0xff, sizeof(addr));
		err = addr_parse(refused[i].input, &addr, &why);
		if (err != -EINVAL || !why || !strstr(why, refused[i].want))
			fail_msg("%s: got %d, %s, want %d, %s", refused[i].input, err, why, -EINVAL,
				 refused[i].want);
		if (memcmp(&addr, &zero, sizeof(addr)))
			fail_msg("%s: got something in the result, want all zero",
				 refused[i].input);
	}
	assert_int_equal(answers, 0);
}

/* What is plainly a number or localhost must not wait for a name server. */
static void test_resolver_is_asked_for_names_only(void **state)
{
	static const struct {
		const char *input;
		int want;
	} rows[] = {
		{ "8080", 0 },		 { "10.0.0.1:80", 0 },	{ "10.1:80", 0 },
		{ "[::1]:80", 0 },	 { "localhost:80", 0 }, { "two.example:0", 0 },
		{ "two.example:80", 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct addr addr;
		const char *why;

		lookups = 0;
		addr_parse(rows[i].input, &addr, &why);
		if (lookups != rows[i].want)
			fail_msg("%s: got %d look-ups, want %d", rows[i].input, lookups,
				 rows[i].want);
	}
}

/* Every length, on the heap, so that the sanitizer sees a byte too many. */
static void test_any_length(void **state)
{
	(void)state;
	for (size_t len = 0; len < 600; len++) {
		for (const char *letter = "8a:[./"; *letter; letter++) {
			char *text = malloc(len + 1);
			struct addr addr;
			const char *why;

			assert_non_null(text);
			memset(text, *letter, len);
			text[len] = '\0';
			if (addr_parse(text, &addr, &why))
				assert_non_null(why);
			else
				assert_true(*letter == '8' && len <= 4);
			free(text);
		}
	}
}

static void test_format(void **state)
{
	static const struct {
		const char *name;
		uint8_t family;
		const char *host;
		uint16_t port;
		size_t len;
		int want_err;
		const char *want;
	} rows[] = {
		{ "any IPv4", AF_INET, "0.0.0.0", 8080, ADDR_STRLEN, 0, "0.0.0.0:8080" },
		{ "IPv4", AF_INET, "10.0.0.1", 80, ADDR_STRLEN, 0, "10.0.0.1:80" },
		{ "any IPv6", AF_INET6, "::", 443, ADDR_STRLEN, 0, "[::]:443" },
		{ "loopback", AF_INET6, "::1", 80, ADDR_STRLEN, 0, "[::1]:80" },
		{ "longest", AF_INET6, "1111:2222:3333:4444:5555:6666:7777:8888", 65535,
		  ADDR_STRLEN, 0, "[1111:2222:3333:4444:5555:6666:7777:8888]:65535" },
		{ "fits", AF_INET, "10.0.0.1", 80, 12, 0, "10.0.0.1:80" },
		{ "one byte short", AF_INET, "10.0.0.1", 80, 11, -ENOSPC, "" },
		{ "no room", AF_INET, "10.0.0.1", 80, 0, -ENOSPC, "" },
		{ "another family", AF_UNIX, NULL, 80, ADDR_STRLEN, -EAFNOSUPPORT, "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char *got = malloc(rows[i].len ? rows[i].len : 1);
		uint8_t bytes[16];
		int err;

		assert_non_null(got);
		memset(bytes, 0xff, sizeof(bytes));
		if (rows[i].host)
			assert_int_equal(inet_pton(rows[i].family, rows[i].host, bytes), 1);
		err = addr_format(rows[i].family, bytes, rows[i].port, got, rows[i].len);
		if (err != rows[i].want_err || (rows[i].len && strcmp(got, rows[i].want)))
			fail_msg("%s: got %d, %s, want %d, %s", rows[i].name, err,
				 rows[i].len ? got : "", rows[i].want_err, rows[i].want);
		free(got);
	}
}

static void test_format_reads_back(void **state)
{
	static const char *const rows[] = {
		"0.0.0.0:1", "10.0.0.1:80", "[::]:443", "[2001:db8::1]:65535", "[::1.2.3.4]:80",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char got[ADDR_STRLEN];
		struct addr addr;
		const char *why;

		assert_int_equal(addr_parse(rows[i], &addr, &why), 0);
		assert_int_equal(addr_format(addr.hosts[0].family, addr.hosts[0].bytes, addr.port,
					     got, sizeof(got)),
				 0);
		if (strcmp(got, rows[i]))
			fail_msg("%s: got %s, want the same", rows[i], got);
	}
}

static void test_default_name(void **state)
{
	static const struct {
		const char *input, *want;
	} rows[] = {
		{ "8080", "tcp-8080" },		  { "10.0.0.1:80", "tcp-80" },
		{ "[::1]:65535", "tcp-65535" },	  { "udp/:53", "udp-53" },
		{ "udp/localhost:53", "udp-53" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char got[LB_NAME_MAX + 1];
		struct addr addr;
		const char *why;

		assert_int_equal(addr_parse(rows[i].input, &addr, &why), 0);
		addr_default_name(&addr, got);
		if (strcmp(got, rows[i].want) || parse_name(got))
			fail_msg("%s: got %s, want %s", rows[i].input, got, rows[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accepted),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_resolver_is_asked_for_names_only),
		cmocka_unit_test(test_any_length),
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_format_reads_back),
		cmocka_unit_test(test_default_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
