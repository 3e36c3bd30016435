// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The rules of the keeper's decisions one by one: times, counts, and who a new keeper finds. */
#include <errno.h>
#include <signal.h>

#include "keeper/reconcile.h"
#include "reconcile_world.h"

#define WORKERS 3
#define SEC 1000000ULL

static const struct plan_options plain = {
	.ready_timeout_us = 10 * SEC,
	.kill_timeout_us = 5 * SEC,
	.stop_signal = SIGTERM,
	.restart_delay_us = PLAN_FIRST_BACKOFF_US,
	.max_restarts = 16,
};

static struct world world;

static void begin(const struct plan_options *options, uint32_t wanted)
{
	world_begin(&world, options, wanted);
	world_run(&world);
}

static void test_backoff(void **state)
{
	static const uint64_t want_ms[] = { 100,  200,	400,   800,   1600,
					    3200, 6400, 10000, 10000, 10000 };
	struct plan_options options = plain;

	(void)state;
	options.max_restarts = ARRAY_SIZE(want_ms);
	begin(&options, 2);
	world.habit.dies_us = 3 * WORLD_MS;
	world.faultless = false;
	world_role(&world, 0, ROLE_CURRENT)->ends_us = world.now_us;
	world.stop_after = 1;
	for (size_t i = 0; i < ARRAY_SIZE(want_ms);) {
		world.last_backoff_us = 0;
		world_run(&world);
		if (world.last_backoff_us)
			check("ms", "back-off", world.last_backoff_us / 1000, want_ms[i++]);
	}
	world.stop_after = UINT32_MAX;
	world_run(&world);
	check("gave up", "after as many restarts", world.told[WHY_GAVE_UP], 1);
	check("state", "worker 0", world.workers[0].at[ROLE_CURRENT].state, LIFE_FAILED);
	check("state", "worker 1", world.workers[1].at[ROLE_CURRENT].state, LIFE_ONLINE);
	world.habit.dies_us = PLAN_NEVER;
	plan_restart(&world.plan, 0, 1);
	world_run(&world);
	check("finish", "restart of one that was given up", world.finish, WHY_DONE);
	world_expect_promised(&world, "restart of one that was given up");
}

/* --restart-delay: what it begins with, and where it ends. */
static void test_backoff_begins_as_asked(void **state)
{
	static const struct {
		const char *name;
		uint64_t delay_ms, want_ms[3];
	} rows[] = {
		{ "at once", 0, { 0, 0, 0 } },
		{ "soon", 10, { 10, 20, 40 } },
		{ "as by default", 100, { 100, 200, 400 } },
		{ "up to 10 s", 4000, { 4000, 8000, 10000 } },
		{ "10 s", 10000, { 10000, 10000, 10000 } },
		{ "longer", 60000, { 60000, 60000, 60000 } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct plan_options options = plain;

		options.restart_delay_us = rows[i].delay_ms * WORLD_MS;
		begin(&options, 2);
		world.faultless = false;
		for (size_t n = 0; n < ARRAY_SIZE(rows[i].want_ms); n++) {
			world.last_backoff_us = 1;
			world_role(&world, 0, ROLE_CURRENT)->ends_us = world.now_us;
			world_run(&world);
			check("ms", rows[i].name, world.last_backoff_us / 1000, rows[i].want_ms[n]);
		}
		world_expect_promised(&world, rows[i].name);
	}
}

/* The last one that served, and for long, is started again at once. */
static void test_no_wait_when_nobody_serves(void **state)
{
	(void)state;
	begin(&plain, 1);
	world.faultless = false;
	world_run_until(&world, world.now_us + 2 * PLAN_STEADY_US);
	world_role(&world, 0, ROLE_CURRENT)->ends_us = world.now_us;
	world.last_backoff_us = 1;
	world_run(&world);
	check("us", "back-off", world.last_backoff_us, 0);
	world_expect_promised(&world, "again");
	world_role(&world, 0, ROLE_CURRENT)->ends_us = world.now_us;
	world_run(&world);
	check("us", "back-off", world.last_backoff_us, 2 * PLAN_FIRST_BACKOFF_US);
}

/* While none ever came up the first start is given up soon. */
static void test_first_start_gives_up_soon(void **state)
{
	(void)state;
	world_begin(&world, &plain, WORKERS);
	world.habit.dies_us = 3 * WORLD_MS;
	world_run(&world);
	check("ended", "all die", world.ended, 1);
	check("starts", "all die", world.starts, WORKERS * (1 + PLAN_FIRST_RESTARTS));
	check("status", "all die", world.plan.end_status, 1);
	check("told", "all die", world.told[WHY_ALL_FAILED], 1);
}

/* A command that is not there is tried once, and by a service that has run, again. */
static void test_command_is_missing(void **state)
{
	(void)state;
	world_begin(&world, &plain, WORKERS);
	world.habit.start_error = -ENOENT;
	world_run(&world);
	check("ended", "no such command", world.ended, 1);
	check("starts", "no such command", world.starts, WORKERS);
	check("error", "no such command", world.plan.end_error, -ENOENT);

	begin(&plain, WORKERS);
	world.faultless = false;
	world.next_habit = world.habit;
	world.next_habit.start_error = -ENOENT;
	world.nexts = 1;
	plan_reload(&world.plan, 1);
	world_run(&world);
	check("finish", "it is gone at the reload", world.finish, WHY_NO_START);
	check("old", "it is gone at the reload", world.last_finish.old, WORKERS);
	world_expect_promised(&world, "it is gone at the reload");
}

/* The second of three fails: one has the new version, and two keep the old one. */
static void test_reload_counts_the_old(void **state)
{
	(void)state;
	begin(&plain, WORKERS);
	plan_reload(&world.plan, 1);
	while (world.starts < WORKERS + 1) {
		world.stop_after = 1;
		world_run(&world);
	}
	world.faultless = false;
	world.stop_after = UINT32_MAX;
	world.next_habit = world.habit;
	world.next_habit.dies_us = 2 * WORLD_MS;
	world.nexts = 1;
	world_run(&world);
	check("finish", "second fails", world.finish, WHY_ENDED);
	check("worker", "second fails", world.last_finish.worker, 1);
	check("old", "second fails", world.last_finish.old, 2);
	check("starts", "second fails", world.starts, WORKERS + 2);
	world_expect_promised(&world, "second fails");
}

/* A new process that ends just after it came online ends the reload, too. */
static void test_new_version_dies_online(void **state)
{
	(void)state;
	begin(&plain, WORKERS);
	world.faultless = false;
	world.next_habit = world.habit;
	world.next_habit.dies_us = 12 * WORLD_MS;
	world.nexts = 1;
	plan_reload(&world.plan, 1);
	world_run(&world);
	check("finish", "dies online", world.finish, WHY_ENDED);
	check("old", "dies online", world.last_finish.old, 2);
	world_expect_promised(&world, "dies online");
}

/* Nobody leaves before the new one has been online for ready_after_us. */
static void test_new_version_dies_a_moment_later(void **state)
{
	struct plan_options options = plain;

	(void)state;
	options.ready_after_us = 300 * WORLD_MS;
	begin(&options, WORKERS);
	world.faultless = false;
	world.habit.dies_us = 150 * WORLD_MS;
	plan_reload(&world.plan, 1);
	world_run(&world);
	check("finish", "dies after 150 ms", world.finish, WHY_ENDED);
	check("old", "dies after 150 ms", world.last_finish.old, WORKERS);
	check("renewed", "dies after 150 ms", world.last_finish.renewed, 0);
	check("starts", "dies after 150 ms", world.starts, WORKERS + 1);
	world_expect_promised(&world, "dies after 150 ms");
}

/* The first has the new version when it dies: who is on the way does not come, all others stay. */
static void test_new_version_dies_much_later(void **state)
{
	struct plan_options options = plain;

	(void)state;
	options.ready_after_us = 300 * WORLD_MS;
	begin(&options, WORKERS);
	world.faultless = false;
	world.next_habit = world.habit;
	world.next_habit.dies_us = 500 * WORLD_MS;
	world.nexts = 1;
	plan_reload(&world.plan, 1);
	world_run_until(&world, world.now_us + 499 * WORLD_MS);
	check("next", "in time", world.workers[1].at[ROLE_NEXT].state, LIFE_ONLINE);
	world_run(&world);
	check("finish", "dies after 500 ms", world.finish, WHY_ENDED);
	check("worker", "dies after 500 ms", world.last_finish.worker, 0);
	check("old", "dies after 500 ms", world.last_finish.old, WORKERS - 1);
	check("renewed", "dies after 500 ms", world.last_finish.renewed, 0);
	check("starts", "two new ones, and the first again", world.starts, WORKERS + 3);
	check("version", "of the second", world.workers[1].at[ROLE_CURRENT].version, 0);
	world_expect_promised(&world, "dies after 500 ms");
}

/* And the operation does not end before. */
static void test_last_one_dies_a_moment_later(void **state)
{
	static const struct {
		const char *name;
		uint64_t dies_us;
		enum plan_why why;
	} rows[] = {
		{ "within the time", 200 * WORLD_MS, WHY_ENDED },
		{ "after it", 400 * WORLD_MS, WHY_DONE },
	};
	struct plan_options options = plain;

	(void)state;
	options.ready_after_us = 300 * WORLD_MS;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		begin(&options, WORKERS);
		world.faultless = false;
		world.next_habit = world.habit;
		world.next_habit.dies_us = rows[i].dies_us;
		world.nexts = 1;
		plan_scale(&world.plan, WORKERS + 1, 1);
		world_run(&world);
		check("finish", rows[i].name, world.finish, rows[i].why);
		world_expect_promised(&world, rows[i].name);
	}
}

/* One that does not ping is ended while it waits for its place, too. */
static void test_watchdog_of_a_successor(void **state)
{
	struct plan_options options = plain;

	(void)state;
	options.ready_after_us = 3 * SEC;
	begin(&options, 1);
	world.plan.options.watchdog_us = 2 * SEC;
	world.workers[0].at[ROLE_CURRENT].pinged_us = world.now_us + 3600 * SEC;
	world.faultless = false;
	plan_reload(&world.plan, 1);
	world_run_until(&world, world.now_us + 5 * SEC);
	check("finish", "a successor hangs", world.finish, WHY_ENDED);
	check("old", "a successor hangs", world.last_finish.old, 1);
	check("version", "a successor hangs", world.workers[0].at[ROLE_CURRENT].version, 0);
}

/* What serves stays, what was to come does not. */
static void test_cancel(void **state)
{
	static const struct {
		const char *name;
		enum plan_verb verb;
		uint32_t n;
		uint64_t after_us, in_us;
		uint32_t wanted, renewed;
	} rows[] = {
		{ "reload, at once", PLAN_RELOAD, 0, 1, 1, 3, 0 },
		{ "reload, one is never ready", PLAN_RELOAD, 0, SEC, PLAN_NEVER, 3, 0 },
		{ "reload, one is steady", PLAN_RELOAD, 0, 450 * WORLD_MS, 1, 3, 1 },
		{ "restart", PLAN_RESTART, 1, 100 * WORLD_MS, 1, 3, 0 },
		{ "scale up, at once", PLAN_SCALE, 5, 1, 1, 3, 0 },
		{ "scale up, never ready", PLAN_SCALE, 5, SEC, PLAN_NEVER, 3, 0 },
		{ "scale up, all are online", PLAN_SCALE, 5, 100 * WORLD_MS, 1, 5, 0 },
		{ "scale down", PLAN_SCALE, 1, 1, 1, 1, 0 },
	};
	struct plan_options options = plain;

	(void)state;
	options.ready_after_us = 300 * WORLD_MS;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint32_t renewed = 0;

		begin(&options, WORKERS);
		world.habit.in_us = rows[i].in_us;
		if (rows[i].verb == PLAN_RELOAD)
			plan_reload(&world.plan, 1);
		else if (rows[i].verb == PLAN_RESTART)
			plan_restart(&world.plan, rows[i].n, 1);
		else
			plan_scale(&world.plan, rows[i].n, 1);
		world_run_until(&world, world.now_us + rows[i].after_us);
		check("verb", rows[i].name, plan_cancel(&world.plan).verb, rows[i].verb);
		check("again", rows[i].name, plan_cancel(&world.plan).verb, PLAN_NO_VERB);
		world_run(&world);
		check("wanted", rows[i].name, world.plan.wanted, rows[i].wanted);
		check("finished", rows[i].name, world.finished, 0);
		world_expect_promised(&world, rows[i].name);
		for (uint32_t w = 0; w < rows[i].wanted; w++)
			renewed += world.workers[w].at[ROLE_CURRENT].version > 0;
		check("renewed", rows[i].name, renewed, rows[i].renewed);
	}
}

/* One that was called off ends when another operation is going on: that is no failure of it. */
static void test_reload_after_a_cancel(void **state)
{
	(void)state;
	begin(&plain, WORKERS);
	world.next_habit = world.habit;
	world.next_habit.in_us = PLAN_NEVER;
	world.nexts = 1;
	plan_reload(&world.plan, 1);
	world_run_until(&world, world.now_us + SEC);
	plan_cancel(&world.plan);
	plan_reload(&world.plan, 2);
	world_run(&world);
	check("finish", "the second", world.finish, WHY_DONE);
	world_expect_promised(&world, "the second");
}

/*
 * 1. reload of processes that have a port for themselves: each ends before the next one begins, one
 *    worker at a time; 2. the second new one dies, and is tried again: the reload failed; 3. the
 *    first is late, and goes on
 */
static void test_ports_for_one_process(void **state)
{
	(void)state;
	world_begin(&world, &plain, WORKERS);
	world.habit.alone = true;
	world_run(&world);
	plan_reload(&world.plan, 1);
	while (world.plan.operation.verb != PLAN_NO_VERB) {
		world.stop_after = 1;
		world_run(&world);
		assert_true(world_serving(&world) >= WORKERS - 1);
	}
	world.stop_after = UINT32_MAX;
	check("finish", "alone", world.finish, WHY_DONE);
	check("starts", "alone", world.starts, 2 * WORKERS);
	world_run(&world);
	world_expect_promised(&world, "alone");
	plan_reload(&world.plan, 1);
	while (world.starts < 2 * WORKERS + 1) {
		world.stop_after = 1;
		world_run(&world);
	}
	world.faultless = false;
	world.stop_after = UINT32_MAX;
	world.next_habit = world.habit;
	world.next_habit.dies_us = 2 * WORLD_MS;
	world.nexts = 1;
	world_run(&world);
	check("finish", "alone, second dies", world.finish, WHY_ENDED);
	check("worker", "alone, second dies", world.last_finish.worker, 1);
	check("old", "alone, second dies", world.last_finish.old, 1);
	check("starts", "alone, second dies", world.starts, 2 * WORKERS + 3);
	world_expect_promised(&world, "alone, second dies");
	world.next_habit.dies_us = PLAN_NEVER;
	world.next_habit.in_us = 11 * SEC;
	world.nexts = 1;
	plan_reload(&world.plan, 1);
	world_run(&world);
	check("finish", "alone, first is late", world.finish, WHY_NOT_READY);
	check("old", "alone, first is late", world.last_finish.old, 2);
	world_expect_promised(&world, "alone, first is late");
}

static void test_watchdog(void **state)
{
	struct plan_options options = plain;
	struct process *process;

	(void)state;
	options.watchdog_us = 2 * SEC;
	world_begin(&world, &options, 1);
	world_run_until(&world, world.now_us + SEC);
	process = &world.workers[0].at[ROLE_CURRENT];
	check("state", "at the beginning", process->state, LIFE_ONLINE);
	process->pinged_us = world.now_us;
	world_run_until(&world, world.now_us + 2 * SEC - 1);
	check("state", "in time", process->state, LIFE_ONLINE);
	world.faultless = false;
	world_run_until(&world, world.now_us + 1);
	check("state", "late", process->state, LIFE_TERMINATING);
	check("signal", "late", process->signal, SIGABRT);
	world_run_until(&world, world.now_us + SEC);
	check("failures", "an end that nobody asked for", world.workers[0].failures, 1);
	check("starts", "again", world.starts, 2);

	process->pinged_us = world.now_us;
	world_run_until(&world, world.now_us + SEC);
	/* the keeper was stopped for a minute */
	world.now_us += 60 * SEC;
	world_run_until(&world, world.now_us + 1);
	check("state", "after our own sleep", process->state, LIFE_ONLINE);
	process->said_hangs = true;
	world_run_until(&world, world.now_us + 1);
	check("signal", "WATCHDOG=trigger", process->signal, SIGABRT);
}

static void test_drained_before_it_ends(void **state)
{
	uint64_t begun_us;

	(void)state;
	begin(&plain, 1);
	plan_reload(&world.plan, 1);
	while (!world_role(&world, 0, ROLE_LEAVING)) {
		world.stop_after = 1;
		world_run(&world);
	}
	world.stop_after = UINT32_MAX;
	begun_us = world.now_us;
	world_run_until(&world, begun_us + PLAN_HANDSHAKES_US - 1);
	check("state", "handshakes", world.workers[0].at[ROLE_LEAVING].state, LIFE_DRAINING);
	world_run_until(&world, begun_us + PLAN_HANDSHAKES_US);
	check("state", "then", world.workers[0].at[ROLE_LEAVING].state, LIFE_TERMINATING);
	world_run(&world);
	world_expect_promised(&world, "reload");
}

/* Of UDP it ends when it has read all, or after kill_timeout_us. */
static void test_reads_first(void **state)
{
	struct plan_options options = plain;

	(void)state;
	options.reads_first = true;
	for (int reads = 0; reads < 2; reads++) {
		begin(&options, 1);
		world_role(&world, 0, ROLE_CURRENT)->habit.reads_us = reads ? SEC : PLAN_NEVER;
		plan_reload(&world.plan, 1);
		world_run_until(&world, world.now_us + SEC);
		check("state", "reads", world.workers[0].at[ROLE_LEAVING].state, LIFE_DRAINING);
		world_run_until(&world, world.now_us + SEC);
		check("runs", "has read", lifecycle_runs(world.workers[0].at[ROLE_LEAVING].state),
		      !reads);
		world_run_until(&world, world.now_us + 4 * SEC);
		check("runs", "given up on",
		      lifecycle_runs(world.workers[0].at[ROLE_LEAVING].state), 0);
	}
}

/* What it has to answer is waited for, for drain_timeout_us and no longer. */
static void test_answers_first(void **state)
{
	static const struct {
		const char *name;
		uint64_t works_us, gone_us;
		enum plan_why why;
	} rows[] = {
		{ "nothing to answer", 0, PLAN_HANDSHAKES_US, WHY_DRAINED },
		{ "answers within the handshakes", 30 * WORLD_MS, PLAN_HANDSHAKES_US, WHY_DRAINED },
		{ "answers", SEC, SEC, WHY_DRAINED },
		{ "answers at the last moment", 2 * SEC, 2 * SEC, WHY_DRAINED },
		{ "never answers", PLAN_NEVER, 2 * SEC, WHY_AT_WORK },
	};
	struct plan_options options = plain;

	(void)state;
	options.drain_timeout_us = 2 * SEC;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t drained_us;

		begin(&options, 1);
		world_role(&world, 0, ROLE_CURRENT)->habit.works_us = rows[i].works_us;
		plan_reload(&world.plan, 1);
		while (!world_role(&world, 0, ROLE_LEAVING)) {
			world.stop_after = 1;
			world_run(&world);
		}
		world.stop_after = UINT32_MAX;
		drained_us = world.now_us;
		world_run_until(&world, drained_us + rows[i].gone_us - 1);
		check("state", rows[i].name, world.workers[0].at[ROLE_LEAVING].state,
		      LIFE_DRAINING);
		world_run_until(&world, drained_us + rows[i].gone_us);
		check("state", rows[i].name, world.workers[0].at[ROLE_LEAVING].state,
		      LIFE_TERMINATING);
		check("why", rows[i].name, world.last_signal, rows[i].why);
		world_run(&world);
		world_expect_promised(&world, rows[i].name);
	}
}

/* Also when all ends, once the program is off; asked twice, it waits for nothing. */
static void test_stop_answers_first(void **state)
{
	static const struct {
		const char *name;
		uint64_t works_us, gone_us;
		bool twice;
	} rows[] = {
		{ "nothing to answer", 0, 0, false },
		{ "answers", SEC, SEC, false },
		{ "never answers", PLAN_NEVER, 2 * SEC, false },
		{ "asked twice", PLAN_NEVER, 0, true },
	};
	struct plan_options options = plain;

	(void)state;
	options.drain_timeout_us = 2 * SEC;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t end_us;

		begin(&options, 2);
		world_role(&world, 0, ROLE_CURRENT)->habit.works_us = rows[i].works_us;
		end_us = world.now_us + rows[i].gone_us + good_habit.ends_us;
		plan_stop(&world.plan, 0);
		world_run_until(&world, world.now_us + 1);
		check("state", rows[i].name, world.workers[0].at[ROLE_CURRENT].state,
		      rows[i].works_us ? LIFE_DRAINING : LIFE_TERMINATING);
		check("state of the other", rows[i].name, world.workers[1].at[ROLE_CURRENT].state,
		      LIFE_TERMINATING);
		if (rows[i].twice)
			plan_stop(&world.plan, 0);
		world_run(&world);
		check("ended", rows[i].name, world.ended, 1);
		if (!rows[i].twice)
			check("ms", rows[i].name, world.now_us / WORLD_MS, end_us / WORLD_MS);
		check("kills", rows[i].name, world.kills, rows[i].twice ? 2 : 0);
	}
}

/* SIGTERM is ignored: SIGKILL after kill_timeout_us, and at once when stop is asked for twice. */
static void test_kill(void **state)
{
	(void)state;
	begin(&plain, 2);
	world_role(&world, 0, ROLE_CURRENT)->habit.ends_us = PLAN_NEVER;
	plan_stop(&world.plan, 0);
	world_run_until(&world, world.now_us + plain.kill_timeout_us - 1);
	check("kills", "in time", world.kills, 0);
	world_run(&world);
	check("kills", "late", world.kills, 1);
	check("ended", "late", world.ended, 1);

	begin(&plain, 2);
	world_role(&world, 0, ROLE_CURRENT)->habit.ends_us = PLAN_NEVER;
	plan_stop(&world.plan, 0);
	world_run_until(&world, world.now_us + 1);
	plan_stop(&world.plan, 0);
	world_run_until(&world, world.now_us + 1);
	check("kills", "asked twice", world.kills, 2);
	check("ended", "asked twice", world.ended, 1);

	begin(&plain, 2);
	world_role(&world, 0, ROLE_CURRENT)->habit.ends_us = PLAN_NEVER;
	world_role(&world, 0, ROLE_CURRENT)->habit.cant_be_killed = true;
	plan_stop(&world.plan, 0);
	world_run(&world);
	check("ended", "can't be killed", world.ended, 1);
}

/* What a shell in front leaves behind is told to end when the shell has, and has its time. */
static void test_rest_is_told(void **state)
{
	struct plan_options options = plain;

	(void)state;
	options.stop_signal = SIGQUIT;
	for (int tells = 0; tells < 2; tells++) {
		options.tells_rest = tells;
		begin(&options, 2);
		world_role(&world, 0, ROLE_CURRENT)->habit.is_wrapped = true;
		world_role(&world, 0, ROLE_CURRENT)->habit.ends_us = SEC;
		plan_restart(&world.plan, 0, 1);
		world_run_until(&world, world.now_us + 500 * WORLD_MS);
		check("signal", "of the main process", world.workers[0].at[ROLE_LEAVING].signal,
		      SIGQUIT);
		check("told", "the rest", world_role(&world, 0, ROLE_LEAVING)->rest_told, tells);
		world_run_until(&world, world.now_us + SEC);
		check("lives", "the rest", lifecycle_runs(world.workers[0].at[ROLE_LEAVING].state),
		      !tells);
		world_run(&world);
		check("kills", "the rest", world.kills, !tells);
		world_expect_promised(&world, "the rest");
	}
}

/* The service is not unsteered yet: nobody is told to end before. */
static void test_stop_waits_for_the_program(void **state)
{
	struct action actions[2 * PLAN_LEAST_ACTIONS];

	(void)state;
	begin(&plain, 2);
	plan_stop(&world.plan, 0);
	assert_int_equal(reconcile(&world.plan, world.now_us, actions, ARRAY_SIZE(actions)), 0);
	world.plan.unsteered = true;
	assert_int_equal(reconcile(&world.plan, world.now_us, actions, ARRAY_SIZE(actions)), 6);
	assert_int_equal(actions[0].kind, ACTION_CLOSE);
	assert_int_equal(actions[1].kind, ACTION_SIGNAL);
	assert_int_equal(actions[2].kind, ACTION_MARK);
}

/* Nobody can take the lock of the service away from who holds it: it ends drained or not. */
static void test_drain_is_not_waited_for_without_end(void **state)
{
	(void)state;
	begin(&plain, WORKERS);
	world.drain_takes_us = 3600 * SEC;
	world.faultless = false;
	plan_reload(&world.plan, 1);
	world_role(&world, 0, ROLE_CURRENT)->in_table = false;
	for (uint32_t w = 0; w < WORKERS; w++)
		world_role(&world, w, ROLE_CURRENT)->drained_us = 0;
	world_run_until(&world, world.now_us + 3 * plain.kill_timeout_us);
	check("finished", "reload", world.finished, 1);
}

static void test_one_that_is_not_ready_goes_on(void **state)
{
	(void)state;
	world_begin(&world, &plain, 2);
	world.next_habit = world.habit;
	world.next_habit.in_us = 15 * SEC;
	world.nexts = 1;
	plan_scale(&world.plan, 2, 1);
	world_run_until(&world, world.now_us + 11 * SEC);
	check("finish", "not ready", world.finish, WHY_NOT_READY);
	check("told", "not ready", world.told[WHY_NOT_READY], 1);
	/* nobody waits for it any more */
	plan_scale(&world.plan, 2, 1);
	world_run_until(&world, world.now_us + SEC);
	check("finished", "another operation", world.finished, 2);
	world_run(&world);
	world_expect_promised(&world, "in the end");
}

/* --- the states --- */

#define OF(state) (1U << LIFE_##state)
#define OF_RUNNING (OF(STARTING) | OF(READY) | OF(ONLINE) | OF(DRAINING) | OF(TERMINATING))

/* Each event leads to one state, whatever was before, and means nothing in all other states. */
static void test_states(void **state)
{
	static const struct {
		const char *name;
		enum life_event event;
		unsigned int from;
		enum lifecycle to;
	} rows[] = {
		{ "start", LIFE_START, OF(NONE) | OF(BACKING_OFF) | OF(FAILED), LIFE_STARTING },
		{ "is ready", LIFE_IS_READY, OF(STARTING), LIFE_READY },
		{ "is in", LIFE_IS_IN, OF(READY), LIFE_ONLINE },
		{ "leave", LIFE_LEAVE, OF(STARTING) | OF(READY) | OF(ONLINE), LIFE_DRAINING },
		{ "terminate", LIFE_TERMINATE, OF_RUNNING & ~OF(TERMINATING), LIFE_TERMINATING },
		{ "end", LIFE_END, OF_RUNNING | OF(BACKING_OFF) | OF(FAILED), LIFE_NONE },
		{ "retry", LIFE_RETRY, OF_RUNNING, LIFE_BACKING_OFF },
		{ "give up", LIFE_GIVE_UP, OF_RUNNING, LIFE_FAILED },
	};

	(void)state;
	assert_int_equal(ARRAY_SIZE(rows), LIFE_EVENTS);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (int from = 0; from < LIFE_STATES; from++) {
			int want = rows[i].from & (1U << from) ? (int)rows[i].to : -1;

			check(rows[i].name, lifecycle_name(from),
			      lifecycle_next(from, rows[i].event), want);
		}
	}
	for (int from = 0; from < LIFE_STATES; from++) {
		check("runs", lifecycle_name(from), lifecycle_runs(from),
		      !!(OF_RUNNING & (1U << from)));
		check("parse", lifecycle_name(from), lifecycle_parse(lifecycle_name(from)), from);
	}
	check("parse", "another word", lifecycle_parse("asleep"), -1);
}

/* --- a new keeper --- */

static void test_take_over(void **state)
{
	static const struct {
		const char *name;
		enum lifecycle first, second; /* of generations 1 and 2 */
		enum lifecycle current, next, leaving;
		uint32_t of_current;
	} rows[] = {
		{ "one online", LIFE_ONLINE, LIFE_NONE, LIFE_READY, LIFE_NONE, LIFE_NONE, 1 },
		{ "one starting", LIFE_STARTING, LIFE_NONE, LIFE_STARTING, LIFE_NONE, LIFE_NONE,
		  1 },
		{ "a successor", LIFE_ONLINE, LIFE_STARTING, LIFE_READY, LIFE_STARTING, LIFE_NONE,
		  1 },
		{ "a successor that is online", LIFE_ONLINE, LIFE_ONLINE, LIFE_READY, LIFE_READY,
		  LIFE_NONE, 1 },
		{ "one leaves", LIFE_DRAINING, LIFE_ONLINE, LIFE_READY, LIFE_NONE, LIFE_DRAINING,
		  2 },
		{ "one was told to", LIFE_TERMINATING, LIFE_READY, LIFE_READY, LIFE_NONE,
		  LIFE_TERMINATING, 2 },
		{ "both leave", LIFE_TERMINATING, LIFE_DRAINING, LIFE_NONE, LIFE_NONE,
		  LIFE_TERMINATING, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (int backwards = 0; backwards < 2; backwards++) {
			enum lifecycle first = backwards ? rows[i].second : rows[i].first;
			enum lifecycle second = backwards ? rows[i].first : rows[i].second;
			const struct worker *worker = &world.workers[0];

			if (backwards && rows[i].of_current == 0)
				continue;
			world_begin(&world, &plain, 1);
			if (first != LIFE_NONE)
				plan_take_over(&world.plan, 0, 1 + backwards, first, 1);
			if (second != LIFE_NONE)
				plan_take_over(&world.plan, 0, 2 - backwards, second, 1);
			check("current", rows[i].name, worker->at[ROLE_CURRENT].state,
			      rows[i].current);
			check("next", rows[i].name, worker->at[ROLE_NEXT].state, rows[i].next);
			check("leaving", rows[i].name, worker->at[ROLE_LEAVING].state,
			      rows[i].leaving);
			check("whose", rows[i].name, worker->at[ROLE_CURRENT].generation,
			      rows[i].of_current);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_backoff),
		cmocka_unit_test(test_backoff_begins_as_asked),
		cmocka_unit_test(test_no_wait_when_nobody_serves),
		cmocka_unit_test(test_first_start_gives_up_soon),
		cmocka_unit_test(test_command_is_missing),
		cmocka_unit_test(test_reload_counts_the_old),
		cmocka_unit_test(test_new_version_dies_online),
		cmocka_unit_test(test_new_version_dies_a_moment_later),
		cmocka_unit_test(test_new_version_dies_much_later),
		cmocka_unit_test(test_last_one_dies_a_moment_later),
		cmocka_unit_test(test_watchdog_of_a_successor),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_reload_after_a_cancel),
		cmocka_unit_test(test_ports_for_one_process),
		cmocka_unit_test(test_watchdog),
		cmocka_unit_test(test_drained_before_it_ends),
		cmocka_unit_test(test_reads_first),
		cmocka_unit_test(test_answers_first),
		cmocka_unit_test(test_stop_answers_first),
		cmocka_unit_test(test_kill),
		cmocka_unit_test(test_rest_is_told),
		cmocka_unit_test(test_stop_waits_for_the_program),
		cmocka_unit_test(test_drain_is_not_waited_for_without_end),
		cmocka_unit_test(test_one_that_is_not_ready_goes_on),
		cmocka_unit_test(test_states),
		cmocka_unit_test(test_take_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
