// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The texts of /proc: entries of epoll, stat lines, links. */
#include <errno.h>
#include <stdint.h>

#include "check.h"
#include "host/procs.h"

static const struct {
	const char *name, *line;
	int want;
	uint64_t inode, device;
} tfd_rows[] = {
	{ "usual", "tfd:        3 events:       19 data:                3  pos:0 ino:2005 sdev:9\n",
	  0, 0x2005, 9 },
	{ "no newline", "tfd: 3 events: 19 data: 3  pos:0 ino:1 sdev:8", 0, 1, 8 },
	{ "all digits of hex",
	  "tfd: 3 events: 19 data: ffffffffffffffff  pos:0 ino:ffff1234 sdev:ab", 0, 0xffff1234,
	  0xab },
	{ "major number", "tfd: 3 events: 19 data: 3  pos:0 ino:7 sdev:800001", 0, 7, 0x800001 },
	{ "data that looks like more", "tfd: 3 events: 19 data: ino:9 pos:0 ino:7 sdev:8", 0, 9,
	  8 },
	{ "no inode (before 4.13)", "tfd:        3 events:       19 data:                3\n",
	  -EINVAL, 0, 0 },
	{ "no device", "tfd: 3 events: 19 data: 3  pos:0 ino:2005\n", -EINVAL, 0, 0 },
	{ "empty inode", "tfd: 3 events: 19 data: 3  pos:0 ino: sdev:9\n", -EINVAL, 0, 0 },
	{ "minus", "tfd: 3 events: 19 data: 3  pos:0 ino:-1 sdev:9\n", -EINVAL, 0, 0 },
	{ "head", "pos:	0\n", -EINVAL, 0, 0 },
	{ "the file's own inode", "ino:	1038 ino:1 sdev:9\n", -EINVAL, 0, 0 },
	{ "empty", "", -EINVAL, 0, 0 },
};

static void tfd_lines_are_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(tfd_rows); i++) {
		uint64_t inode = 0, device = 0;
		int got = procs_parse_tfd(tfd_rows[i].line, &inode, &device);

		if (got == tfd_rows[i].want && inode == tfd_rows[i].inode &&
		    device == tfd_rows[i].device)
			continue;
		fail_msg("%s: got %d, inode %#llx, device %#llx; want %d, %#llx, %#llx",
			 tfd_rows[i].name, got, (unsigned long long)inode,
			 (unsigned long long)device, tfd_rows[i].want,
			 (unsigned long long)tfd_rows[i].inode,
			 (unsigned long long)tfd_rows[i].device);
	}
}

/* Fields 4 to 21 of a stat line, so that the next one is field 22. */
#define FIELDS_4_TO_21 "1 2 3 0 -1 4194560 5 6 7 8 9 10 11 12 20 0 1 0"

static const struct {
	const char *name, *text;
	int want;
	uint64_t ticks;
} stat_rows[] = {
	{ "usual", "42 (node) S " FIELDS_4_TO_21 " 8812 4096 1\n", 0, 8812 },
	{ "space", "42 (tmux: server) S " FIELDS_4_TO_21 " 8812 4096\n", 0, 8812 },
	{ "parentheses", "42 (a) R 1 (b)) S " FIELDS_4_TO_21 " 8812 4096\n", 0, 8812 },
	{ "newline", "42 (a\nb) S " FIELDS_4_TO_21 " 8812 4096\n", 0, 8812 },
	{ "no name", "42 () S " FIELDS_4_TO_21 " 8812 4096\n", 0, 8812 },
	{ "last field", "42 (sh) S " FIELDS_4_TO_21 " 8812", 0, 8812 },
	{ "largest", "1 (init) S " FIELDS_4_TO_21 " 18446744073709551615 0", 0, UINT64_MAX },
	{ "too large", "1 (init) S " FIELDS_4_TO_21 " 18446744073709551616 0", -EBADMSG, 0 },
	{ "far too large", "1 (init) S " FIELDS_4_TO_21 " 1844674407370955161500000 0", -EBADMSG,
	  0 },
	{ "minus", "42 (sh) S " FIELDS_4_TO_21 " -1 0", -EBADMSG, 0 },
	{ "one field short", "42 (sh) S " FIELDS_4_TO_21, -EBADMSG, 0 },
	{ "empty field", "42 (sh) S " FIELDS_4_TO_21 " ", -EBADMSG, 0 },
	{ "no parenthesis", "42 sh S " FIELDS_4_TO_21 " 8812 0", -EBADMSG, 0 },
	{ "empty", "", -EBADMSG, 0 },
};

static void stat_lines_are_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(stat_rows); i++) {
		uint64_t ticks = 0;
		int got = procs_parse_stat(stat_rows[i].text, &ticks);

		if (got != stat_rows[i].want || ticks != stat_rows[i].ticks)
			fail_msg("%s: got %d, %llu; want %d, %llu", stat_rows[i].name, got,
				 (unsigned long long)ticks, stat_rows[i].want,
				 (unsigned long long)stat_rows[i].ticks);
	}
}

static void test_links(void **state)
{
	static const struct {
		const char *link;
		uint64_t want;
	} rows[] = {
		{ "socket:[12345]", 12345 },
		{ "socket:[18446744073709551615]", UINT64_MAX },
		{ "socket:[18446744073709551616]", 0 },
		{ "socket:[123456789012345678901234567890]", 0 },
		{ "socket:[1]x", 0 },
		{ "socket:[1", 0 },
		{ "socket:[]", 0 },
		{ "socket:[-1]", 0 },
		{ "pipe:[12345]", 0 },
		{ "/socket:[1]", 0 },
		{ "", 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check("procs_parse_link", rows[i].link, procs_parse_link(rows[i].link),
		      rows[i].want);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tfd_lines_are_read),
		cmocka_unit_test(stat_lines_are_read),
		cmocka_unit_test(test_links),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
