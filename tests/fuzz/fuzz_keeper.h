/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A keeper that has a plan, and no processes, no sockets and no clock, and a client of it. */
#ifndef FUZZ_KEEPER_H
#define FUZZ_KEEPER_H

#include <errno.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "keeper/alone.h"
#include "keeper/control_parts.h"
#include "keeper/join_request.h"
#include "keeper/output.h"
#include "keeper/parts.h"
#include "service/join.h"

static struct keeper fuzz_keeper, fuzz_keeper_new;
static struct control fuzz_control;

/* In place of libsystemd's: all is in one second. */
int sd_event_now(sd_event *event, clockid_t clock, uint64_t *usec)
{
	(void)event, (void)clock;
	*usec = 1000000;
	return 0;
}

/* What is over the budget of a second is not waited for. */
int sd_event_add_time_relative(sd_event *event, sd_event_source **source, clockid_t clock,
			       uint64_t usec, uint64_t accuracy, sd_event_time_handler_t callback,
			       void *arg)
{
	(void)event, (void)source, (void)clock, (void)usec, (void)accuracy, (void)callback,
		(void)arg;
	return -ENOMEM;
}

/* What sockets there are on this host is no part of it. */
void alone_look(struct plan *plan, const struct runners *runners)
{
	(void)plan, (void)runners;
}

/* What the keeper prints goes nowhere. */
struct output *output_open(sd_event *loop, int fd)
{
	(void)loop, (void)fd;
	return NULL;
}

void output_line(struct output *output, const char *line)
{
	(void)output, (void)line;
}

void output_reopen(struct output *output)
{
	(void)output;
}

void output_close(struct output *output)
{
	(void)output;
}

static void fuzz_keeper_on_turn(void *arg, unsigned int work)
{
	(void)arg, (void)work;
}

static void fuzz_keeper_publish(void *arg)
{
	(void)arg;
	control_publish(&fuzz_control);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static char *command[] = { (char *)"command", NULL };

	(void)argc, (void)argv;
	FUZZ_CHECK(sd_event_new(&fuzz_keeper_new.loop) >= 0);
	strcpy(fuzz_keeper_new.options.name, "fuzz");
	fuzz_keeper_new.options.argv = command;
	fuzz_keeper_new.pins = pins_new("fuzz");
	fuzz_keeper_new.turn = turn_new(fuzz_keeper_new.loop, fuzz_keeper_on_turn, NULL);
	FUZZ_CHECK(fuzz_keeper_new.pins && fuzz_keeper_new.turn);
	return 0;
}

/* All but the workers, of which few are touched. */
static inline void fuzz_keeper_renew(void)
{
	static const struct plan_options options = { .max_restarts = 1 };
	const size_t at = offsetof(struct keeper, workers),
		     behind = offsetof(struct keeper, environments);
	uint32_t used = fuzz_keeper.plan.used;

	environments_free(fuzz_keeper.environments);
	forked_free(fuzz_keeper.forked);
	event_log_close(fuzz_keeper.log);
	memcpy(&fuzz_keeper, &fuzz_keeper_new, at);
	memcpy((char *)&fuzz_keeper + behind, (char *)&fuzz_keeper_new + behind,
	       sizeof(fuzz_keeper) - behind);
	plan_init(&fuzz_keeper.plan, &options, fuzz_keeper.workers, used > 2 ? used : 2, 2);
	fuzz_keeper.log = event_log_open(fuzz_keeper.loop);
	event_log_follow(fuzz_keeper.log, fuzz_keeper_publish, NULL);
}

/* A new keeper, and what the client may and how it speaks, by the bits of a byte. */
static inline struct client *fuzz_keeper_begin(uint8_t how)
{
	static struct client client;
	static struct lines lines;

	fuzz_keeper_renew();
	fuzz_keeper.forked = how & 16 ? forked_new() : NULL;
	fuzz_keeper.options.reload_signal = how & 32;
	memset(&fuzz_control.budgets, 0, sizeof(fuzz_control.budgets));
	fuzz_control.loop = fuzz_keeper.loop;
	fuzz_control.clients = &client;
	fuzz_control.config = (struct control_config){
		.name = "fuzz",
		.rule = { .runs_workers = !(how & 8), .group = LB_NO_GROUP },
		.verbs = request_verbs,
		.events = event_log_recent(fuzz_keeper.log),
		.arg = &fuzz_keeper,
	};
	fuzz_keeper.control = &fuzz_control;
	lines.len = lines.taken = 0;
	client = (struct client){ .control = &fuzz_control,
				  .id = 1,
				  .fd = STDOUT_FILENO,
				  .admission = how & 3 ? how & 3 : ADMIT_OWNER,
				  .lines = how & 4 ? &lines : NULL };
	return &client;
}

#endif
