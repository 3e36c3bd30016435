// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Work in children of the keeper, and the one entry to its own: when, how often, to which end. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "keeper/task.h"
#include "keeper/turn.h"

#define LONG_MS 60000

static sd_event *loop;

static int open_loop(void **state)
{
	(void)state;
	return sd_event_new(&loop) < 0;
}

static int close_loop(void **state)
{
	(void)state;
	loop = sd_event_unref(loop);
	return 0;
}

/* --- tasks --- */

static unsigned int ends;
static int end_status, end_value;

static void on_done(void *arg, int status, void *shared)
{
	(void)arg;
	ends++;
	end_status = status;
	end_value = shared ? *(int *)shared : 0;
}

static int add_one(void *shared)
{
	++*(int *)shared;
	return 7;
}

static int be_killed(void *shared)
{
	(void)shared;
	raise(SIGKILL);
	return 0;
}

static int hang(void *shared)
{
	(void)shared;
	while (pause())
		continue;
	return 0;
}

static int is_unblocked(void *shared)
{
	sigset_t mask;

	(void)shared;
	return sigprocmask(SIG_SETMASK, NULL, &mask) || sigismember(&mask, SIGTERM);
}

static struct task *start(int (*run)(void *shared), uint64_t deadline_ms, const int *value)
{
	const struct task_spec spec = {
		.run = run,
		.shared_bytes = value ? sizeof(*value) : 0,
		.deadline_ms = deadline_ms,
		.done = on_done,
	};
	struct task *task;

	ends = 0;
	assert_int_equal(task_start(loop, &spec, value, NULL, &task), 0);
	return task;
}

/* Runs the loop until no child is left: the task takes it in. */
static void run_out(void)
{
	while (waitid(P_ALL, 0, NULL, WEXITED | WNOHANG | WNOWAIT) != -1)
		assert_true(sd_event_run(loop, 10000) >= 0);
	assert_int_equal(errno, ECHILD);
}

static void run_until_end(void)
{
	while (!ends)
		assert_true(sd_event_run(loop, LONG_MS * 1000ULL) > 0);
}

static void test_result(void **state)
{
	const int value = 41;

	(void)state;
	start(add_one, LONG_MS, &value);
	run_until_end();
	check("status", "a child that ends", end_status, 7);
	check("value", "that it wrote", end_value, 42);
	check("value", "ours", value, 41);
	check("ends", "told once", ends, 1);
}

static void test_killed_child(void **state)
{
	(void)state;
	start(be_killed, LONG_MS, NULL);
	run_until_end();
	assert_int_equal(end_status, -EINTR);
}

static void test_deadline(void **state)
{
	(void)state;
	start(hang, 20, NULL);
	run_until_end();
	assert_int_equal(end_status, -ETIMEDOUT);
	run_out();
	check("ends", "told once", ends, 1);
}

static void test_cancelled(void **state)
{
	(void)state;
	task_cancel(start(hang, LONG_MS, NULL));
	run_out();
	check("ends", "not told", ends, 0);
	task_cancel(NULL);
}

static int leave_loop(sd_event_source *source, void *arg)
{
	(void)source;
	(void)arg;
	return sd_event_exit(loop, 0);
}

/* Nothing is left of it, as LeakSanitizer sees, though the loop does not run any more. */
static void test_cancelled_after_the_loop(void **state)
{
	struct task *task = start(hang, LONG_MS, NULL);

	(void)state;
	assert_true(sd_event_add_defer(loop, NULL, leave_loop, NULL) >= 0);
	assert_int_equal(sd_event_loop(loop), 0);
	task_cancel(task);
	check("ends", "not told", ends, 0);
	/* it may end a moment later, and is init's where its parent has ended */
	while (waitpid(-1, NULL, 0) > 0)
		continue;
}

/* The loop takes its signals by a descriptor, so they are blocked; a child's are not. */
static void test_child_takes_signals(void **state)
{
	sigset_t block, before;

	(void)state;
	sigemptyset(&block);
	sigaddset(&block, SIGTERM);
	sigprocmask(SIG_BLOCK, &block, &before);
	start(is_unblocked, LONG_MS, NULL);
	sigprocmask(SIG_SETMASK, &before, NULL);
	run_until_end();
	assert_int_equal(end_status, 0);
}

static void test_dropped_descriptor(void **state)
{
	int ends_of_pipe[2], none = -1;
	struct pollfd end;
	char byte;

	(void)state;
	assert_int_equal(pipe2(ends_of_pipe, O_CLOEXEC), 0);
	task_drop_fd(&ends_of_pipe[1]);
	assert_int_equal(ends_of_pipe[1], -1);
	end = (struct pollfd){ .fd = ends_of_pipe[0], .events = POLLIN };
	assert_int_equal(poll(&end, 1, LONG_MS), 1);
	assert_int_equal(read(ends_of_pipe[0], &byte, 1), 0);
	close(ends_of_pipe[0]);
	task_drop_fd(&none);
	/* a child that is left to orphans_reap(), one alone */
	assert_true(waitpid(-1, NULL, 0) > 0);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

/* --- turns --- */

static struct turn *turn;
static unsigned int turns, last_work, mark_again;

static void on_turn(void *arg, unsigned int work)
{
	assert_ptr_equal(arg, &turns);
	turns++;
	last_work = work;
	if (mark_again)
		turn_mark(turn, mark_again);
	mark_again = 0;
}

static void run_all(void)
{
	while (sd_event_run(loop, 0) > 0)
		continue;
}

static void test_marks_come_together(void **state)
{
	(void)state;
	turns = 0;
	turn = turn_new(loop, on_turn, &turns);
	assert_non_null(turn);
	run_all();
	check("turns", "nothing marked", turns, 0);
	turn_mark(turn, TURN_DECIDE);
	turn_mark(turn, TURN_LOOK);
	check("turns", "never at once", turns, 0);
	run_all();
	check("turns", "two marks", turns, 1);
	check("work", "two marks", last_work, TURN_DECIDE | TURN_LOOK);
	mark_again = TURN_TICK;
	turn_mark(turn, TURN_DECIDE);
	run_all();
	check("turns", "marked in the turn", turns, 3);
	check("work", "marked in the turn", last_work, TURN_TICK);
	turn_free(turn);
	turn_free(NULL);
}

static void test_time_of_a_turn(void **state)
{
	(void)state;
	turns = 0;
	turn = turn_new(loop, on_turn, &turns);
	assert_non_null(turn);
	turn_at(turn, turn_now(turn) + 3600 * 1000000ULL);
	run_all();
	check("turns", "in an hour", turns, 0);
	turn_at(turn, 1);
	while (!turns)
		sd_event_run(loop, UINT64_MAX);
	check("work", "at its time", last_work, TURN_DECIDE);
	run_all();
	check("turns", "at its time", turns, 1);
	turn_at(turn, 1);
	turn_at(turn, UINT64_MAX);
	run_all();
	check("turns", "no more", turns, 1);
	turn_free(turn);
}

#define with_loop(test) cmocka_unit_test_setup_teardown(test, open_loop, close_loop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_loop(test_result),
		with_loop(test_killed_child),
		with_loop(test_deadline),
		with_loop(test_cancelled),
		with_loop(test_cancelled_after_the_loop),
		with_loop(test_child_takes_signals),
		with_loop(test_dropped_descriptor),
		with_loop(test_marks_come_together),
		with_loop(test_time_of_a_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
