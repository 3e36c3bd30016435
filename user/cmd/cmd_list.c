// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* lbctl list: every service in a line. */
#include <errno.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "cmd/cmd.h"
#include "cmd/show_json.h"
#include "cmd/view.h"
#include "lb_pick.h"

static void print_view(const struct view *view)
{
	char where[ADDR_STRLEN * 2 + 8] = "", address[ADDR_STRLEN], taken[64] = "";
	size_t len = 0;

	for (uint32_t i = 0; i < view->nr_listeners && i < 2; i++) {
		view_address(&view->listeners[i], address);
		len += snprintf(where + len, sizeof(where) - len, "%s%s", i ? "," : "", address);
	}
	if (view->nr_listeners > 2)
		snprintf(where + len, sizeof(where) - len, ",...");
	if (view->taken_off)
		snprintf(taken, sizeof(taken), "  (program taken off %lu time%s)",
			 (unsigned long)view->taken_off, plural(view->taken_off));
	printf("%-14s %-13s %7u %10lu %8lu  %s%s%s\n", view->name, policy_name(view->policy),
	       view->nr_workers, (unsigned long)view->decisions, (unsigned long)view->fallback,
	       where, taken, view->gone ? "  (keeper gone)" : "");
}

/* A service that can't be read still has a line: it must not hide. */
static void add_service(const struct cmd *cmd, const char *name, struct census *census,
			json_t *rows)
{
	struct trouble trouble;
	struct view view;
	int err = view_load_name(name, census, &view);

	if (err == -ENOENT)
		return;
	if (err) {
		state_trouble(&trouble, name, err);
		if (cmd->json)
			json_array_append_new(rows, show_error_json(name, trouble.text));
		else
			printf("%-14s %s\n", name, trouble.text);
		return;
	}
	if (cmd->json)
		json_array_append_new(rows, show_list_json(&view));
	else
		print_view(&view);
	view_free(&view);
}

static int run(struct cmd *cmd)
{
	_cleanup_free_ char(*names)[LB_NAME_MAX + 1] = NULL;
	json_t *rows = cmd->json ? json_array() : NULL;
	struct census census = { .of_all = true };
	struct trouble trouble;
	size_t n = 0;
	int err;

	err = state_names(&names, &n);
	if (err && err != -ENODEV) {
		json_decref(rows);
		state_trouble(&trouble, "", err);
		return cmd_trouble(cmd, &trouble);
	}
	if (!cmd->json && n)
		printf("%-14s %-13s %7s %10s %8s  %s\n", "SERVICE", "POLICY", "WORKERS",
		       "DECISIONS", "FALLBACK", "LISTENERS");
	else if (!cmd->json)
		printf("no services; lbctl scan lists what can be attached\n");
	for (size_t i = 0; i < n; i++)
		add_service(cmd, names[i], &census, rows);
	census_free(&census);
	return cmd->json ? cmd_print_json(rows) : EXIT_DONE;
}

const struct command cmd_list = {
	.name = "list",
	.args = "",
	.summary = "every service in a line (also: ls)",
	.kind = NOUN,
	.run = run,
};
