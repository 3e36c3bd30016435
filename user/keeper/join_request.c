// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See join_request.h. */
#include "keeper/join_request.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text_json.h"
#include "keeper/watch.h"
#include "service/join.h"

#define DEADLINE_MS 15000

struct request {
	struct keeper *keeper;
	uint64_t client;
	int connection; /* the client's; -1 = it is not to be asked who is there */
	struct peer peer;
	bool trusted; /* it may join for a worker that has not started it */
	struct join_ask ask;
	/* what the child found */
	int status;
	struct join_place place;
	uint64_t cookie;
	uint32_t generation; /* of the process that it is for, 0 = none of ours */
	char text[sizeof(((struct trouble *)0)->text)];
};

/* --- in the child --- */

/* For a reload's new process, while that is on its way. */
static const struct process *newest(const struct plan *plan, uint32_t worker)
{
	const struct worker *seat = worker < plan->wanted ? &plan->workers[worker] : NULL;

	if (seat && lifecycle_runs(seat->at[ROLE_NEXT].state))
		return &seat->at[ROLE_NEXT];
	return seat && lifecycle_runs(seat->at[ROLE_CURRENT].state) ? &seat->at[ROLE_CURRENT] :
								      NULL;
}

/* Finds the process that it is for; *worker becomes its worker's number. */
static int find_process(struct request *request, const struct joiner *joiner, uint32_t *worker,
			struct trouble *trouble)
{
	const struct keeper *keeper = request->keeper;
	const char *name = keeper->options.name;
	struct runner *runner;
	const struct process *process = NULL;
	int owner = own_worker_of(&keeper->own, &joiner->member->socket, &runner);

	if (owner < 0 && !request->trusted &&
	    !runner_of_pid(&keeper->runners, name, request->peer.pid))
		return trouble_set(
			trouble, EXIT_NOT_ABLE,
			"no worker of %s has started this process; run --allow-join lets "
			"any of its user join, --group those of a group",
			name);
	if (owner >= 0 && runner)
		process = plan_process((struct plan *)&keeper->plan, owner, runner->generation);
	else if (owner >= 0 || *worker != JOIN_ANY_WORKER)
		process = newest(&keeper->plan, owner >= 0 ? (uint32_t)owner : *worker);
	/* the lowest that is free, where each socket is a worker */
	if (owner >= 0)
		*worker = keeper->forked ? JOIN_ANY_WORKER : (uint32_t)owner;
	if (process && process->state == LIFE_TERMINATING)
		return trouble_set(trouble, EXIT_FAILED, "worker %u of %s was told to end", *worker,
				   name);
	if (process) {
		request->generation = process->generation;
		return EXIT_DONE;
	}
	if (*worker != JOIN_ANY_WORKER)
		return trouble_set(trouble, EXIT_NOT_FOUND,
				   "no worker %u of %s runs; LBCTL_WORKER must name one that does",
				   *worker, name);
	return trouble_set(trouble, EXIT_USAGE,
			   "lbctl run starts the workers of %s itself, and this process is none of "
			   "them; lbctl scale starts more",
			   name);
}

/* One attempt; *refresh: it is worth another when the service was brought up to date. */
static int attempt(struct request *request, struct joiner *joiner, bool *refresh,
		   struct trouble *trouble)
{
	int status = join_find(joiner, request->ask.fd, request->peer.pid, trouble);
	uint32_t worker = request->ask.worker;

	*refresh = false;
	if (!status && request->keeper->options.argv)
		status = find_process(request, joiner, &worker, trouble);
	if (status)
		return status;
	request->keeper->own.joining_worker = worker;
	return join_service(request->keeper->options.name, joiner, worker, &request->place, refresh,
			    trouble);
}

/* With --wait-ready it is not looked at before; to join says that it is. */
static void refresh_with(struct keeper *keeper, const struct joiner *joiner)
{
	struct attach_result result;
	struct trouble trouble;

	keeper->own.joining_cookie = joiner->member->socket.cookie;
	if (keeper->options.argv)
		sync_refresh(keeper->sync, NULL, &result, &trouble);
	else
		watch_refresh(keeper, &result, &trouble);
	keeper->own.joining_cookie = 0;
}

static int join(struct request *request, struct trouble *trouble)
{
	struct keeper *keeper = request->keeper;
	struct joiner joiner;
	bool refresh;
	int status;

	if (request->ask.number >= 0)
		request->ask.fd = peer_fetch(&request->peer, request->connection,
					     request->ask.number, trouble);
	if (request->ask.fd < 0)
		return trouble->status;
	/* many workers that start at once are found by one look of ours before all have asked */
	if (!keeper->options.argv &&
	    !join_known(keeper->options.name, request->ask.fd, &request->place))
		return EXIT_DONE;
	status = attempt(request, &joiner, &refresh, trouble);
	if (status && refresh) {
		refresh_with(keeper, &joiner);
		joiner_free(&joiner);
		status = attempt(request, &joiner, &refresh, trouble);
	}
	joiner_free(&joiner);
	return status;
}

static void answer(const struct request *request, const struct trouble *trouble)
{
	struct client *client = control_find(request->keeper->control, request->client);
	const struct join_place *place = &request->place;
	char text[128];

	if (!client)
		return;
	if (request->status) {
		control_reply(client, request->status, trouble->text);
		return;
	}
	snprintf(text, sizeof(text), "worker %u, listening on %s", place->worker, place->address);
	control_reply_with(client,
			   text_pack("{s:i, s:s, s:i, s:i}", "status", EXIT_DONE, "text", text,
				     "worker", place->worker, "slot", place->slot),
			   place->load_fd);
}

static int run(void *shared)
{
	struct request *request = shared;
	struct trouble trouble = { 0 };

	listeners_close_all(request->keeper->listeners);
	request->place.load_fd = -1;
	request->status = join(request, &trouble);
	request->cookie = request->status ? 0 : sockdiag_cookie(request->ask.fd);
	answer(request, &trouble);
	return 0;
}

/* --- in the loop --- */

static void take_place(struct keeper *keeper, const struct request *request)
{
	uint32_t worker = keeper->forked ? 0 : request->place.worker;
	struct runner *runner = runner_find(&keeper->runners, worker, request->generation);
	struct process *process = plan_process(&keeper->plan, worker, request->generation);

	if (runner && !keeper->forked)
		runner->joined = request->place.slot;
	if (process)
		process->said_ready = true;
}

static void on_done(void *arg, int status, void *shared)
{
	const struct request *request = shared;
	struct keeper *keeper = arg;
	const struct join_place *place = &request->place;
	struct client *client = control_find(keeper->control, request->client);

	if (status && client)
		control_reply(client, EXIT_FAILED,
			      "the keeper could not look at the socket in time; try again");
	if (client && !status && request->cookie)
		control_set_joined(client, request->cookie, place->slot);
	if (client)
		control_release(client);
	if (status || request->status)
		return;
	if (!place->was_there && event_log_may_tell(keeper->log, place->worker, request->peer.pid))
		event_tell_worker(keeper->log, "listening", place->worker, request->peer.pid,
				  text_pack("{s:s}", "addr", place->address),
				  "joined, listening on %s", place->address);
	pins_check(keeper->pins);
	if (request->generation)
		take_place(keeper, request);
	turn_mark(keeper->turn, TURN_LOOK | TURN_DECIDE);
}

static const struct task_spec join_socket = { run, on_done, sizeof(struct request), DEADLINE_MS };

void join_request(struct keeper *keeper, struct client *client, const struct join_ask *ask)
{
	const struct request request = {
		.keeper = keeper,
		.client = control_client_id(client),
		.connection = control_client_connection(client),
		.peer = *control_client_peer(client),
		.trusted = keeper->options.allow_join ||
			   control_client_admission(client) > ADMIT_WORKER,
		.ask = *ask,
	};
	struct task *task;

	if (task_start(keeper->loop, &join_socket, &request, keeper, &task))
		control_reply(client, EXIT_FAILED, "the keeper can't start a child; try again");
	else
		control_hold(client);
}
