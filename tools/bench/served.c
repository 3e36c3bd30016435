// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See served.h. */
#include "served.h"

#include <errno.h>
#include <jansson.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/cleanup.h"
#include "capture.h"

#define LBCTL_MS 5000

/* Can we bind to it? */
static bool is_local(const struct target *target)
{
	struct sockaddr_storage address = target->addr;
	_cleanup_close_ int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (address.ss_family == AF_INET)
		((struct sockaddr_in *)&address)->sin_port = 0;
	else
		((struct sockaddr_in6 *)&address)->sin6_port = 0;
	return fd >= 0 && !bind(fd, (const struct sockaddr *)&address, target->addr_len);
}

static uint16_t port_of(const struct target *target)
{
	const struct sockaddr_in *four = (const struct sockaddr_in *)&target->addr;
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)&target->addr;

	return ntohs(target->addr.ss_family == AF_INET ? four->sin_port : six->sin6_port);
}

/* A listener on 0.0.0.0 or [::] takes what comes to any address; the latter IPv4 too, mostly. */
static bool host_takes(const struct addr_host *host, const struct target *target)
{
	static const uint8_t any[16];
	const struct sockaddr_in *four = (const struct sockaddr_in *)&target->addr;
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)&target->addr;

	if (!memcmp(host->bytes, any, sizeof(any)))
		return host->family == AF_INET6 || target->addr.ss_family == AF_INET;
	if (host->family != target->addr.ss_family)
		return false;
	if (host->family == AF_INET)
		return !memcmp(host->bytes, &four->sin_addr, sizeof(four->sin_addr));
	return !memcmp(host->bytes, &six->sin6_addr, sizeof(six->sin6_addr));
}

static bool listener_takes(const char *listener, const struct target *target)
{
	struct addr addr;
	const char *why;

	return !addr_parse(listener, &addr, &why) && addr.proto == IPPROTO_TCP &&
	       addr.nr_hosts == 1 && addr.port == port_of(target) &&
	       host_takes(&addr.hosts[0], target);
}

void served_read(const char *list, const struct target *target, struct served *served)
{
	json_t *services = json_loads(list, 0, NULL), *service, *listener;
	size_t i, j;

	*served = (struct served){ 0 };
	json_array_foreach(services, i, service) {
		const char *name = json_string_value(json_object_get(service, "service"));

		json_array_foreach(json_object_get(service, "listeners"), j, listener) {
			const char *where = json_string_value(listener);

			if (!name || !where || served->workers || !listener_takes(where, target))
				continue;
			snprintf(served->service, sizeof(served->service), "%s", name);
			served->workers = json_integer_value(json_object_get(service, "workers"));
		}
	}
	json_decref(services);
}

void served_find(const struct world *world, const struct target *target, struct served *served)
{
	char lbctl[PATH_MAX + 8];
	const char *const argv[] = { lbctl, "list", "--json", NULL };
	_cleanup_free_ char *out = NULL;

	*served = (struct served){ 0 };
	snprintf(lbctl, sizeof(lbctl), "%s/lbctl", world->build);
	if (access(lbctl, X_OK))
		strcpy(lbctl, "lbctl");
	if (is_local(target) && !capture_run(argv, NULL, LBCTL_MS, &out))
		served_read(out, target, served);
}
