/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Whose line of the journal it is: what its cgroup says. */
#include "check.h"
#include "cmd/log_journal.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_worker_of_a_cgroup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
