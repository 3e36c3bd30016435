// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* lbctl set: a service's live settings. Each is one 64-bit store into lb_config. */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/suggest.h"
#include "cmd/cmd.h"
#include "keeper/control_client.h"
#include "service/service.h"
#include "service/track.h"

/* A setting's field in struct lb_config has 64 bits and holds the value times `unit`. */
static const struct setting {
	const char *key;
	size_t offset;
	uint64_t unit, min, max;
	const char *what; /* a value is, for the error */
} settings[] = {
	{ "stale_ms", offsetof(struct lb_config, stale_ns), 1000000, 0, PARSE_MAX_MS,
	  "a number of milliseconds" },
	{ "stall_ms", offsetof(struct lb_config, stall_ns), 1000000, 0, PARSE_MAX_MS,
	  "a number of milliseconds" },
	{ "rescue_ms", offsetof(struct lb_config, rescue_ns), 1000000, 0, PARSE_MAX_MS,
	  "a number of milliseconds" },
	{ "hash_prefix4", offsetof(struct lb_config, hash_prefix4), 1, 1, 32, "a number of bits" },
	{ "hash_prefix6", offsetof(struct lb_config, hash_prefix6), 1, 1, 128, "a number of bits" },
	{ "limit", offsetof(struct lb_config, limit), 1, 0, LB_MAX_LIMIT,
	  "a number of connections" },
	{ "flow_ms", offsetof(struct lb_config, flow_ns), 1000000, 0, PARSE_MAX_MS,
	  "a number of milliseconds" },
};
#define SETTINGS (sizeof(settings) / sizeof(settings[0]))
#define MAX_ASSIGNMENTS 16

/* One KEY=VALUE of the command line. */
struct assignment {
	const struct setting *setting;
	uint64_t value;
};

static const struct setting *find_setting(const struct cmd *cmd, const char *key)
{
	const char *names[SETTINGS], *nearest;

	for (size_t i = 0; i < SETTINGS; i++) {
		names[i] = settings[i].key;
		if (!strcmp(key, names[i]))
			return &settings[i];
	}
	nearest = suggest(key, names, SETTINGS);
	cmd_fail(cmd, EXIT_USAGE, "%.40s: no such setting (did you mean \"%s\"?)", key,
		 nearest ? nearest : names[0]);
	return NULL;
}

static int parse_assignment(const struct cmd *cmd, const char *text, struct assignment *to)
{
	size_t len = strcspn(text, "=");
	char key[64];

	if (!text[len] || len >= sizeof(key))
		return cmd_fail(cmd, EXIT_USAGE, "%.80s: not KEY=VALUE", text);
	memcpy(key, text, len);
	key[len] = '\0';
	to->setting = find_setting(cmd, key);
	if (!to->setting)
		return EXIT_USAGE;
	if (parse_u64(text + len + 1, to->setting->min, to->setting->max, &to->value))
		return cmd_fail(cmd, EXIT_USAGE, "%s: \"%.40s\" is not %s from %lu to %lu", key,
				text + len + 1, to->setting->what, (unsigned long)to->setting->min,
				(unsigned long)to->setting->max);
	return EXIT_DONE;
}

static bool is_limit(const struct assignment *assignment)
{
	return assignment->setting->offset == offsetof(struct lb_config, limit);
}

int cmd_check_limit(const struct cmd *cmd, const struct state *state)
{
	if (!service_counts(state))
		return cmd_fail(cmd, EXIT_FAILED,
				"limit counts connections, and %s is UDP, which has none",
				state->name);
	if (!track_is_on(state))
		return cmd_fail(
			cmd, EXIT_NOT_ABLE,
			"limit needs the kernel to count connections, and for %s it does not; "
			"lbctl attach again, lbctl doctor shows what it takes",
			state->name);
	return EXIT_DONE;
}

/* Checks all before any is changed. */
static int check(const struct cmd *cmd, const struct state *state, struct assignment *all)
{
	for (int i = 0; i < cmd->nr_args; i++) {
		int status = parse_assignment(cmd, cmd->args[i], &all[i]);

		if (!status && is_limit(&all[i]) && all[i].value)
			status = cmd_check_limit(cmd, state);
		if (status)
			return status;
	}
	return EXIT_DONE;
}

static void apply(struct state *state, const struct assignment *one)
{
	uint64_t *field = (uint64_t *)((char *)state->config + one->setting->offset);

	if (is_limit(one))
		service_set_limit(state, one->value);
	else
		__atomic_store_n(field, one->value * one->setting->unit, __ATOMIC_RELEASE);
}

static void tell(const struct cmd *cmd, const struct state *state, const struct assignment *all)
{
	json_t *changes = json_array();

	for (int i = 0; i < cmd->nr_args && !cmd->dry_run; i++)
		control_add_change(changes, "set",
				   text_pack("{s:s, s:I}", "key", all[i].setting->key, "value",
					     (json_int_t)all[i].value),
				   "%s=%lu", all[i].setting->key, (unsigned long)all[i].value);
	control_tell(state->name, changes);
}

static int set_all(const struct cmd *cmd, struct state *state)
{
	struct assignment all[MAX_ASSIGNMENTS];
	int status = check(cmd, state, all);
	json_t *done;

	if (status)
		return status;
	done = json_object();
	for (int i = 0; i < cmd->nr_args; i++) {
		if (!cmd->dry_run)
			apply(state, &all[i]);
		json_object_set_new(done, all[i].setting->key, json_integer(all[i].value));
		if (!cmd->json)
			printf("%s%s: %s=%lu\n", cmd->dry_run ? "would set " : "", state->name,
			       all[i].setting->key, (unsigned long)all[i].value);
	}
	tell(cmd, state, all);
	if (!cmd->json) {
		json_decref(done);
		return EXIT_DONE;
	}
	return cmd_print_json(text_pack("{s:s, s:o, s:b}", "service", state->name, "set", done,
					"dry_run", cmd->dry_run));
}

/* "limit 10" for limit=10: a setting, and a number after it. */
static int check_form(const struct cmd *cmd)
{
	uint64_t number;

	for (int i = 0; i + 1 < cmd->nr_args; i++) {
		for (size_t j = 0; j < SETTINGS; j++) {
			if (!strcmp(cmd->args[i], settings[j].key) &&
			    !parse_u64(cmd->args[i + 1], 0, UINT64_MAX, &number))
				return cmd_fail(cmd, EXIT_USAGE,
						"%s and %s are two words; write them as one: %s=%s",
						cmd->args[i], cmd->args[i + 1], cmd->args[i],
						cmd->args[i + 1]);
		}
	}
	return EXIT_DONE;
}

static int run(struct cmd *cmd)
{
	/* the first argument is a name if it sets nothing */
	int needed = cmd->nr_args - !strchr(cmd->args[0], '=');
	struct state state;
	int status = check_form(cmd);

	if (status)
		return status;
	if (!needed)
		return cmd_fail(cmd, EXIT_USAGE, "nothing to set; usage: lbctl set %s",
				cmd->command->args);
	status = cmd_open_service(cmd, needed, cmd->dry_run ? STATE_READ : STATE_LOCK, &state);
	if (status)
		return status;
	status = set_all(cmd, &state);
	state_close(&state);
	return status;
}

const struct command cmd_set = {
	.name = "set",
	.args = "[NAME] KEY=VALUE...",
	.summary = "change a service's live settings",
	.details =
		"keys:\n"
		"  stale_ms      least-load believes no report that is older, least-latency tries a "
		"slow worker again after it (default 1000)\n"
		"  stall_ms      a worker that does not accept for so long gets nothing (default 100, "
		"0 = off)\n"
		"  rescue_ms     what waits at one that does not for so long is moved, not before "
		"stall_ms (default 250 under run and with --rescue, else 0 = off)\n"
		"  hash_prefix4  bits of a client's IPv4 address that hash goes by (default 32)\n"
		"  hash_prefix6  bits of its IPv6 address (default 128)\n"
		"  limit         most connections of each worker; a worker at it gets a new one only "
		"when all are (default 0: any number; of one worker: set-limit)\n"
		"  flow_ms       UDP: datagrams follow their flow until it was silent for so long "
		"(default 0: each is placed anew)",
	.min_args = 1,
	/* and a name */
	.max_args = MAX_ASSIGNMENTS,
	.kind = VERB,
	.run = run,
};
