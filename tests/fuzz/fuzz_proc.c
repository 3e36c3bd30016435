// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Texts of /proc, in which others have chosen names. What can't be read leaves the result alone.
 */
#include <errno.h>

#include "fuzz/fuzz.h"
#include "host/procs.h"
#include "host/usage.h"
#include "lib/map.h"

#define UNSET 77

static void epoll_line(const char *text)
{
	uint64_t inode = UNSET, device = UNSET;

	if (procs_parse_tfd(text, &inode, &device))
		FUZZ_CHECK(inode == UNSET && device == UNSET);
}

static void process_stat(const char *text)
{
	struct usage_stat stat = { 0 }, none = { 0 };
	uint64_t ticks = UNSET;
	int err = procs_parse_stat(text, &ticks);

	FUZZ_CHECK(!err || (err == -EBADMSG && ticks == UNSET));
	err = usage_parse_stat(text, &stat);
	FUZZ_CHECK(!err || (err == -EBADMSG && !memcmp(&stat, &none, sizeof(stat))));
}

static void descriptor_link(const char *text)
{
	uint64_t inode = procs_parse_link(text);
	char back[64];

	snprintf(back, sizeof(back), "socket:[%llu]", (unsigned long long)inode);
	FUZZ_CHECK(!inode || text[8] == '0' || !strcmp(text, back));
}

static void map_shape(const char *text)
{
	struct lbctl_map_shape shape;
	char *copy = fuzz_text((const uint8_t *)text, strlen(text));

	FUZZ_CHECK(lbctl_map_shape_parse(copy, &shape) == (shape.type ? 0 : -EINVAL));
	free(copy);
}

static void process_ids(const char *text)
{
	struct procs_ids ids;
	int err = procs_parse_ids(text, &ids);

	FUZZ_CHECK(err ==
		   (strstr(text, "\nUid:") && strstr(text, "\nGid:") && !err ? 0 : -EBADMSG));
}

static const fuzz_parser parsers[] = { epoll_line, process_stat, descriptor_link, map_shape,
				       process_ids };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	fuzz_one_of(parsers, sizeof(parsers) / sizeof(parsers[0]), bytes, n);
	return 0;
}
