// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See target.h. */
#include "target.h"

#include <ctype.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/parse.h"

static int bad_url(struct trouble *trouble, const char *url, const char *why)
{
	return trouble_set(trouble, EXIT_USAGE, "'%.100s' is not a URL for this: %s", url, why);
}

static int split_port(char *rest, struct target_parts *parts, struct trouble *trouble)
{
	uint64_t port;

	parts->port = "80";
	if (!*rest)
		return EXIT_DONE;
	if (*rest != ':' || parse_u64(rest + 1, 1, 65535, &port))
		return bad_url(trouble, rest, "after the host comes :PORT, 1 to 65535, or a path");
	*rest = '\0';
	parts->port = rest + 1;
	return EXIT_DONE;
}

static int split_host(char *authority, struct target_parts *parts, struct trouble *trouble)
{
	char *end;

	if (strchr(authority, '@'))
		return bad_url(trouble, authority, "it has a user name in it");
	parts->bracketed = authority[0] == '[';
	parts->host = authority + parts->bracketed;
	end = authority + strcspn(authority, parts->bracketed ? "]" : ":");
	if (parts->bracketed && !*end)
		return bad_url(trouble, authority, "a ] is missing");
	if (end == parts->host)
		return bad_url(trouble, authority, "it has no host");
	if (!parts->bracketed)
		return split_port(end, parts, trouble);
	*end = '\0';
	return split_port(end + 1, parts, trouble);
}

int target_split(char *text, struct target_parts *parts, struct trouble *trouble)
{
	char *slash;

	for (const char *letter = text; *letter; letter++) {
		if (isspace((unsigned char)*letter) || iscntrl((unsigned char)*letter))
			return bad_url(trouble, text, "it has a blank in it (only GET is sent)");
	}
	if (!strncasecmp(text, "http://", 7))
		text += 7;
	else if (strstr(text, "://") && strstr(text, "://") < text + strcspn(text, "/") + 1)
		return bad_url(trouble, text, "only http:// is spoken");
	text[strcspn(text, "#")] = '\0';
	slash = strpbrk(text, "/?");
	parts->path = "";
	if (slash && *slash == '/') {
		*slash = '\0';
		parts->path = slash + 1;
	} else if (slash) {
		return bad_url(trouble, text, "write a / before the ?");
	}
	return split_host(text, parts, trouble);
}

static int look_up(struct target *target, const struct target_parts *parts, struct trouble *trouble)
{
	const struct addrinfo hints = {
		.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICSERV,
	};
	struct addrinfo *found;
	int err = getaddrinfo(parts->host, parts->port, &hints, &found);

	if (err)
		return trouble_set(trouble, EXIT_FAILED, "can't find host '%.100s': %s",
				   parts->host, gai_strerror(err));
	memcpy(&target->addr, found->ai_addr, found->ai_addrlen);
	target->addr_len = found->ai_addrlen;
	freeaddrinfo(found);
	return EXIT_DONE;
}

static int write_request(struct target *target, const struct target_parts *parts, bool keep_alive)
{
	int len = asprintf(&target->request,
			   "GET /%s HTTP/1.1\r\nHost: %s%s%s:%s\r\nUser-Agent: lb-bench\r\n"
			   "Accept: */*\r\nConnection: %s\r\n\r\n",
			   parts->path, parts->bracketed ? "[" : "", parts->host,
			   parts->bracketed ? "]" : "", parts->port,
			   keep_alive ? "keep-alive" : "close");

	if (len < 0)
		return -ENOMEM;
	target->request_bytes = len;
	return 0;
}

int targets_add(struct targets *targets, const char *url, bool keep_alive, struct trouble *trouble)
{
	char text[TARGET_URL_MAX + 1];
	struct target_parts parts;
	struct target *grown, *target;
	int status;

	if (strlen(url) > TARGET_URL_MAX)
		return bad_url(trouble, url, "it is longer than 2000 letters");
	grown = realloc(targets->all, (targets->count + 1) * sizeof(*grown));
	if (!grown)
		return trouble_set(trouble, EXIT_FAILED, "%s", strerror(ENOMEM));
	targets->all = grown;
	target = &grown[targets->count];
	*target = (struct target){ 0 };
	strcpy(target->url, url);
	strcpy(text, url);
	status = target_split(text, &parts, trouble);
	if (!status)
		status = look_up(target, &parts, trouble);
	if (!status && write_request(target, &parts, keep_alive))
		status = trouble_set(trouble, EXIT_FAILED, "%s", strerror(ENOMEM));
	if (!status)
		targets->count++;
	return status;
}

/* Without blanks at both ends. */
static char *trim(char *line)
{
	char *end = line + strlen(line);

	while (end > line && isspace((unsigned char)end[-1]))
		*--end = '\0';
	while (isspace((unsigned char)*line))
		line++;
	return line;
}

int targets_read(struct targets *targets, const char *path, bool keep_alive,
		 struct trouble *trouble)
{
	_cleanup_fclose_ FILE *file = fopen(path, "re");
	_cleanup_free_ char *line = NULL;
	struct trouble inner = { 0 };
	size_t room = 0, number = 0;
	char *url;

	if (!file)
		return trouble_set(trouble, EXIT_FAILED, "can't read %s: %s", path,
				   strerror(errno));
	while (getline(&line, &room, file) > 0) {
		number++;
		url = trim(line);
		if (!*url || *url == '#')
			continue;
		if (targets_add(targets, url, keep_alive, &inner))
			return trouble_set(trouble, inner.status, "%s, line %zu: %.400s", path,
					   number, inner.text);
	}
	if (ferror(file))
		return trouble_set(trouble, EXIT_FAILED, "can't read %s: %s", path,
				   strerror(errno));
	if (!targets->count)
		return trouble_set(trouble, EXIT_USAGE, "%s has no URL in it", path);
	return EXIT_DONE;
}

void targets_free(struct targets *targets)
{
	for (size_t i = 0; i < targets->count; i++)
		free(targets->all[i].request);
	free(targets->all);
	*targets = (struct targets){ 0 };
}
