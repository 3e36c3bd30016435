// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Programs that open several sockets or put a program on them: which setting leaves that to run. */
#include <string.h>

#include "check.h"
#include "keeper/advice.h"

static void test_advice(void **state)
{
	static const struct {
		const char *executable;
		enum advice advice;
		const char *want; /* words of it; NULL = there is none */
	} rows[] = {
		{ "nginx", ADVICE_ONE_SOCKET, "`listen` without `reuseport`" },
		{ "nginx", ADVICE_NO_PROGRAM, "`quic_bpf off`" },
		{ "haproxy", ADVICE_ONE_SOCKET, "`shards 1`" },
		{ "haproxy", ADVICE_NO_PROGRAM, NULL },
		{ "node", ADVICE_ONE_SOCKET, "without `reusePort: true`" },
		{ "knotd", ADVICE_NO_PROGRAM, "`socket-affinity: off`" },
		{ "nginx-debug", ADVICE_ONE_SOCKET, NULL },
		{ "python3", ADVICE_ONE_SOCKET, NULL },
		{ "", ADVICE_NO_PROGRAM, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *got = advice_of(rows[i].executable, rows[i].advice);

		if (!got != !rows[i].want || (got && !strstr(got, rows[i].want)))
			fail_msg("%s: got \"%s\", want \"%s\"", rows[i].executable,
				 got ? got : "none", rows[i].want ? rows[i].want : "none");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_advice) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
