// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What the harness makes of commands in the background: who was late, and who was not. */
#include "harness/commands.h"
#include "harness/world.h"

#include <sys/wait.h>
#include <unistd.h>

#define DEADLINE_MS 300

/* It ended in time, although the test does something else until long after. */
static void test_waited_for_too_late(void **state)
{
	const char *const argv[] = { "echo", "done", NULL };
	struct output output;
	struct job job;

	(void)state;
	job_start(&job, argv, DEADLINE_MS);
	wait_until(!job_is_running(&job), 10000);
	while (now_ns() <= job.deadline_ns)
		harness_nap();
	job_wait(&job, &output);
	assert_int_equal(output.status, 0);
	assert_string_equal(output.out, "done\n");
	output_free(&output);
}

static void wait_for_one_that_is_late(void **state)
{
	const char *const argv[] = { "sleep", "1000", NULL };
	struct output output;
	struct job job;

	(void)state;
	job_start(&job, argv, DEADLINE_MS);
	job_wait(&job, &output);
}

/* It is killed, and the test has failed. */
static void test_late(void **state)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(wait_for_one_that_is_late) };
	pid_t pid = fork();
	int status;

	(void)state;
	assert_true(pid >= 0);
	if (!pid) {
		close(STDOUT_FILENO);
		close(STDERR_FILENO);
		_exit(cmocka_run_group_tests(tests, NULL, NULL));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 1);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		harness_test(test_waited_for_too_late),
		harness_test(test_late),
	};

	(void)argc;
	return harness_run(argv[0], tests);
}
