// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The parts of a keeper: how they are made, and what each tells the others through it. */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text_json.h"
#include "base/trouble.h"
#include "host/cgroup.h"
#include "host/inspect.h"
#include "keeper/leftovers.h"
#include "keeper/parts.h"
#include "keeper/run_files.h"
#include "keeper/watch.h"

#define RECOUNT_TICKS 30 /* from a change of sockets to a count of the connections */

/* --- what its parts tell it --- */

static void on_started(void *arg, const struct runner *runner)
{
	tell_started(arg, runner);
}

static int on_listen(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct keeper *keeper = arg;

	(void)source;
	(void)fd;
	(void)events;
	bindhook_drain(keeper->hooks);
	turn_mark(keeper->turn, TURN_LOOK);
	return 0;
}

static void on_begun(void *arg, uint32_t slot)
{
	struct keeper *keeper = arg;

	losses_begin(keeper->losses, pins_state(keeper->pins), slot);
}

/* --- changes of the service --- */

static int do_refresh(void *arg, struct state *state, struct attach_result *result,
		      struct trouble *trouble)
{
	const struct keeper *keeper = arg;

	return sync_refresh(keeper->sync, state, result, trouble);
}

static void on_child_begin(void *arg)
{
	const struct keeper *keeper = arg;

	listeners_close_all(keeper->listeners);
}

static void on_holder_started(void *arg, uint32_t tgid)
{
	struct keeper *keeper = arg;

	if (keeper->hooks)
		bindhook_ignore(keeper->hooks, tgid);
}

static void on_holder_ended(void *arg)
{
	const struct keeper *keeper = arg;

	migrations_check(keeper->migrations);
}

static void on_changes_delayed(void *arg, const char *why)
{
	struct keeper *keeper = arg;
	char text[256];

	snprintf(text, sizeof(text), "service %s can't be changed: %s; it is tried again",
		 keeper->options.name, why);
	tell_trouble(keeper, text);
}

/*
 * What fails before anything has worked (another service has the port) will go on failing. While
 * all end, sockets go in the middle of a look, and that is no trouble.
 */
static void report_refresh(struct keeper *keeper, const struct changes_result *result)
{
	if (!result->status) {
		tell_trouble(keeper, NULL);
		return;
	}
	if (keeper->plan.stop)
		return;
	tell_trouble(keeper, result->text);
	if (!keeper->plan.ever_online)
		keeper_stop(keeper, result->status);
}

static void on_changes_done(void *arg, const struct change *changes, size_t n,
			    const struct changes_result *result)
{
	struct keeper *keeper = arg;

	for (size_t i = 0; i < n; i++) {
		struct process *process =
			plan_process(&keeper->plan, changes[i].worker, changes[i].generation);

		if (process && changes[i].kind == CHANGE_DRAIN)
			process->drained = true;
	}
	if (result->refreshed)
		report_refresh(keeper, result);
	if (result->refreshed && !result->status)
		sync_refreshed(keeper->sync, &result->attach);
	if (keeper->forked && result->refreshed && !result->status)
		forks_refreshed(keeper, &result->attach);
	if (result->made || result->attach.added)
		stall_watch_check(keeper->stalls);
	holder_tell(keeper->holder);
	if ((result->attach.added || result->attach.gone) && !keeper->recount_ticks)
		keeper->recount_ticks = RECOUNT_TICKS;
	turn_mark(keeper->turn, TURN_LOOK | TURN_DECIDE);
}

/* The TCP port that the workers of an earlier keeper share; they do not bind it again. */
static uint16_t port_in_use(const struct keeper *keeper)
{
	const struct state *state = pins_state(keeper->pins);

	for (uint32_t i = 0; state && i < state->nr_listeners; i++) {
		if (state->config->listeners[i].proto == LB_PROTO_TCP)
			return state->config->listeners[i].port;
	}
	return 0;
}

static int open_hooks(struct keeper *keeper, struct trouble *trouble)
{
	int err;

	if (keeper->options.nr_listens)
		return EXIT_DONE;
	err = bindhook_open(keeper->options.name, keeper->instance.cgroup_fd,
			    &keeper->options.rules, port_in_use(keeper), &keeper->hooks);
	if (err == -ENODEV)
		return state_trouble(trouble, keeper->options.name, err);
	if (err == -EPERM)
		return trouble_set(
			trouble, EXIT_NOT_ABLE,
			"may not load BPF programs: CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON are "
			"needed; run as root (see lbctl doctor)");
	if (err)
		return trouble_set(
			trouble, EXIT_NOT_ABLE,
			"this kernel can't share a port between programs that do not ask for "
			"it (%s); use --listen ADDR",
			err == -EOPNOTSUPP ? "it refused the hooks" : strerror(-err));
	err = sd_event_add_io(keeper->loop, NULL, bindhook_fd(keeper->hooks), EPOLLIN, on_listen,
			      keeper);
	return err < 0 ? trouble_set(trouble, EXIT_FAILED, "%s", strerror(-err)) : EXIT_DONE;
}

static uint8_t protos_of(const struct keeper_options *options)
{
	const struct lb_ports *shared = options->rules.shared;
	uint8_t protos = 0;

	for (uint32_t i = 0; i < options->nr_listens; i++)
		protos |= options->listens[i].proto == LB_PROTO_UDP ? OWN_UDP : OWN_TCP;
	for (size_t i = 0; i < options->nr_addrs; i++)
		protos |= options->addrs[i].proto == LB_PROTO_UDP ? OWN_UDP : OWN_TCP;
	if (protos)
		return protos;
	if (shared[LB_BIND_UDP].count)
		protos = OWN_UDP;
	return shared[LB_BIND_TCP].count ? protos | OWN_TCP : protos ? protos : OWN_TCP;
}

static uid_t user_of(const struct keeper_options *options)
{
	const struct passwd *entry = options->user ? getpwnam(options->user) : NULL;

	return entry ? entry->pw_uid : (uid_t)-1;
}

static int open_parts(struct keeper *keeper)
{
	const struct keeper_options *options = &keeper->options;
	const struct changes_config changes = {
		.loop = keeper->loop,
		.pins = keeper->pins,
		.refresh = do_refresh,
		.begin = on_child_begin,
		.done = on_changes_done,
		.delayed = on_changes_delayed,
		.arg = keeper,
	};
	const struct migrations_config migrations = {
		.loop = keeper->loop,
		.pins = keeper->pins,
		.begin = on_child_begin,
		.arg = keeper,
	};
	const struct control_config control = {
		.name = options->name,
		.rule = {
			.runs_workers = options->argv,
			.worker_uid = options->user ? keeper->runners.user : getuid(),
			.group = options->group,
		},
		.verbs = request_verbs,
		.events = event_log_recent(keeper->log),
		.arg = keeper,
	};
	const struct holder_config holder = {
		.loop = keeper->loop,
		.pins = keeper->pins,
		.log = keeper->log,
		.name = options->name,
		.begin = on_child_begin,
		.started = on_holder_started,
		.ended = on_holder_ended,
		.arg = keeper,
	};
	int err;

	/* where that can't be, what needs it says why */
	inspect_prepare();
	keeper->changes = changes_new(&changes);
	keeper->losses = losses_new();
	keeper->holder = holder_new(&holder);
	if (!keeper->changes || !keeper->losses || !keeper->holder)
		return -ENOMEM;
	err = signals_open(keeper);
	if (!err)
		err = control_open(keeper->loop, &control, &keeper->control);
	if (!err)
		err = migrations_new(&migrations, &keeper->migrations);
	if (!err)
		err = stall_watch_new(keeper->loop, keeper->pins, keeper->changes,
				      keeper->migrations, keeper->holder, keeper->log,
				      &keeper->stalls);
	return err;
}

static void init_plan(struct keeper *keeper)
{
	const struct keeper_options *options = &keeper->options;
	const struct plan_options plan = {
		.ready_timeout_us = options->ready_timeout_ms * 1000,
		.ready_after_us = options->ready_after_ms * 1000,
		.drain_timeout_us = options->drain_timeout_ms * 1000,
		.kill_timeout_us = options->kill_timeout_ms * 1000,
		.stop_signal = options->stop_signal,
		.tells_rest = options->kill_mode == KILL_MIXED,
		.watchdog_us = options->watchdog_ms * 1000,
		.restart_delay_us = options->restart_delay_ms * 1000,
		.max_restarts = options->max_restarts,
		.wait_ready = options->wait_ready,
		.stop_exit_codes = options->stop_exit_codes,
		.hands_on = options->nr_listens,
		.reads_first = keeper->own.protos & OWN_UDP,
		.reload_signal = options->reload_signal,
	};

	plan_init(&keeper->plan, &plan, keeper->workers, LB_MAX_WORKERS, options->workers);
}

static int open_accepting(struct keeper *keeper)
{
	const struct accepting_config config = {
		.loop = keeper->loop,
		.turn = keeper->turn,
		.plan = &keeper->plan,
		.runners = &keeper->runners,
		.listeners = keeper->listeners,
		.nr_listens = keeper->options.nr_listens,
	};

	if (config.nr_listens)
		keeper->accepting = accepting_new(&config);
	return config.nr_listens && !keeper->accepting ? -ENOMEM : 0;
}

/* What a run has on top. */
static int open_run(struct keeper *keeper)
{
	const struct keeper_options *options = &keeper->options;
	bool forks = !options->forks || !forks_open(keeper);
	const struct sync_config sync = {
		.name = options->name,
		.policy = options->policy,
		.group = options->group,
		.rescue = options->rescue,
		.cgroup = cgroup_id(keeper->instance.cgroup_fd),
		.own = &keeper->own,
		.plan = &keeper->plan,
		.runners = &keeper->runners,
		.pins = keeper->pins,
		.changes = keeper->changes,
		.log = keeper->log,
		.forked = keeper->forked,
		.begun = on_begun,
		.arg = keeper,
	};
	char path[RUN_FILES_PATH_BYTES];

	keeper->listeners =
		listeners_new(options->listens, options->nr_listens, keeper->instance.cgroup_fd);
	keeper->sync = sync_new(&sync);
	if (!keeper->listeners || !keeper->sync || !forks)
		return -ENOMEM;
	if (open_accepting(keeper))
		return -ENOMEM;
	leftovers_note_stop(keeper->instance.cgroup_fd, options->stop_signal, options->kill_mode);
	keeper->own.listeners = keeper->listeners;
	keeper->runners.hooks = keeper->hooks;
	run_files_path(options->name, "notify", path);
	return worker_notify_open(keeper->loop, path, keeper->runners.user, heard_notify, keeper,
				  &keeper->notify);
}

static void connect_parts(struct keeper *keeper)
{
	const struct keeper_options *options = &keeper->options;

	keeper->own = (struct own){
		.rules = &keeper->options.rules,
		.listens = options->listens,
		.nr_listens = options->nr_listens,
		.wait_ready = options->wait_ready,
		.forks = options->forks,
		.protos = protos_of(options),
		.plan = &keeper->plan,
		.runners = &keeper->runners,
	};
	keeper->runners.loop = keeper->loop;
	keeper->runners.turn = keeper->turn;
	keeper->runners.plan = &keeper->plan;
	keeper->runners.cgroup = keeper->instance.cgroup_path;
	keeper->runners.user = user_of(options);
	keeper->runners.started = on_started;
	keeper->runners.said = heard_message;
	keeper->runners.arg = keeper;
	init_plan(keeper);
}

static void on_reader_gone(void *arg)
{
	struct keeper *keeper = arg;

	event_log_reopen(keeper->log);
	event_tell(keeper->log, "hangup", NULL,
		   "nobody reads standard output any more: %s; lbctl events %s shows what happens",
		   keeper->options.argv ? "what workers print goes nowhere" : "it goes nowhere",
		   keeper->options.name);
}

static void on_event(void *arg)
{
	struct keeper *keeper = arg;

	if (keeper->control)
		control_publish(keeper->control);
}

static int open_base(struct keeper *keeper, void (*turn)(void *arg, unsigned int work))
{
	int err = sd_event_new(&keeper->loop);

	if (err < 0)
		return err;
	/* whoever set a WATCHDOG_USEC that is none waits for nothing */
	sd_event_set_watchdog(keeper->loop, true);
	keeper->turn = turn_new(keeper->loop, turn, keeper);
	keeper->log = event_log_open(keeper->loop);
	keeper->pins = pins_new(keeper->options.name);
	if (!keeper->turn || !keeper->log || !keeper->pins)
		return -ENOMEM;
	event_log_follow(keeper->log, on_event, keeper);
	keeper->readers = readers_watch(keeper->loop, on_reader_gone, keeper);
	if (!keeper->readers)
		return -ENOMEM;
	connect_parts(keeper);
	pins_check(keeper->pins);
	return 0;
}

int assemble(struct keeper *keeper, void (*turn)(void *arg, unsigned int work),
	     struct trouble *trouble)
{
	bool runs = keeper->options.argv;
	int err = open_base(keeper, turn);

	if (!err && runs && open_hooks(keeper, trouble))
		return trouble->status;
	if (!err)
		err = open_parts(keeper);
	if (!err)
		err = runs ? open_run(keeper) : watch_open(keeper);
	if (err)
		return trouble_set(trouble, EXIT_FAILED, "%s", strerror(-err));
	if (control_obstacle(keeper->control))
		event_tell(keeper->log, "trouble", NULL, "%s", control_obstacle(keeper->control));
	return EXIT_DONE;
}

/* --- and taken apart --- */

/* Of workers that go on, the hooks still have to know which is which. */
static void free_runners(struct keeper *keeper, bool ended)
{
	if (!ended)
		keeper->runners.hooks = NULL;
	for (uint32_t w = 0; w < LB_MAX_WORKERS; w++) {
		while (keeper->runners.of[w])
			runner_free(keeper->runners.of[w]);
	}
}

void disassemble(struct keeper *keeper, bool ended)
{
	free_runners(keeper, ended);
	environments_free(keeper->environments);
	stall_watch_free(keeper->stalls);
	migrations_free(keeper->migrations);
	holder_free(keeper->holder);
	changes_free(keeper->changes);
	watch_close(keeper);
	sync_free(keeper->sync);
	forked_free(keeper->forked);
	free(keeper->members);
	losses_free(keeper->losses);
	worker_notify_close(keeper->notify);
	accepting_free(keeper->accepting);
	listeners_free(keeper->listeners);
	bindhook_close(keeper->hooks);
	pins_free(keeper->pins);
	readers_close(keeper->readers);
	event_log_close(keeper->log);
	turn_free(keeper->turn);
	sd_event_unref(keeper->loop);
}
