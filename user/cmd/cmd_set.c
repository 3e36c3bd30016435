// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* lbctl set: a service's live settings. Most are one 64-bit store into lb_config. */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/suggest.h"
#include "cmd/cmd.h"
#include "cmd/cmd_set.h"
#include "cmd/help_text.h"
#include "keeper/control_client.h"
#include "service/latency.h"
#include "service/service.h"
#include "service/track.h"

#define MAX_HOLD_MS 60000      /* clients give up by then */
#define MAX_LATENCY_PARTS 1000 /* one connection in so many is measured */

static int check_limit(const struct cmd *cmd, const struct state *state, uint64_t limit);
static int set_limit(const struct cmd *cmd, struct state *state, uint64_t limit);
static int check_flow(const struct cmd *cmd, const struct state *state, uint64_t flow_ms);
static int check_hold(const struct cmd *cmd, const struct state *state, uint64_t hold_ms);
static int check_latency(const struct cmd *cmd, const struct state *state, uint64_t one_in);
static int set_latency(const struct cmd *cmd, struct state *state, uint64_t one_in);

#define FIELD(name) .offset = offsetof(struct lb_config, name)
#define MILLISECONDS(most) .unit = 1000000, .max = (most), .what = "a number of milliseconds"

static const struct setting {
	const char *key;
	size_t offset;		 /* of its field in struct lb_config, which has 64 bits */
	uint64_t unit, min, max; /* the field holds the value times `unit` */
	const char *what;	 /* a value is, for the error */
	const char *word;	 /* that is a value, too: UINT64_MAX; NULL = none is */
	const char *on, *off;	 /* the only values, 1 and 0, and 1/N up to `max`, which is N */
	/* Return the exit status, and say why it can't be set; NULL: it can, as the field is. */
	int (*check)(const struct cmd *cmd, const struct state *state, uint64_t value);
	int (*set)(const struct cmd *cmd, struct state *state, uint64_t value);
} settings[] = {
	{ "stale_ms", FIELD(stale_ns), MILLISECONDS(PARSE_MAX_MS) },
	{ "stall_ms", FIELD(stall_ns), MILLISECONDS(PARSE_MAX_MS) },
	{ "rescue_ms", FIELD(rescue_ns), MILLISECONDS(PARSE_MAX_MS) },
	{ "hash_prefix4", FIELD(hash_prefix4), 1, 1, 32, .what = "a number of bits" },
	{ "hash_prefix6", FIELD(hash_prefix6), 1, 1, 128, .what = "a number of bits" },
	{ "limit", FIELD(limit), 1, 0, LB_MAX_LIMIT, .what = "a number of connections",
	  .check = check_limit, .set = set_limit },
	{ "flow_ms", FIELD(flow_ns), MILLISECONDS(PARSE_MAX_MS), .check = check_flow },
	{ "hold_ms", FIELD(hold_ns), .unit = 1000000, .max = MAX_HOLD_MS,
	  .what = "auto, or a number of milliseconds", .word = "auto", .check = check_hold },
	{ "latency", FIELD(latency), 1, .max = MAX_LATENCY_PARTS, .on = "on", .off = "off",
	  .check = check_latency, .set = set_latency },
};
_Static_assert(LB_HOLD_AUTO == UINT64_MAX, "auto");
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
	/* hold, for hold_ms */
	for (size_t i = 0; i < SETTINGS && !nearest; i++) {
		if (!strncmp(key, names[i], strlen(key)) && names[i][strlen(key)] == '_')
			nearest = names[i];
	}
	if (nearest)
		cmd_fail(cmd, EXIT_USAGE,
			 "%.40s: no such setting (did you mean \"%s\"? lbctl help set lists them)",
			 key, nearest);
	else
		cmd_fail(cmd, EXIT_USAGE, "%.40s: no such setting; lbctl help set lists them", key);
	return NULL;
}

/* on, off, 1/N */
static int parse_switch(const struct cmd *cmd, const char *text, struct assignment *to)
{
	const struct setting *setting = to->setting;

	to->value = !strcmp(text, setting->on);
	if (to->value || !strcmp(text, setting->off) ||
	    (!strncmp(text, "1/", 2) && !parse_u64(text + 2, 1, setting->max, &to->value)))
		return EXIT_DONE;
	return cmd_fail(cmd, EXIT_USAGE, "%s: \"%.40s\" is neither %s nor %s, nor 1/N up to 1/%lu",
			setting->key, text, setting->on, setting->off, (unsigned long)setting->max);
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
	text += len + 1;
	if (to->setting->word && !strcmp(text, to->setting->word)) {
		to->value = UINT64_MAX;
		return EXIT_DONE;
	}
	if (to->setting->on)
		return parse_switch(cmd, text, to);
	if (parse_u64(text, to->setting->min, to->setting->max, &to->value))
		return cmd_fail(cmd, EXIT_USAGE, "%s: \"%.40s\" is not %s from %lu to %lu", key,
				text, to->setting->what, (unsigned long)to->setting->min,
				(unsigned long)to->setting->max);
	return EXIT_DONE;
}

int cmd_set_check(const struct cmd *cmd, const char *text)
{
	struct assignment ignored;

	return parse_assignment(cmd, text, &ignored);
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

static int check_limit(const struct cmd *cmd, const struct state *state, uint64_t limit)
{
	return limit ? cmd_check_limit(cmd, state) : EXIT_DONE;
}

static int set_limit(const struct cmd *cmd, struct state *state, uint64_t limit)
{
	(void)cmd;
	service_set_limit(state, limit);
	return EXIT_DONE;
}

static int check_flow(const struct cmd *cmd, const struct state *state, uint64_t flow_ms)
{
	if (!flow_ms || service_has_datagrams(state))
		return EXIT_DONE;
	return cmd_fail(cmd, EXIT_FAILED,
			"flow_ms has the datagrams of a flow follow its first one, and %s is TCP, "
			"which has none",
			state->name);
}

static int check_hold(const struct cmd *cmd, const struct state *state, uint64_t hold_ms)
{
	if (!hold_ms || hold_ms == LB_HOLD_AUTO || service_counts(state))
		return EXIT_DONE;
	return cmd_fail(cmd, EXIT_FAILED,
			"hold_ms has connections wait for an idle worker, and %s is UDP, which has "
			"none",
			state->name);
}

static int check_latency(const struct cmd *cmd, const struct state *state, uint64_t one_in)
{
	const char *obstacle = one_in ? latency_obstacle(state) : NULL;

	if (obstacle)
		return cmd_fail(cmd, EXIT_NOT_ABLE, "latency of %s can't be measured: %s",
				state->name, obstacle);
	return EXIT_DONE;
}

static int set_latency(const struct cmd *cmd, struct state *state, uint64_t one_in)
{
	int err = 0;

	if (one_in)
		err = latency_start(state, one_in);
	else
		latency_stop(state);
	if (err)
		return cmd_fail(cmd, err == -ENOMEM ? EXIT_FAILED : EXIT_NOT_ABLE,
				"latency of %s can't be measured: %s", state->name,
				latency_error(err));
	return EXIT_DONE;
}

/* Checks all before any is changed. */
static int check(const struct cmd *cmd, const struct state *state, struct assignment *all)
{
	for (int i = 0; i < cmd->nr_args; i++) {
		int status = parse_assignment(cmd, cmd->args[i], &all[i]);

		if (!status && all[i].setting->check)
			status = all[i].setting->check(cmd, state, all[i].value);
		if (status)
			return status;
	}
	return EXIT_DONE;
}

static bool is_word(const struct assignment *one)
{
	return one->setting->word && one->value == UINT64_MAX;
}

/* As the field of lb_config has it. */
static uint64_t value_of(const struct assignment *one)
{
	return is_word(one) ? one->value : one->value * one->setting->unit;
}

bool cmd_set_holds(const struct cmd *cmd, const char *text, const struct state *state)
{
	struct assignment one;

	return !parse_assignment(cmd, text, &one) &&
	       *(const uint64_t *)((const char *)state->config + one.setting->offset) ==
		       value_of(&one);
}

static int apply(const struct cmd *cmd, struct state *state, const struct assignment *one)
{
	uint64_t *field = (uint64_t *)((char *)state->config + one->setting->offset);

	if (one->setting->set)
		return one->setting->set(cmd, state, one->value);
	__atomic_store_n(field, value_of(one), __ATOMIC_RELEASE);
	return EXIT_DONE;
}

/* May be written to `out`. */
static const char *value_text(const struct assignment *one, char out[32])
{
	const struct setting *setting = one->setting;

	if (is_word(one))
		return setting->word;
	if (setting->on && one->value <= 1)
		return one->value ? setting->on : setting->off;
	snprintf(out, 32, "%s%lu", setting->on ? "1/" : "", (unsigned long)one->value);
	return out;
}

static json_t *value_json(const struct assignment *one)
{
	char text[32];

	if (!is_word(one) && !one->setting->on)
		return json_integer(one->value);
	return text_json(value_text(one, text));
}

/* The keeper, of the first n. */
static void tell(const struct state *state, const struct assignment *all, int n)
{
	json_t *changes = json_array();
	char value[32];

	for (int i = 0; i < n; i++)
		control_add_change(changes, "set",
				   text_pack("{s:s, s:o}", "key", all[i].setting->key, "value",
					     value_json(&all[i])),
				   "%s=%s", all[i].setting->key, value_text(&all[i], value));
	control_tell(state->name, changes);
}

/* What was set is appended to `done`, of --json. */
static int set_all(const struct cmd *cmd, struct state *state, json_t *done)
{
	struct assignment all[MAX_ASSIGNMENTS];
	int status = check(cmd, state, all), n;
	json_t *values;
	char value[32];

	if (status)
		return status;
	values = json_object();
	for (n = 0; n < cmd->nr_args && !status; n++) {
		if (!cmd->dry_run)
			status = apply(cmd, state, &all[n]);
		if (status)
			break;
		json_object_set_new(values, all[n].setting->key, value_json(&all[n]));
		if (!cmd->json)
			printf("%s%s: %s=%s\n", cmd->dry_run ? "would set " : "", state->name,
			       all[n].setting->key, value_text(&all[n], value));
	}
	tell(state, all, cmd->dry_run ? 0 : n);
	json_array_append_new(done, text_pack("{s:s, s:o, s:b}", "service", state->name, "set",
					      values, "dry_run", cmd->dry_run));
	return status;
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

static enum state_mode mode_of(const struct cmd *cmd)
{
	return cmd->dry_run ? STATE_READ : STATE_LOCK;
}

/* Of those that can't be set the first error stands; one that has gone meanwhile is none. */
static int set_every_service(const struct cmd *cmd, json_t *done)
{
	_cleanup_free_ char(*names)[LB_NAME_MAX + 1] = NULL;
	struct trouble trouble;
	int status = EXIT_DONE, one;
	struct state state;
	size_t n = 0;
	int err = state_names(&names, &n);

	for (size_t i = 0; !err && i < n; i++) {
		int opened = state_open(&state, names[i], mode_of(cmd));

		if (opened == -ENOENT)
			continue;
		if (opened) {
			state_trouble(&trouble, names[i], opened);
			one = cmd_trouble(cmd, &trouble);
		} else {
			one = set_all(cmd, &state, done);
			state_close(&state);
		}
		status = status ? status : one;
	}
	if (!err || err == -ENODEV)
		return status;
	state_trouble(&trouble, "", err);
	return cmd_trouble(cmd, &trouble);
}

static int set_one_service(struct cmd *cmd, json_t *done)
{
	/* the first argument is a name if it sets nothing */
	int needed = cmd->nr_args - !strchr(cmd->args[0], '=');
	char usage[HELP_USAGE_BYTES];
	struct state state;
	int status;

	if (!needed)
		return cmd_fail(cmd, EXIT_USAGE, "nothing to set; usage: lbctl set %s",
				help_usage(cmd->command, usage));
	status = cmd_open_service(cmd, needed, mode_of(cmd), &state);
	if (status)
		return status;
	status = set_all(cmd, &state, done);
	state_close(&state);
	return status;
}

static int run(struct cmd *cmd)
{
	bool every = cmd_value(cmd, "all");
	json_t *done = json_array();
	int status = check_form(cmd);

	if (!status && every && !strchr(cmd->args[0], '='))
		status = cmd_fail(cmd, EXIT_USAGE, "give a name or --all, not both");
	if (!status)
		status = every ? set_every_service(cmd, done) : set_one_service(cmd, done);
	if (!status && cmd->json)
		status = cmd_print_json(every ? json_incref(done) :
						json_incref(json_array_get(done, 0)));
	json_decref(done);
	return status;
}

static const struct cmd_option options[] = {
	{ "all", NULL, "every service" },
	{ NULL, NULL, NULL },
};

const struct command cmd_set = {
	.name = "set",
	.args = "[NAME|--all] KEY=VALUE...",
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
		"(default 0: each is placed anew)\n"
		"  hold_ms       with a least-* policy, under run or watch: a connection that finds "
		"no idle worker waits for one, at most so long (default auto: where that pays, at "
		"most 1000; 0 = off)\n"
		"  latency       on: measure in the kernel what connections wait and requests take at "
		"each worker, 1/N: of one connection in N; show and stats --prometheus have it "
		"(default off)",
	.min_args = 1,
	/* and a name */
	.max_args = MAX_ASSIGNMENTS,
	.kind = VERB,
	.options = options,
	.run = run,
};
