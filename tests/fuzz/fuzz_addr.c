// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * An address, as a user writes it and --listen takes it. What is taken is written back as something
 * that means the same; what is refused has a reason.
 */
#include <errno.h>
#include <netdb.h>

#include "base/addr.h"
#include "fuzz/fuzz.h"

/* The resolver is no part of this: a name that begins with m has as many addresses as letters. */
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
		struct addrinfo **list)
{
	static const int families[] = { AF_INET, AF_INET6, AF_UNIX };
	static struct sockaddr_in6 at[64];
	static struct addrinfo found[64];
	size_t n = strlen(name);

	(void)service, (void)hints;
	if (*name != 'm' || n > 64)
		return EAI_NONAME;
	for (size_t i = 0; i < n; i++) {
		at[i] = (struct sockaddr_in6){ .sin6_flowinfo = name[i],
					       .sin6_addr = { { { name[i] } } } };
		found[i] = (struct addrinfo){ .ai_family = families[name[i] % 3],
					      .ai_addr = (struct sockaddr *)&at[i],
					      .ai_next = i + 1 < n ? &found[i + 1] : NULL };
	}
	*list = found;
	return 0;
}

void freeaddrinfo(struct addrinfo *list)
{
	(void)list;
}

static void check_address(const char *text)
{
	char name[LB_NAME_MAX + 1], back[ADDR_STRLEN];
	static const struct addr none;
	struct addr addr, again;
	const char *why;
	int err = addr_parse(text, &addr, &why);

	FUZZ_CHECK(!err ? !why && addr.port && addr.nr_hosts <= ADDR_MAX_HOSTS :
			  err == -EINVAL && *why && !memcmp(&addr, &none, sizeof(addr)));
	if (err)
		return;
	addr_default_name(&addr, name);
	FUZZ_CHECK(!parse_name(name) && addr.any == !addr.nr_hosts);
	for (size_t i = 0; i < addr.nr_hosts; i++) {
		const struct addr_host *host = &addr.hosts[i];

		for (size_t room = 0; room < ADDR_STRLEN; room++)
			addr_format(host->family, host->bytes, addr.port, back, room);
		FUZZ_CHECK(!addr_format(host->family, host->bytes, addr.port, back, ADDR_STRLEN));
		FUZZ_CHECK(!addr_parse(back, &again, &why) && again.nr_hosts == 1 &&
			   again.port == addr.port);
		FUZZ_CHECK(!memcmp(host, again.hosts, sizeof(*host)));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	char *text = fuzz_text(bytes, n);

	check_address(text);
	free(text);
	return 0;
}
