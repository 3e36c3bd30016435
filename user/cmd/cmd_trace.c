// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* lbctl trace: each decision as it is made. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/addr.h"
#include "base/parse.h"
#include "cmd/cmd.h"
#include "cmd/interrupt.h"
#include "lb_hold.h"
#include "lb_pace.h"
#include "lb_pick.h"
#include "service/service.h"
#include "service/trace.h"

#define NO_WORKER LB_MAX_WORKERS
#define POLL_MS 200

/* enum lb_out */
static const char *const why_out[] = {
	[LB_OUT_NOT] = NULL,	[LB_OUT_LIMITED] = "limited",	[LB_OUT_STALLED] = "stalled",
	[LB_OUT_FULL] = "full", [LB_OUT_DRAINING] = "draining", [LB_OUT_DOWN] = "down",
};

struct tracing {
	const struct cmd *cmd;
	const struct state *state;
	uint32_t worker; /* only what is decided for it; NO_WORKER: all */
	uint64_t left;	 /* decisions to print; 0 = any number */
	int64_t real_ns; /* to add to CLOCK_MONOTONIC for CLOCK_REALTIME */
	uint64_t printed;
};

/* --- what a decision says --- */

/* NO_WORKER: of a waiting listener, or nobody's. */
static uint32_t worker_of(const struct tracing *tracing, uint32_t slot)
{
	struct lb_worker row;

	if (slot >= state_used_slots(tracing->state))
		return NO_WORKER;
	row = state_worker_copy(tracing->state, slot);
	return row.state == LB_SLOT_FREE ? NO_WORKER : row.worker;
}

static bool is_held(const struct lb_trace *decision)
{
	return lb_is_waiting_slot(decision->slot);
}

static const char *out_of(const struct lb_candidate *candidate)
{
	return candidate->out < sizeof(why_out) / sizeof(why_out[0]) ? why_out[candidate->out] :
								       "unknown";
}

/* In connections, or what workers report, by weight; -1: it has none, or nothing to go by. */
static double cost_of(const struct lb_trace *decision, const struct lb_candidate *candidate)
{
	uint64_t key = candidate->key & ~(LB_KEY_BUSY | LB_KEY_NONE);
	double cost = (key >> (LB_KEY_POSITION_BITS + 1)) / 65536.0;

	if (!lb_policy_scans(lb_word_policy(decision->word)) || candidate->key >= LB_KEY_NONE ||
	    lb_key_is_silent(candidate->key))
		return -1;
	if (lb_word_policy(decision->word) == LB_POLICY_LEAST_LATENCY)
		cost /= LB_SLOW_ONE;
	return cost;
}

static bool is_busy(const struct lb_candidate *candidate)
{
	return candidate->key < LB_KEY_NONE && lb_key_is_busy(candidate->key);
}

static void put_client(const struct lb_trace *decision, char out[ADDR_STRLEN])
{
	const struct in6_addr *client = (const struct in6_addr *)decision->client;

	if (IN6_IS_ADDR_V4MAPPED(client))
		addr_format(AF_INET, client->s6_addr + 12, decision->port, out, ADDR_STRLEN);
	else
		addr_format(AF_INET6, client->s6_addr, decision->port, out, ADDR_STRLEN);
}

/* Where it was put: its slot's own entry, where that is among those that were looked at. */
static uint32_t queue_of(const struct lb_trace *decision)
{
	return decision->slot < decision->nr_candidates ?
		       decision->candidates[decision->slot].queued :
		       0;
}

/*
 * Is it to be shown? A slot that the worker had before it got a new process tells nothing, as the
 * worker has another one.
 */
static bool is_shown(const struct tracing *tracing, const struct lb_trace *decision, uint32_t slot)
{
	uint32_t worker = worker_of(tracing, slot);

	if (worker == NO_WORKER || decision->candidates[slot].out != LB_OUT_DOWN)
		return worker != NO_WORKER;
	for (uint32_t i = 0; i < decision->nr_candidates; i++) {
		if (decision->candidates[i].out != LB_OUT_DOWN && worker_of(tracing, i) == worker)
			return false;
	}
	return true;
}

/* --- text --- */

static void print_candidates(const struct tracing *tracing, const struct lb_trace *decision)
{
	for (uint32_t slot = 0; slot < decision->nr_candidates; slot++) {
		const struct lb_candidate *candidate = &decision->candidates[slot];
		uint32_t worker = worker_of(tracing, slot);
		double cost = cost_of(decision, candidate);

		if (!is_shown(tracing, decision, slot))
			continue;
		printf(" %u=", worker);
		if (out_of(candidate))
			printf("%s", out_of(candidate));
		else if (cost >= 0)
			printf("%.4g%s", cost, is_busy(candidate) ? "+busy" : "");
		else
			printf("%s", lb_policy_scans(lb_word_policy(decision->word)) ? "?" : "up");
	}
}

static void print_text(const struct tracing *tracing, const struct lb_trace *decision)
{
	uint64_t at_ns = decision->time_ns + tracing->real_ns;
	time_t seconds = at_ns / 1000000000;
	uint32_t worker = worker_of(tracing, decision->slot);
	char client[ADDR_STRLEN], clock[16], to[16] = "-";
	struct tm local;

	strftime(clock, sizeof(clock), "%H:%M:%S", localtime_r(&seconds, &local));
	put_client(decision, client);
	if (is_held(decision))
		strcpy(to, "held");
	else if (worker != NO_WORKER)
		snprintf(to, sizeof(to), "%u", worker);
	printf("%s.%06" PRIu64 " %-21s %-13s %-6s %5u ", clock, at_ns % 1000000000 / 1000, client,
	       decision->migrates ? "migrated" : policy_name(lb_word_policy(decision->word)), to,
	       queue_of(decision));
	print_candidates(tracing, decision);
	putchar('\n');
}

/* --- JSON --- */

static json_t *worker_json(const struct tracing *tracing, uint32_t slot)
{
	uint32_t worker = worker_of(tracing, slot);

	return worker == NO_WORKER ? json_null() : json_integer(worker);
}

static json_t *candidates_json(const struct tracing *tracing, const struct lb_trace *decision)
{
	json_t *rows = json_array();

	for (uint32_t slot = 0; slot < decision->nr_candidates; slot++) {
		const struct lb_candidate *candidate = &decision->candidates[slot];
		double cost = cost_of(decision, candidate);
		const char *out = out_of(candidate);

		if (!is_shown(tracing, decision, slot))
			continue;
		json_array_append_new(
			rows, text_pack("{s:o, s:o, s:o, s:b, s:i, s:i, s:i}", "worker",
					worker_json(tracing, slot), "out", text_json(out), "cost",
					cost >= 0 ? json_real(cost) : json_null(), "busy",
					is_busy(candidate), "live", candidate->live, "half_open",
					candidate->half_open, "queued", candidate->queued));
	}
	return rows;
}

static void print_json(const struct tracing *tracing, const struct lb_trace *decision)
{
	char client[ADDR_STRLEN], at[ADDR_STRLEN];
	json_t *row;
	const struct lb_listener *listener =
		&tracing->state->config->listeners[decision->listener % LB_MAX_LISTENERS];

	put_client(decision, client);
	addr_format(listener->family, listener->addr, listener->port, at, sizeof(at));
	row = text_pack("{s:o, s:s, s:s, s:s, s:o, s:o, s:b, s:b, s:o, s:i, s:o}", "time",
			json_real((decision->time_ns + tracing->real_ns) / 1e9), "client", client,
			"listener", at, "policy", policy_name(lb_word_policy(decision->word)),
			"picked", worker_json(tracing, decision->picked), "worker",
			worker_json(tracing, decision->slot), "held", is_held(decision), "migrated",
			(int)decision->migrates, "from", worker_json(tracing, decision->from),
			"queued", queue_of(decision), "candidates",
			candidates_json(tracing, decision));
	json_dumpf(row, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(row);
}

/* --- the command --- */

/* Returns 1 once that was all. */
static int take(void *arg, const struct lb_trace *decision)
{
	struct tracing *tracing = arg;

	if (tracing->worker != NO_WORKER && worker_of(tracing, decision->slot) != tracing->worker)
		return 0;
	if (tracing->cmd->json)
		print_json(tracing, decision);
	else
		print_text(tracing, decision);
	tracing->printed++;
	return tracing->printed == tracing->left || interrupt_came() || ferror(stdout);
}

static int parse_options(const struct cmd *cmd, const struct state *state, struct tracing *tracing)
{
	const char *worker = cmd_value(cmd, "worker"), *count = cmd_value(cmd, "count");
	uint32_t workers = service_workers(state);
	uint64_t number;

	if (worker) {
		if (parse_u64(worker, 0, LB_MAX_WORKERS - 1, &number))
			return cmd_fail(cmd, EXIT_USAGE, "--worker %.20s: not a worker's number",
					worker);
		if (number >= workers)
			return cmd_fail(cmd, EXIT_NOT_FOUND, "no worker %.20s in %s: it has %u",
					worker, state->name, workers);
		tracing->worker = number;
	}
	if (count && parse_u64(count, 1, UINT32_MAX, &tracing->left))
		return cmd_fail(cmd, EXIT_USAGE,
				"--count %.20s: not a number of decisions from 1 on", count);
	return EXIT_DONE;
}

static int open_failed(const struct cmd *cmd, const struct state *state, int err)
{
	switch (err) {
	case -EOPNOTSUPP:
		return cmd_fail(cmd, EXIT_NOT_ABLE,
				"the programs of %s can't tell of their decisions: the kernel is "
				"too old for that, or an earlier lbctl loaded them; then attach or "
				"run it anew",
				state->name);
	case -EBUSY:
		return cmd_fail(cmd, EXIT_FAILED,
				"another lbctl trace reads %s, and one at a time can; end that one",
				state->name);
	case -EPERM:
		return cmd_fail(cmd, EXIT_NOT_ABLE,
				"not permitted: CAP_BPF is needed; run as root");
	default:
		return cmd_fail(cmd, EXIT_FAILED, "can't make a ring buffer: %s", strerror(-err));
	}
}

static int64_t clock_offset_ns(void)
{
	struct timespec real, mono;

	clock_gettime(CLOCK_REALTIME, &real);
	clock_gettime(CLOCK_MONOTONIC, &mono);
	return (real.tv_sec - mono.tv_sec) * 1000000000LL + real.tv_nsec - mono.tv_nsec;
}

static int trace_service(const struct cmd *cmd, struct tracing *tracing)
{
	struct trace *trace;
	uint64_t dropped;
	int err = trace_open(tracing->state, &trace);

	if (err)
		return open_failed(cmd, tracing->state, err);
	if (!cmd->json)
		printf("%-15s %-21s %-13s %-6s %5s  %s\n", "TIME", "CLIENT", "POLICY", "WORKER",
		       "QUEUE", "WORKERS: COST, OR WHY OUT");
	fflush(stdout);
	while (!interrupt_came() && !ferror(stdout) && state_is_there(tracing->state)) {
		err = trace_poll(trace, POLL_MS, take, tracing);
		fflush(stdout);
		if (err && err != -EINTR)
			break;
	}
	dropped = trace_dropped(trace);
	trace_close(trace);
	if (dropped)
		fprintf(stderr,
			"lbctl: trace %s: %" PRIu64 " decisions are missing here: they came faster "
			"than they were printed\n",
			tracing->state->name, dropped);
	return EXIT_DONE;
}

static int run(struct cmd *cmd)
{
	struct tracing tracing = { .cmd = cmd, .worker = NO_WORKER };
	struct state state;
	int status = cmd_open_service(cmd, 0, STATE_READ, &state);

	if (status)
		return status;
	tracing.state = &state;
	tracing.real_ns = clock_offset_ns();
	interrupt_catch();
	status = parse_options(cmd, &state, &tracing);
	if (!status)
		status = trace_service(cmd, &tracing);
	state_close(&state);
	return status;
}

static const struct cmd_option options[] = {
	{ "worker", "N", "only what is decided for worker N" },
	{ "count", "N", "end after N decisions" },
	{ NULL, NULL, NULL },
};

const struct command cmd_trace = {
	.name = "trace",
	.args = "[NAME]",
	.summary = "each decision as it is made, with what it went by",
	.details =
		"Until interrupted. A line has who came, who got it, how many waited there, and of "
		"each worker what it would have cost, or why it was out.",
	.max_args = 1,
	.kind = NOUN,
	.options = options,
	.run = run,
};
