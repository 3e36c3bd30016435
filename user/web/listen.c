// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See listen.h. */
#include "web/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/cleanup.h"
#include "lb_abi.h"

#define UNIX "unix:"
#define BACKLOG 64

static const struct addr_host loopback = { AF_INET, { 127, 0, 0, 1 } };

static bool is_loopback(const struct addr_host *host)
{
	static const uint8_t one[16] = { [15] = 1 };

	return host->family == AF_INET ? host->bytes[0] == 127 :
					 !memcmp(host->bytes, one, sizeof(one));
}

static int listen_at(int family, const void *at, socklen_t len)
{
	_cleanup_close_ int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const int on = 1;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	return bind(fd, at, len) || listen(fd, BACKLOG) ? -errno : fd_steal(&fd);
}

static int listen_host(const struct addr_host *host, uint16_t port)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };

	if (host->family == AF_INET) {
		memcpy(&in.sin_addr, host->bytes, sizeof(in.sin_addr));
		return listen_at(AF_INET, &in, sizeof(in));
	}
	memcpy(&in6.sin6_addr, host->bytes, sizeof(in6.sin6_addr));
	return listen_at(AF_INET6, &in6, sizeof(in6));
}

static int add(struct listen_places *places, int fd, const char *text, struct trouble *trouble)
{
	struct listen_place *place = &places->at[places->count];

	if (fd < 0)
		return trouble_set(trouble, fd == -EACCES ? EXIT_NOT_ABLE : EXIT_FAILED, "%s: %s",
				   text, strerror(-fd));
	place->fd = fd;
	snprintf(place->text, sizeof(place->text), "%s", text);
	places->count++;
	return EXIT_DONE;
}

static int open_tcp(const char *text, struct listen_places *places, struct trouble *trouble)
{
	char address[ADDR_STRLEN], url[ADDR_STRLEN + 16];
	struct addr addr;
	const char *why;
	int status = EXIT_DONE;

	if (addr_parse(text, &addr, &why))
		return trouble_set(trouble, EXIT_USAGE, "%.80s: %s", text, why);
	if (addr.proto != LB_PROTO_TCP)
		return trouble_set(trouble, EXIT_USAGE, "%.80s: HTTP is TCP", text);
	if (addr.any) {
		addr.hosts[0] = loopback;
		addr.nr_hosts = 1;
	}
	for (size_t i = 0; i < addr.nr_hosts && !status; i++) {
		if (!is_loopback(&addr.hosts[i]))
			return trouble_set(
				trouble, EXIT_USAGE,
				"%.80s: is no loopback address, and who reaches it may "
				"read; let a proxy with a password pass it on, or ssh -L",
				text);
		if (places->count == SERVER_MOST_LISTENERS)
			return trouble_set(trouble, EXIT_USAGE, "%d addresses are the most",
					   SERVER_MOST_LISTENERS);
		addr_format(addr.hosts[i].family, addr.hosts[i].bytes, addr.port, address,
			    sizeof(address));
		snprintf(url, sizeof(url), "http://%s/", address);
		status = add(places, listen_host(&addr.hosts[i], addr.port), url, trouble);
	}
	return status;
}

/* One that nobody listens on any more goes; what is no socket stays. */
static void remove_stale(const struct sockaddr_un *at)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct stat file;

	if (!lstat(at->sun_path, &file) && S_ISSOCK(file.st_mode) &&
	    connect(fd, (const struct sockaddr *)at, sizeof(*at)) && errno == ECONNREFUSED)
		unlink(at->sun_path);
}

static int open_unix(const char *text, gid_t group, struct listen_places *places,
		     struct trouble *trouble)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	const char *path = text + strlen(UNIX);
	mode_t mask;
	int fd, status;

	if (*path != '/' || strlen(path) >= sizeof(at.sun_path))
		return trouble_set(trouble, EXIT_USAGE,
				   "%.120s: is to be unix: and an absolute path of at most %zu "
				   "letters",
				   text, sizeof(at.sun_path) - 1);
	if (places->count == SERVER_MOST_LISTENERS)
		return trouble_set(trouble, EXIT_USAGE, "%d addresses are the most",
				   SERVER_MOST_LISTENERS);
	strcpy(at.sun_path, path);
	remove_stale(&at);
	mask = umask(0117);
	fd = listen_at(AF_UNIX, &at, sizeof(at));
	umask(mask);
	status = add(places, fd, text, trouble);
	if (!status && group != LB_NO_GROUP && chown(path, -1, group))
		status = trouble_set(trouble, EXIT_NOT_ABLE, "%s: can't be given to the group: %s",
				     text, strerror(errno));
	return status;
}

int listen_open(const char *list, gid_t group, struct listen_places *places,
		struct trouble *trouble)
{
	_cleanup_free_ char *words = strdup(list);
	char *at = words, *word;
	int status = EXIT_DONE;

	*places = (struct listen_places){ 0 };
	if (!words)
		return trouble_set(trouble, EXIT_FAILED, "out of memory");
	while (!status && (word = strsep(&at, ",")))
		status = strncmp(word, UNIX, strlen(UNIX)) ?
				 open_tcp(word, places, trouble) :
				 open_unix(word, group, places, trouble);
	return status;
}

void listen_close(struct listen_places *places)
{
	for (size_t i = 0; i < places->count; i++)
		close_fd(&places->at[i].fd);
}

void listen_remove(const struct listen_places *places)
{
	for (size_t i = 0; i < places->count; i++) {
		if (!strncmp(places->at[i].text, UNIX, strlen(UNIX)))
			unlink(places->at[i].text + strlen(UNIX));
	}
}
