// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See listen.h. */
#include "web/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
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

/* --- what a list says --- */

static void set_host(struct listen_place *place, const struct addr_host *host, uint16_t port)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };

	place->port = port;
	if (host->family == AF_INET) {
		memcpy(&in.sin_addr, host->bytes, sizeof(in.sin_addr));
		memcpy(&place->at, &in, place->len = sizeof(in));
	} else {
		memcpy(&in6.sin6_addr, host->bytes, sizeof(in6.sin6_addr));
		memcpy(&place->at, &in6, place->len = sizeof(in6));
	}
}

/* A place for one more; NULL, with the trouble, where there is none. */
static struct listen_place *add(struct listen_places *places, struct trouble *trouble)
{
	struct listen_place *place;

	if (places->count == SERVER_MOST_LISTENERS) {
		trouble_set(trouble, EXIT_USAGE, "%d addresses are the most",
			    SERVER_MOST_LISTENERS);
		return NULL;
	}
	place = &places->at[places->count++];
	*place = (struct listen_place){ .fd = -1 };
	return place;
}

static int parse_tcp(const char *text, struct listen_places *places, struct trouble *trouble)
{
	char address[ADDR_STRLEN];
	struct listen_place *place;
	struct addr addr;
	const char *why;

	if (addr_parse(text, &addr, &why))
		return trouble_set(trouble, EXIT_USAGE, "%.80s: %s", text, why);
	if (addr.proto != LB_PROTO_TCP)
		return trouble_set(trouble, EXIT_USAGE, "%.80s: HTTP is TCP", text);
	if (addr.any) {
		addr.hosts[0] = loopback;
		addr.nr_hosts = 1;
	}
	for (size_t i = 0; i < addr.nr_hosts; i++) {
		if (!is_loopback(&addr.hosts[i]))
			return trouble_set(
				trouble, EXIT_USAGE,
				"%.80s: is no loopback address, and who reaches it may "
				"read; let a proxy with a password pass it on, or ssh -L",
				text);
		place = add(places, trouble);
		if (!place)
			return EXIT_USAGE;
		set_host(place, &addr.hosts[i], addr.port);
		addr_format(addr.hosts[i].family, addr.hosts[i].bytes, addr.port, address,
			    sizeof(address));
		snprintf(place->text, sizeof(place->text), "http://%s/", address);
	}
	return EXIT_DONE;
}

static int parse_unix(const char *text, struct listen_places *places, struct trouble *trouble)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	const char *path = text + strlen(UNIX);
	struct listen_place *place;

	if (*path != '/' || strlen(path) >= sizeof(at.sun_path))
		return trouble_set(trouble, EXIT_USAGE,
				   "%.120s: is to be unix: and an absolute path of at most %zu "
				   "letters",
				   text, sizeof(at.sun_path) - 1);
	place = add(places, trouble);
	if (!place)
		return EXIT_USAGE;
	strcpy(at.sun_path, path);
	memcpy(&place->at, &at, place->len = sizeof(at));
	snprintf(place->text, sizeof(place->text), "%s", text);
	return EXIT_DONE;
}

int listen_parse(const char *list, struct listen_places *places, struct trouble *trouble)
{
	_cleanup_free_ char *words = strdup(list);
	char *at = words, *word;
	int status = EXIT_DONE;

	*places = (struct listen_places){ 0 };
	if (!words)
		return trouble_set(trouble, EXIT_FAILED, "out of memory");
	while (!status && (word = strsep(&at, ",")))
		status = strncmp(word, UNIX, strlen(UNIX)) ? parse_tcp(word, places, trouble) :
							     parse_unix(word, places, trouble);
	return status;
}

const char *listen_path(const struct listen_place *place)
{
	return place->port ? NULL : place->text + strlen(UNIX);
}

/* --- sockets --- */

static int listen_at(const struct listen_place *place)
{
	const int family = place->at.ss_family, on = 1;
	_cleanup_close_ int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	return bind(fd, (const struct sockaddr *)&place->at, place->len) || listen(fd, BACKLOG) ?
		       -errno :
		       fd_steal(&fd);
}

/* One that nobody listens on any more goes; what is no socket stays. */
static void remove_stale(const struct listen_place *place)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct stat file;

	if (!lstat(listen_path(place), &file) && S_ISSOCK(file.st_mode) &&
	    connect(fd, (const struct sockaddr *)&place->at, place->len) && errno == ECONNREFUSED)
		unlink(listen_path(place));
}

static int open_place(struct listen_place *place, gid_t group, struct trouble *trouble)
{
	const char *path = listen_path(place);
	mode_t mask = umask(0117);

	if (path)
		remove_stale(place);
	place->fd = listen_at(place);
	umask(mask);
	if (place->fd < 0)
		return trouble_set(trouble, place->fd == -EACCES ? EXIT_NOT_ABLE : EXIT_FAILED,
				   "%s: %s", place->text, strerror(-place->fd));
	place->was_open = true;
	if (path && group != LB_NO_GROUP && chown(path, -1, group))
		return trouble_set(trouble, EXIT_NOT_ABLE, "%s: can't be given to the group: %s",
				   place->text, strerror(errno));
	return EXIT_DONE;
}

int listen_open(struct listen_places *places, gid_t group, struct trouble *trouble)
{
	int status = EXIT_DONE;

	for (size_t i = 0; i < places->count && !status; i++)
		status = open_place(&places->at[i], group, trouble);
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
		if (places->at[i].was_open && listen_path(&places->at[i]))
			unlink(listen_path(&places->at[i]));
	}
}
