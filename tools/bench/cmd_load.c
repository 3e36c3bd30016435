// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* lb-bench load: the load generator by itself, against any server. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cmd.h"
#include "load_options.h"
#include "load_report.h"

#define PROGRESS_EVERY 5 /* ticks */

struct progress {
	unsigned int ticks;
	uint64_t last_transactions;
	double last_s;
};

static void show_progress(void *context, double elapsed_s, const struct load_result *result)
{
	struct progress *progress = context;
	uint64_t done = result->figures.transactions;

	if (progress->ticks++ % PROGRESS_EVERY)
		return;
	fprintf(stderr, "\r%6.1f s  %8.0f requests/s  %llu done  %llu failed  %llu open\033[K",
		elapsed_s,
		(done - progress->last_transactions) / (elapsed_s - progress->last_s + 1e-9),
		(unsigned long long)done, (unsigned long long)result->figures.failed,
		(unsigned long long)result->open);
	progress->last_transactions = done;
	progress->last_s = elapsed_s;
}

int cmd_load_failed(int err, unsigned int users, struct trouble *trouble)
{
	if (err == -EPERM)
		return trouble_set(trouble, EXIT_NOT_ABLE,
				   "can't have descriptors for %u at once; raise ulimit -Hn, or "
				   "take fewer users",
				   users);
	return trouble_set(trouble, EXIT_FAILED, "can't run that load: %s", strerror(-err));
}

static int run(const struct load_options *options, const struct load_plan *plan,
	       struct trouble *trouble)
{
	_cleanup_free_ struct load_result *result = malloc(sizeof(*result));
	int err = result ? load_run(plan, result) : -ENOMEM;

	if (plan->tick)
		fputs("\r\033[K", stderr);
	if (err)
		return cmd_load_failed(err, plan->users, trouble);
	if (options->json && cmd_print_json(load_report_json(plan, result), trouble))
		return trouble->status;
	if (!options->json)
		load_report_text(stdout, plan, result);
	if (fflush(stdout))
		return trouble_set(trouble, EXIT_FAILED, "can't write the result: %s",
				   strerror(errno));
	return result->figures.failed ? EXIT_FAILED : EXIT_DONE;
}

int cmd_load(int argc, char **argv)
{
	struct load_options options;
	struct targets targets = { 0 };
	struct trouble trouble = { 0 };
	struct progress progress = { 0 };
	struct load_plan *plan = &options.plan;
	int status = load_options_parse(&options, argc, argv, &trouble);

	if (status)
		return cmd_fail(&trouble);
	if (options.help) {
		fputs(load_options_help, stdout);
		return EXIT_DONE;
	}
	if (options.file)
		status = targets_read(&targets, options.file, plan->keep_alive || plan->hold,
				      &trouble);
	else
		status = targets_add(&targets, options.url, plan->keep_alive || plan->hold,
				     &trouble);
	plan->targets = &targets;
	plan->stop = &cmd_stop;
	if (!options.quiet && isatty(STDERR_FILENO)) {
		plan->tick = show_progress;
		plan->context = &progress;
	}
	cmd_catch_signals();
	if (!status)
		status = run(&options, plan, &trouble);
	targets_free(&targets);
	return trouble.status ? cmd_fail(&trouble) : status;
}
