// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* lbctl apply: what a file says of services is made so. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cmd/cmd.h"
#include "cmd/run_options.h"
#include "cmd/detached.h"
#include "cmd/kept.h"
#include "cmd/running.h"
#include "cmd/services.h"
#include "cmd/steps.h"

/* One after the other, and how it went. */
struct work {
	const struct cmd *cmd;
	struct services *services;
	int status;
	char failed[LB_NAME_MAX + 1]; /* whose further steps are left out; "" = none */
};

/* A command of lbctl that prints what it has done, unless that is told as JSON. */
static int call(const struct cmd *cmd, const char *const *words)
{
	char *argv[6] = { "lbctl" }, *text = NULL;
	FILE *before = stdout, *ignored = NULL;
	size_t size;
	int argc = 1, status;

	while (*words && argc < 5)
		argv[argc++] = (char *)*words++;
	if (cmd->json)
		ignored = open_memstream(&text, &size);
	if (ignored)
		stdout = ignored;
	status = cmd_main(argc, argv);
	stdout = before;
	if (ignored)
		fclose(ignored);
	free(text);
	return status;
}

/* Its keeper, by the command line that the file asks for; or that of the next one. */
static int keep(const struct service_entry *entry,
		int (*act)(const struct service_entry *entry, const struct kept *kept))
{
	struct kept *kept = kept_new(&entry->cmd);
	int status;

	if (!kept)
		return cmd_fail(&entry->cmd, EXIT_FAILED, "out of memory");
	status = kept_find_paths(&entry->cmd, kept);
	if (!status)
		status = kept_set_command_line(&entry->cmd, entry->name, kept);
	if (!status)
		status = act(entry, kept);
	kept_free(kept);
	return status;
}

static void tell_started(const struct step *step)
{
	const struct keeper_options *options = &step->entry->options;
	const char *command = step->entry->cmd.args[0];

	if (step->kind != STEP_START)
		printf("%s: has another keeper, and the same workers\n", step->service);
	else if (options->forks)
		printf("%s: started, %s makes its workers itself\n", step->service, command);
	else
		printf("%s: started, %u worker%s of %s\n", step->service, options->workers,
		       plural(options->workers), command);
}

static int start(const struct work *work, const struct step *step)
{
	int status;

	running_note(step->service, work->services->file, false);
	status = keep(step->entry, detached_start);
	if (!status && !work->cmd->json)
		tell_started(step);
	return status;
}

static int do_step(const struct work *work, const struct step *step)
{
	const char *name = step->service;
	int status;

	switch (step->kind) {
	case STEP_START:
	case STEP_KEEPER:
		return start(work, step);
	case STEP_RELOAD:
		return call(work->cmd, (const char *[]){ "reload", name, NULL });
	case STEP_COMMAND:
		return call(work->cmd,
			    (const char *[]){ step->words[0], name,
					      step->words[1] ? step->words[1] : step->number,
					      step->words[2], NULL });
	case STEP_STOP:
		status = call(work->cmd, (const char *[]){ "stop", name, NULL });
		if (!status)
			detached_forget(name);
		return status;
	case STEP_SPARE:
		if (!work->cmd->json)
			printf("%s: %s\n", name, step->text);
		return EXIT_DONE;
	case STEP_REFUSED:
		break;
	}
	return cmd_fail(work->cmd, EXIT_FAILED, "%s %s", name, step->text);
}

/* All that there was to do for a service is done. */
static void end_service(struct work *work, const struct step *last)
{
	int status;

	if (!last->entry)
		return;
	status = keep(last->entry, detached_update);
	if (!status)
		running_note(last->service, work->services->file, true);
	work->status = work->status ? work->status : status;
}

static void do_all(struct work *work, const struct steps *steps)
{
	for (size_t i = 0; i < steps->count; i++) {
		const struct step *step = &steps->at[i];
		bool failed = !strcmp(work->failed, step->service);

		if (!failed) {
			int status = do_step(work, step);

			failed = status;
			if (status)
				strcpy(work->failed, step->service);
			work->status = work->status ? work->status : status;
		}
		fflush(stdout);
		if (!failed &&
		    (i + 1 == steps->count || strcmp(steps->at[i + 1].service, step->service)))
			end_service(work, step);
	}
}

static void print_dry(const struct steps *steps)
{
	for (size_t i = 0; i < steps->count; i++) {
		const struct step *step = &steps->at[i];
		bool would = step->kind != STEP_SPARE && step->kind != STEP_REFUSED;

		printf("%s: %s%s\n", step->service, would ? "would " : "", step->text);
	}
}

static int print_steps_json(const struct work *work, const struct steps *steps)
{
	json_t *list = json_array();

	for (size_t i = 0; i < steps->count; i++) {
		const struct step *step = &steps->at[i];

		json_array_append_new(list, text_pack("{s:s, s:s, s:s}", "service", step->service,
						      "step", step_name(step), "text", step->text));
	}
	return cmd_print_json(text_pack("{s:s, s:o, s:b}", "file", work->services->file, "steps",
					list, "dry_run", work->cmd->dry_run));
}

/* Is there nothing but what is said each time? */
static bool changes_nothing(const struct steps *steps)
{
	for (size_t i = 0; i < steps->count; i++) {
		if (steps->at[i].kind != STEP_SPARE)
			return false;
	}
	return true;
}

static int apply(struct work *work, const struct steps *steps)
{
	const struct cmd *cmd = work->cmd;
	size_t n = work->services->nr_entries;
	int status;

	if (cmd->dry_run && !cmd->json)
		print_dry(steps);
	else if (!cmd->dry_run)
		do_all(work, steps);
	if (cmd->json) {
		status = print_steps_json(work, steps);
		work->status = work->status ? work->status : status;
	} else if (changes_nothing(steps)) {
		printf("%s: nothing to change; %zu service%s as it says\n", work->services->shown,
		       n, n == 1 ? " is" : "s are");
	}
	return work->status;
}

static int run(struct cmd *cmd)
{
	struct services services;
	struct steps steps = { 0 };
	struct work work = { .cmd = cmd, .services = &services };
	int status = services_read(cmd, cmd->args[0], run_options_parse, &services);

	if (!status)
		status = steps_find(cmd, &services, cmd_value(cmd, "prune"), &steps);
	if (!status)
		status = apply(&work, &steps);
	steps_free(&steps);
	services_free(&services);
	return status;
}

static const struct cmd_option options[] = {
	{ "prune", NULL, "stop services that were started from the file and are no more in it" },
	{ NULL, NULL, NULL },
};

const struct command cmd_apply = {
	.name = "apply",
	.args = "FILE",
	.summary = "make it so that services run as a file describes them, in YAML",
	.details =
		"An entry for each service: its command, and the options of lbctl run by their "
		"own names, as n: 4 and policy: rr. What can change while it runs does, the rest "
		"takes another keeper and a reload, no connection lost. Done again it changes "
		"nothing. Keepers run in the background, as units of systemd where that runs.",
	.min_args = 1,
	.max_args = 1,
	.kind = VERB,
	.options = options,
	.run = run,
};
