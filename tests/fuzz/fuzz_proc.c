// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Texts of /proc, in which others have chosen names. What can't be read leaves the result alone. */
#include <errno.h>

#include "fuzz/fuzz.h"
#include "host/locks.h"
#include "host/procs.h"
#include "host/usage.h"
#include "host/waits.h"
#include "lib/map.h"

#define UNSET 77

static void epoll_line(const char *text)
{
	uint64_t inode = UNSET, device = UNSET;

	FUZZ_CHECK(!procs_parse_tfd(text, &inode, &device) || (inode == UNSET && device == UNSET));
}

static void process_stat(const char *text)
{
	struct usage_stat stat = { 0 }, none = { 0 };
	uint64_t ticks = UNSET;

	FUZZ_CHECK(!procs_parse_stat(text, &ticks) || ticks == UNSET);
	FUZZ_CHECK(!usage_parse_stat(text, &stat) || !memcmp(&stat, &none, sizeof(stat)));
}

static void descriptor_link(const char *text)
{
	uint64_t inode = procs_parse_link(text);

	FUZZ_CHECK(!inode ||
		   (!strncmp(text, "socket:[", 8) && strtoull(text + 8, NULL, 10) == inode));
}

static void map_shape(const char *text)
{
	struct lbctl_map_shape shape;
	char *copy = fuzz_text((const uint8_t *)text, strlen(text));
	int err = lbctl_map_shape_parse(copy, &shape);

	free(copy);
	FUZZ_CHECK(err == (shape.type ? 0 : -EINVAL));
}

static void process_ids(const char *text)
{
	struct procs_ids ids;

	if (!procs_parse_ids(text, &ids))
		FUZZ_CHECK(strstr(text, "\nUid:") && strstr(text, "\nGid:"));
}

static void system_call(const char *text)
{
	struct waits_call call;

	waits_parse(text, &call);
	FUZZ_CHECK(call.how != WAITS_NOT || (!call.args[0] && !call.args[1]));
}

static void lock(const char *text)
{
	const struct stat file = { .st_ino = 7 };

	FUZZ_CHECK(locks_parse(text, &file) <= 0 || strstr(text, "FLOCK"));
}

static const fuzz_parser parsers[] = { epoll_line, process_stat, descriptor_link,
				       map_shape,  process_ids,	 system_call,
				       lock };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	fuzz_one_of(parsers, sizeof(parsers) / sizeof(parsers[0]), bytes, n);
	return 0;
}
