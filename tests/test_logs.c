/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Whose line of the journal it is: what its cgroup says. The last lines of a file. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "cmd/log_journal.h"
#include "cmd/log_tail.h"

static void test_worker_of_a_cgroup(void **state)
{
	static const struct {
		const char *cgroup;
		uint32_t want;
	} rows[] = {
		{ "/system.slice/web.service/lbctl-web/w0-1", 0 },
		{ "/system.slice/web.service/lbctl-web/w12-345", 12 },
		{ "/system.slice/web.service/lbctl-web/w3-1/below", 3 },
		{ "/lbctl-web/w1023-1", 1023 },
		{ "/lbctl-web/w1024-1", LOG_NO_WORKER },
		{ "/lbctl-web/wx-1", LOG_NO_WORKER },
		{ "/lbctl-web/w", LOG_NO_WORKER },
		{ "/lbctl-web/w00000000000000001-1", LOG_NO_WORKER },
		{ "/system.slice/web.service", LOG_NO_WORKER },
		{ "/system.slice/web.service/lbctl-web-2/w1-1", LOG_NO_WORKER },
		{ "", LOG_NO_WORKER },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check("worker", rows[i].cgroup, log_journal_worker(rows[i].cgroup, "web"),
		      rows[i].want);
}

static void count(void *arg, uint32_t worker, const char *line, size_t len)
{
	(void)worker, (void)line, (void)len;
	++*(unsigned int *)arg;
}

/* The last lines of a file with a beginning, and then `hole` bytes that were never written. */
static unsigned int count_last(const char *text, off_t hole, uint64_t lines)
{
	char path[] = "/tmp/lbctl-test-logs-XXXXXX";
	int fd = mkstemp(path);
	unsigned int told = 0;
	struct log_tail tail;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(ftruncate(fd, strlen(text) + hole), 0);
	close(fd);
	assert_int_equal(log_tail_open(&tail, path, 0, count, &told), 0);
	log_tail_last(&tail, lines);
	log_tail_close(&tail);
	unlink(path);
	return told;
}

/* To look for an end of a line in all of a terabyte takes minutes, which the alarm does not. */
static void test_last_lines(void **state)
{
	static const struct {
		const char *name, *text;
		off_t hole;
		uint64_t lines;
		unsigned int want;
	} rows[] = {
		{ "all", "a\nb\nc\n", 0, 5, 3 },
		{ "two", "a\nb\nc\n", 0, 2, 2 },
		{ "no end", "a\nb\nc", 0, 2, 2 },
		{ "none", "a\nb\n", 0, 0, 0 },
		{ "long", "a\n", 3 * LOG_LINE_MOST, 2, 4 },
		{ "hole", "a\n", 1LL << 40, 10, 10 + (4 << 20) / LOG_LINE_MOST + 1 },
	};

	(void)state;
	alarm(20);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check("lines", rows[i].name, count_last(rows[i].text, rows[i].hole, rows[i].lines),
		      rows[i].want);
	alarm(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_worker_of_a_cgroup),
		cmocka_unit_test(test_last_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
