// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Who has the workers' user id may trace them, and so keep one that was killed: as a zombie that
 * nobody else can take note of, or, by PTRACE_O_TRACEEXIT, with all that it has open. Nothing waits
 * for that without end, and it is not in the way of the next start.
 */
#include "harness/attacks.h"
#include "harness/commands.h"
#include "harness/events.h"
#include "harness/runs.h"
#include "harness/servers.h"
#include "harness/world.h"

#include <signal.h>
#include <sys/ptrace.h>
#include <stdlib.h>
#include <unistd.h>

#define WORKERS 4

static struct run run;
static pid_t workers[WORKERS];

static void start_workers(void)
{
	run_start(&run, "web", "-n", "4", "--user", "nobody", "--kill-timeout", "500",
		  "--restart-delay", "10", "--", run_demo(), "-q", "--no-reuseport", "--listen",
		  ":8080", NULL);
	run_pids(&run, workers, WORKERS);
}

/* Where Yama restricts it, who may trace is not who has the user id. */
static void skip_without_ptrace(void)
{
	static const char scope[] = "/proc/sys/kernel/yama/ptrace_scope";
	char *text = access(scope, F_OK) ? NULL : file_read(scope);
	bool restricted = text && *text != '0';

	free(text);
	if (!restricted)
		return;
	print_message("needs ptrace(2) of any process of the user, which Yama forbids\n");
	skip();
}

static void trace(long options)
{
	expect(!ptrace(PTRACE_SEIZE, workers[0], 0, options), "PTRACE_SEIZE");
}

static void keep_as_zombie(void)
{
	trace(0);
}

static void keep_alive(void)
{
	trace(PTRACE_O_TRACEEXIT);
}

/*
 * 1. a worker is traced, and killed: who traces it never takes note
 * 2. its successor comes up all the same; nobody says how the first one has ended
 */
static void test_zombie_that_is_kept(void **state)
{
	pid_t attacker;

	(void)state;
	skip_without_ptrace();
	start_workers();
	attacker = attack(keep_as_zombie);
	kill(workers[0], SIGKILL);
	run_expect_events(&run, 2, "online", "{s:i}", "worker", 0);
	run_expect_up(&run, WORKERS);
	end_attack(attacker);
	run_stop(&run);
}

/*
 * 1. a worker can't die, as it is traced: a reload is done all the same, and says who traces it
 * 2. stop says that a process lives; the next run has its name and its port
 * 3. once nobody traces it any more nothing is left
 */
static void test_process_that_is_kept_alive(void **state)
{
	pid_t attacker;

	(void)state;
	skip_without_ptrace();
	start_workers();
	attacker = attack(keep_alive);
	lbctl_ok("reload", "web", NULL);
	run_expect_events(&run, 1, "exit", "{s:i, s:i}", "worker", 0, "pid", workers[0]);
	run_expect_lines(&run, "traces it and keeps it alive", 1);
	lbctl_expect(4, "processes of it live that can't be killed", "stop", "web", NULL);
	assert_int_equal(run_wait(&run), 4);
	run_start_again(&run);
	run_expect_up(&run, WORKERS);
	lbctl_ok("reload", "web", NULL);
	end_attack(attacker);
	run_stop(&run);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_zombie_that_is_kept),
		runs_test(test_process_that_is_kept_alive),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
