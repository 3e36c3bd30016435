// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* lbctl top: services and workers as they change, on a terminal or as plain lines. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cmd/cmd.h"
#include "cmd/interrupt.h"
#include "cmd/top_json.h"
#include "cmd/top_screen.h"
#include "cmd/top_text.h"

struct plan {
	const char *only; /* the service that was named, or NULL */
	uint64_t interval_s, count;
};

static int trouble(const struct cmd *cmd, int err)
{
	struct trouble what;

	state_trouble(&what, "", err);
	return cmd_trouble(cmd, &what);
}

/* --- lines --- */

static void print_service(const struct top_style *style, const struct top_service *service)
{
	char line[TOP_LINE_BYTES];

	top_service_line(style, service, line);
	puts(line);
}

/* All services, or the one and its workers. */
static void print_block(const struct top *top, const char *only)
{
	const struct top_style style = { .width = TOP_WIDEST };
	char line[TOP_LINE_BYTES];

	print_service(&style, NULL);
	for (size_t i = 0; i < top->nr_services; i++)
		print_service(&style, &top->services[i]);
	for (size_t i = 0; i < top->nr_unreadable; i++)
		printf("%s: %s\n", top->unreadable[i].name, top->unreadable[i].trouble.text);
	for (size_t i = 0; i < top->nr_services && only; i++) {
		const struct top_service *service = &top->services[i];

		for (uint32_t w = 0; w <= service->view.nr_workers; w++) {
			top_worker_line(&style, service, w ? w - 1 : TOP_TITLES, line);
			puts(line);
		}
	}
	putchar('\n');
}

static int take_look(const struct plan *plan, struct views_open *open, struct top *top)
{
	struct timespec now;
	struct views views;
	int err = views_load(&views, plan->only,
			     plan->interval_s <= TOP_LONGEST_OPEN_S ? open : NULL);

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (err)
		views_free(&views);
	else
		top_take(top, &views, now.tv_sec * 1000000000ULL + now.tv_nsec);
	return err;
}

/* The first look is to compare with: what is printed is of the time between two. */
static int print_lines(const struct cmd *cmd, const struct plan *plan)
{
	const struct timespec interval = { .tv_sec = plan->interval_s };
	struct views_open open = { 0 };
	struct top top = { 0 };
	int err = take_look(plan, &open, &top);

	interrupt_catch();
	for (uint64_t n = 0; !err && !interrupt_came() && (!plan->count || n < plan->count); n++) {
		if (nanosleep(&interval, NULL))
			break;
		err = take_look(plan, &open, &top);
		if (err)
			break;
		if (cmd->json)
			top_json_print(&top);
		else
			print_block(&top, plan->only);
		if (fflush(stdout))
			break;
	}
	top_free(&top);
	views_close(&open);
	return err ? trouble(cmd, err) : EXIT_DONE;
}

/* --- the command --- */

static bool is_terminal(void)
{
	const char *kind = getenv("TERM");

	return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && kind && *kind &&
	       strcmp(kind, "dumb") != 0;
}

static int show(const struct cmd *cmd, const struct plan *plan)
{
	const char *why = "";
	int err = top_screen(plan->only, plan->interval_s * 1000, &why);

	if (err == -ENOTTY)
		return cmd_fail(cmd, EXIT_FAILED,
				"the terminal %.40s is not known here; set TERM, or use --count "
				"for plain lines",
				getenv("TERM"));
	if (err == -ENOENT && *why)
		return cmd_fail(
			cmd, EXIT_NOT_ABLE,
			"needs ncurses (Debian: libncursesw6): %.200s; --count prints plain "
			"lines without it",
			why);
	return err ? trouble(cmd, err) : EXIT_DONE;
}

static int take_number(const struct cmd *cmd, const char *option, const char *what, uint64_t most,
		       uint64_t *number)
{
	const char *text = cmd_value(cmd, option);

	if (text && parse_u64(text, 1, most, number))
		return cmd_fail(cmd, EXIT_USAGE, "--%s %.20s: not a number of %s from 1 to %lu",
				option, text, what, (unsigned long)most);
	return EXIT_DONE;
}

static int run(struct cmd *cmd)
{
	struct plan plan = { .interval_s = 1 };
	char name[LB_NAME_MAX + 1];
	struct state state;
	int status = take_number(cmd, "interval", "seconds", 86400, &plan.interval_s);

	if (!status)
		status = take_number(cmd, "count", "looks", UINT32_MAX, &plan.count);
	/* one that is named is to be there; it may go and come back afterwards */
	if (!status && cmd->nr_args) {
		snprintf(name, sizeof(name), "%s", cmd->args[0]);
		plan.only = name;
		status = cmd_open_service(cmd, 0, STATE_READ, &state);
		if (!status)
			state_close(&state);
	}
	if (status)
		return status;
	if (cmd->json || plan.count || !is_terminal())
		return print_lines(cmd, &plan);
	return show(cmd, &plan);
}

static const struct cmd_option options[] = {
	{ "interval", "SEC", "look every SEC seconds (default 1)" },
	{ "count", "N", "print N looks as plain lines and end" },
	{ NULL, NULL, NULL },
};

const struct command cmd_top = {
	.name = "top",
	.args = "[NAME]",
	.summary = "services and workers as they change, and keys to change them",
	.details = "On a terminal h lists the keys. Elsewhere, and with --count, plain lines: all "
		   "services, or with NAME that one and its workers.",
	.max_args = 1,
	.kind = NOUN,
	.options = options,
	.run = run,
};
