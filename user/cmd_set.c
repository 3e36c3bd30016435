// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* lbctl set: a service's live settings. Each is one 64-bit store into lb_config. */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "suggest.h"

static const struct {
	const char *key;
	size_t offset; /* of a time in nanoseconds in struct lb_config */
} settings[] = {
	{ "stale_ms", offsetof(struct lb_config, stale_ns) },
};
#define SETTINGS (sizeof(settings) / sizeof(settings[0]))

static int find_setting(const struct cmd *cmd, const char *key)
{
	const char *names[SETTINGS], *nearest;

	for (size_t i = 0; i < SETTINGS; i++) {
		names[i] = settings[i].key;
		if (!strcmp(key, names[i]))
			return i;
	}
	nearest = suggest(key, names, SETTINGS);
	cmd_fail(cmd, EXIT_USAGE, "%.40s: no such setting (did you mean \"%s\"?)", key,
		 nearest ? nearest : names[0]);
	return -1;
}

/* Splits KEY=VALUE; checks all before any is changed. */
static int parse_setting(const struct cmd *cmd, const char *text, int *which, uint64_t *ms)
{
	size_t len = strcspn(text, "=");
	char key[64];

	if (!text[len] || len >= sizeof(key))
		return cmd_fail(cmd, EXIT_USAGE, "%.80s: not KEY=VALUE", text);
	memcpy(key, text, len);
	key[len] = '\0';
	*which = find_setting(cmd, key);
	if (*which < 0)
		return EXIT_USAGE;
	if (parse_ms(text + len + 1, ms))
		return cmd_fail(cmd, EXIT_USAGE,
				"%s: \"%.40s\" is not a number of milliseconds "
				"from 0 to %d",
				key, text + len + 1, PARSE_MAX_MS);
	return EXIT_DONE;
}

static int apply(const struct cmd *cmd, struct state *state)
{
	json_t *done = json_object();
	uint64_t ms[SETTINGS * 4];
	int which[SETTINGS * 4], status;

	for (int i = 0; i < cmd->nr_args; i++) {
		status = parse_setting(cmd, cmd->args[i], &which[i], &ms[i]);
		if (status) {
			json_decref(done);
			return status;
		}
	}
	for (int i = 0; i < cmd->nr_args; i++) {
		uint64_t *field = (uint64_t *)((char *)state->config + settings[which[i]].offset);

		if (!cmd->dry_run)
			__atomic_store_n(field, ms[i] * 1000000, __ATOMIC_RELEASE);
		json_object_set_new(done, settings[which[i]].key, json_integer(ms[i]));
		if (!cmd->json)
			printf("%s%s: %s=%lu\n", cmd->dry_run ? "would set " : "", state->name,
			       settings[which[i]].key, (unsigned long)ms[i]);
	}
	if (!cmd->json) {
		json_decref(done);
		return EXIT_DONE;
	}
	return cmd_print_json(json_pack("{s:s, s:o, s:b}", "service", state->name, "set", done,
					"dry_run", cmd->dry_run));
}

static int run(struct cmd *cmd)
{
	/* the first argument is a name if it sets nothing */
	int needed = cmd->nr_args - !strchr(cmd->args[0], '=');
	struct state state;
	int status;

	if (!needed)
		return cmd_fail(cmd, EXIT_USAGE, "nothing to set; usage: lbctl set %s",
				cmd->command->args);
	status = cmd_open_service(cmd, needed, cmd->dry_run ? STATE_READ : STATE_LOCK, &state);
	if (status)
		return status;
	status = apply(cmd, &state);
	state_close(&state);
	return status;
}

const struct command cmd_set = {
	.name = "set",
	.args = "[NAME] KEY=VALUE...",
	.summary = "change a service's live settings",
	.details =
		"keys:\n  stale_ms   least-load does not believe a report that is older (default "
		"1000)",
	.min_args = 1,
	.max_args = SETTINGS * 4,
	.kind = VERB,
	.run = run,
};
