// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See keeper.h: a keeper from its start to its end, and the turn of its loop. */
#include "keeper/keeper.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/trouble.h"
#include "host/caps.h"
#include "host/probe.h"
#include "keeper/again.h"
#include "keeper/alone.h"
#include "keeper/leftovers.h"
#include "keeper/log_place.h"
#include "keeper/orphans.h"
#include "keeper/parts.h"
#include "keeper/reconcile.h"
#include "keeper/run_files.h"
#include "keeper/terminal.h"
#include "keeper/unread.h"
#include "keeper/watch.h"
#include "service/detach.h"
#include "service/state.h"
#include "service/users.h"

#define TICK_US 1000000ULL
#define MOST_ACTIONS (4 * PLAN_LEAST_ACTIONS) /* a turn: others want to be heard meanwhile */

/* --- the turn --- */

static void tell_manager(struct keeper *keeper)
{
	struct plan_summary summary;

	plan_summarise(&keeper->plan, &summary);
	if (keeper->plan.stop)
		manager_status(&keeper->manager, "stopping");
	else if (keeper->forked)
		manager_tell_forks(&keeper->manager, &summary, forks_workers(keeper));
	else
		manager_tell(&keeper->manager, &summary, keeper->plan.wanted);
}

/* Returns whether there may be more to do now. */
static bool decide(struct keeper *keeper)
{
	struct action actions[MOST_ACTIONS];
	uint64_t now_us = turn_now(keeper->turn);
	const struct state *state = pins_state(keeper->pins);
	bool reads = unread_look(&keeper->plan, &keeper->runners, state, now_us);
	uint64_t look_us =
		at_work_look(&keeper->at_work, &keeper->plan, &keeper->own, state, now_us);
	size_t n;

	keeper->plan.changing = changes_pending(keeper->changes);
	n = reconcile(&keeper->plan, now_us, actions, MOST_ACTIONS);
	execute(keeper, actions, n);
	tell_manager(keeper);
	if (reads && look_us > now_us + UNREAD_LOOK_US)
		look_us = now_us + UNREAD_LOOK_US;
	if (keeper->plan.next_us > look_us)
		keeper->plan.next_us = look_us;
	look_us = accepting_look(keeper->accepting, now_us);
	if (keeper->plan.next_us > look_us)
		keeper->plan.next_us = look_us;
	turn_at(keeper->turn, keeper->plan.next_us);
	return n;
}

static bool slot_listens(const void *arg, uint32_t slot)
{
	return sync_slot_listens(arg, slot);
}

static void look(struct keeper *keeper, bool again)
{
	const struct state *state;

	sync_look(keeper->sync, again);
	execute_late_drains(keeper);
	misfit_look(keeper, again);
	state = pins_state(keeper->pins);
	if (state)
		losses_settle(keeper->losses, state, slot_listens, keeper->sync);
}

/*
 * A count may be wrong by what happened while sockets came and went, and to count is expensive:
 * once for all that came and went in a while.
 */
static void recount(struct keeper *keeper)
{
	if (keeper->recount_ticks && !--keeper->recount_ticks)
		changes_recount(keeper->changes);
}

/* Of a worker that is in no slot yet it waits. Nobody else counts them, so it takes no lock. */
static void count_unheard(struct keeper *keeper)
{
	const struct state *state = pins_state(keeper->pins);
	bool counted[LB_MAX_WORKERS] = { false };

	for (uint32_t slot = 0; state && slot < state_used_slots(state); slot++) {
		struct lb_worker *row = state_worker(state, slot);

		if (row->worker >= LB_MAX_WORKERS || !keeper->unheard[row->worker] ||
		    !LB_HAS(state->arrays[MAP_WORKERS].value_bytes, struct lb_worker, unheard))
			continue;
		__atomic_fetch_add(&row->unheard, keeper->unheard[row->worker], __ATOMIC_RELAXED);
		counted[row->worker] = true;
	}
	for (uint32_t w = 0; w < LB_MAX_WORKERS; w++)
		keeper->unheard[w] = counted[w] ? 0 : keeper->unheard[w];
}

static void tick(struct keeper *keeper)
{
	count_unheard(keeper);
	recount(keeper);
	if (pins_check(keeper->pins))
		stall_watch_check(keeper->stalls);
	stall_watch_tick(keeper->stalls);
	memory_look(keeper);
}

static void run_turn(struct keeper *keeper, unsigned int work)
{
	if (work & TURN_TICK && !keeper->plan.stop)
		tick(keeper);
	if (work & (TURN_TICK | TURN_LOOK) && !keeper->plan.stop)
		look(keeper, work & TURN_TICK);
	if (decide(keeper))
		turn_mark(keeper->turn, TURN_DECIDE);
	changes_begin(keeper->changes);
}

static void on_turn(void *arg, unsigned int work)
{
	struct keeper *keeper = arg;

	if (keeper->plan.stop)
		end_begin(keeper);
	if (work & TURN_TICK) {
		signals_check_terminal(keeper);
		orphans_reap(&keeper->runners);
		holder_check(keeper->holder);
	}
	if (keeper->options.argv)
		run_turn(keeper, work);
	else
		watch_turn(keeper, work);
}

static int on_tick(sd_event_source *source, uint64_t usec, void *arg)
{
	struct keeper *keeper = arg;

	(void)usec;
	sd_event_source_set_time_relative(source, TICK_US);
	sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	turn_mark(keeper->turn, TURN_TICK);
	return 0;
}

/* --- its beginning --- */

static int open_all(struct keeper *keeper, struct trouble *trouble)
{
	const char *name = keeper->options.name;
	bool runs = keeper->options.argv;
	int status = instance_lock(&keeper->instance, name, runs, trouble);
	int err;

	if (!status && runs)
		status = instance_open_workers(&keeper->instance, name, trouble);
	if (!status)
		status = assemble(keeper, on_turn, trouble);
	if (status)
		return status;
	err = sd_event_add_time_relative(keeper->loop, NULL, CLOCK_MONOTONIC, TICK_US, 0, on_tick,
					 keeper);
	return err < 0 ? trouble_set(trouble, EXIT_FAILED, "%s", strerror(-err)) : EXIT_DONE;
}

static void print_neighbour(struct keeper *keeper)
{
	const struct keeper_options *options = &keeper->options;
	_cleanup_free_ char(*names)[LB_NAME_MAX + 1] = NULL;
	char others[USERS_TEXT_BYTES];
	size_t n = options->user ? users_neighbours(options->name, keeper->runners.user, &names) :
				   0;

	if (!n)
		return;
	users_join(names, n, others);
	event_log_print(keeper->log,
			"%s: its workers have the user of service%s %s, so a worker of one can "
			"take another's connections; another --user keeps them apart",
			options->name, plural(n), others);
}

static void print_start(struct keeper *keeper, uint32_t found)
{
	const struct keeper_options *options = &keeper->options;
	const char *name = options->name, *how = "the first TCP port that one binds is shared "
						 "(--port names others)";

	if (options->nr_addrs) {
		event_log_print(keeper->log,
				"%s: watching; Ctrl-C ends that, and the service goes on", name);
		return;
	}
	if (found)
		event_log_print(keeper->log, "%s: %u living worker%s found, %s on", name, found,
				plural(found), found == 1 ? "it goes" : "they go");
	if (options->nr_listens)
		how = "each gets a listening socket of its own (LISTEN_FDS)";
	else if (options->rules.shared[LB_BIND_TCP].count || keeper->own.protos & OWN_UDP)
		how = "the ports of --port are shared";
	if (options->forks)
		event_log_print(keeper->log,
				"%s: %s makes its workers itself: each socket that one listens "
				"with on %s gets its share",
				name, options->argv[0],
				options->rules.shared[LB_BIND_TCP].count ?
					"the ports of --port" :
					"the first TCP port (--port names others)");
	else
		event_log_print(keeper->log, "%s: %u worker%s of %s; %s", name, keeper->plan.wanted,
				plural(keeper->plan.wanted), options->argv[0], how);
	if (options->stop_signal_known)
		event_log_print(keeper->log,
				"%s: %s ends gracefully by %s, so workers get that (--stop-signal "
				"names another)",
				name, options->argv[0], stop_signal_name(options->stop_signal));
	if (keeper->hooks && !probe_features()->bind_setsockopt)
		event_log_print(
			keeper->log,
			"%s: this kernel (before 6.1) shares ports only for programs that set "
			"SO_REUSEADDR, and then all %s ports that these bind; where that does not "
			"do, use --listen ADDR",
			name,
			keeper->own.protos == OWN_TCP ? "TCP" :
			keeper->own.protos == OWN_UDP ? "UDP" :
							"TCP and UDP");
}

/* Workers that the service has rows of, and that are not wanted any more, are to be retired. */
static void find_rows(struct keeper *keeper)
{
	const struct state *state = pins_state(keeper->pins);

	for (uint32_t slot = 0; state && slot < state_used_slots(state); slot++) {
		const struct lb_worker *row = state_worker(state, slot);

		if (row->state == LB_SLOT_FREE || row->worker >= LB_MAX_WORKERS)
			continue;
		keeper->workers[row->worker].in_use = true;
		if (row->worker >= keeper->plan.used)
			keeper->plan.used = row->worker + 1;
	}
}

/* Who serves comes first: an older lbctl has let a worker's processes share their sockets. */
static void fetch_listeners(struct keeper *keeper, uint32_t worker)
{
	for (int role = 0; role < ROLES; role++) {
		const struct process *process = &keeper->workers[worker].at[role];
		const struct runner *runner =
			runner_find(&keeper->runners, worker, process->generation);

		if (runner)
			listeners_fetch(keeper->listeners, worker, runner->generation, runner->pid);
	}
}

static uint32_t take_over(struct keeper *keeper)
{
	uint32_t found = runners_take_over(&keeper->runners, keeper->instance.cgroup_fd,
					   turn_now(keeper->turn));

	for (uint32_t w = 0; w < keeper->plan.used; w++)
		fetch_listeners(keeper, w);
	if (keeper->forked)
		forks_take_over(keeper);
	else
		find_rows(keeper);
	/* who leaves may be in the way of the next one */
	if (found)
		alone_look(&keeper->plan, &keeper->runners);
	return found;
}

/*
 * What another version of lbctl has made of the service, or somebody has damaged, is made again:
 * the workers are ours, and the kernel's hash serves meanwhile. Where it can't be taken off, the
 * next change of the service says why.
 */
static void replace_unreadable(struct keeper *keeper)
{
	const char *name = keeper->options.name;
	struct trouble trouble = { 0 };
	struct state state;
	int err = state_open(&state, name, STATE_READ);

	if (!err)
		state_close(&state);
	if ((err != -ESTALE && err != -EUCLEAN) || detach_run(name, &trouble))
		return;
	event_tell(keeper->log, "trouble", NULL,
		   "service %s %s: it is made again, without the weights and limits that it had",
		   name, err == -ESTALE ? "was made by another version of lbctl" : "was damaged");
}

/* --- what is left when it goes --- */

static int say(const struct keeper *keeper, const struct trouble *trouble)
{
	fprintf(stderr, "lbctl: %s %s: %s\n", keeper->options.argv ? "run" : "watch",
		keeper->options.name, trouble->text);
	return trouble->status;
}

/*
 * What a run had goes with it; a watched service stays as it is. While processes can't be ended,
 * the files stay too, so that the next lbctl finds them.
 */
static int remove_all(struct keeper *keeper, struct trouble *trouble)
{
	int status = EXIT_DONE;

	if (keeper->options.argv)
		status = leftovers_remove(keeper->options.name, keeper->instance.cgroup_parent,
					  keeper->instance.cgroup_fd, trouble);
	else
		run_files_remove(keeper->options.name);
	return status;
}

/*
 * A keeper that could not begin, or leaves, leaves everything to the living workers. Returns
 * `status`, or why something was left behind.
 */
static int close_all(struct keeper *keeper, bool ran, int status)
{
	struct instance *instance = &keeper->instance;
	const char *text = keeper->options.argv ? "stopped" : "no longer watched; it goes on";
	struct trouble trouble = { 0 };
	char path[RUN_FILES_PATH_BYTES];
	int left = EXIT_DONE;

	if (ran)
		left = remove_all(keeper, &trouble);
	if (left)
		status = say(keeper, &trouble);
	run_files_path(keeper->options.name, "sock", path);
	if (!ran && !keeper->is_leaving && instance->is_first && instance->lock_fd >= 0)
		leftovers_remove_files(keeper->options.name, instance->cgroup_parent,
				       instance->cgroup_fd, &trouble);
	else if (!ran && keeper->control)
		unlink(path);
	control_close(keeper->control, left, left ? trouble.text : text);
	keeper->control = NULL;
	disassemble(keeper, ran);
	close_fd(&instance->cgroup_fd);
	close_fd(&instance->lock_fd);
	free(keeper);
	return status;
}

/* The command itself can't be started: say so once, as a shell does. */
static int end_status(const struct keeper *keeper, int status)
{
	struct trouble trouble;

	if (status < 0)
		return EXIT_FAILED;
	if (!keeper->plan.end_error)
		return status;
	trouble.status = tell_start_trouble(keeper, keeper->plan.end_error, trouble.text,
					    sizeof(trouble.text));
	return say(keeper, &trouble);
}

int keeper_run(const struct keeper_options *options)
{
	struct keeper *keeper = calloc(1, sizeof(*keeper));
	struct trouble trouble = { 0 };
	uint32_t found = 0;
	int status;

	if (!keeper)
		return EXIT_FAILED;
	keeper->options = *options;
	keeper->instance.cgroup_fd = keeper->instance.lock_fd = -1;
	keeper->terminal = terminal_note();
	spawn_raise_file_limit();
	/* workers that are root would gain it by their exec, and lose death signal and core dump */
	if (!options->argv || options->user)
		caps_limit_to_keeper();
	if (open_all(keeper, &trouble))
		return close_all(keeper, false, say(keeper, &trouble));
	again_write(options->name);
	if (options->argv) {
		log_place_note(options->name, options->log_dir);
		found = take_over(keeper);
	}
	if (found || options->nr_addrs)
		replace_unreadable(keeper);
	keeper->recount_ticks = found ? 1 : 0;
	print_start(keeper, found);
	print_neighbour(keeper);
	if (!options->argv)
		manager_ready(&keeper->manager);
	turn_mark(keeper->turn, TURN_LOOK | TURN_TICK | TURN_DECIDE);
	status = end_status(keeper, sd_event_loop(keeper->loop));
	return close_all(keeper, !keeper->is_leaving, status);
}
