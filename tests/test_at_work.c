// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Which connections of a process that is to end are waited for. */
#include "check.h"
#include "keeper/at_work.h"

static void test_which_are_at_work(void **state)
{
	static const struct {
		const char *name;
		struct sockdiag_socket connection;
		bool want;
	} rows[] = {
		{ "its client asked, and has no answer",
		  { .inode = 1, .sent_ms = 60000, .received_ms = 3000 },
		  true },
		{ "asked a moment ago", { .inode = 1, .sent_ms = 10, .received_ms = 5 }, true },
		{ "answered a moment ago", { .inode = 1, .sent_ms = 5, .received_ms = 10 }, true },
		{ "asked and answered at once, a moment ago",
		  { .inode = 1, .sent_ms = 999, .received_ms = 999 },
		  true },
		{ "asked and answered at once",
		  { .inode = 1, .sent_ms = 1000, .received_ms = 1000 },
		  false },
		{ "answered, then silence",
		  { .inode = 1, .sent_ms = 1000, .received_ms = 1001 },
		  false },
		{ "asked as it was opened, and has no answer",
		  { .inode = 1, .sent_ms = 3000, .received_ms = 3000, .unanswered = true },
		  true },
		{ "just opened", { .inode = 1 }, true },
		{ "something is unread",
		  { .inode = 1, .queued = 1, .sent_ms = 5000, .received_ms = 6000 },
		  true },
		{ "something has not arrived",
		  { .inode = 1, .queue_max = 1, .sent_ms = 5000, .received_ms = 6000 },
		  true },
		{ "nobody has accepted it, and it has asked",
		  { .queued = 100, .sent_ms = 9, .received_ms = 3 },
		  true },
		{ "nobody has accepted it, and it is silent",
		  { .sent_ms = 2000, .received_ms = 2000 },
		  false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check("at work", rows[i].name, at_work_is(&rows[i].connection), rows[i].want);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_which_are_at_work),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
