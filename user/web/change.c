// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See change.h. */
#include "web/change.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "lb_abi.h"

static const struct {
	const char *command;
	bool of_worker;
	bool has_value;
} verbs[CHANGE_VERBS] = {
	[CHANGE_POLICY] = { "set-policy", false, true },
	[CHANGE_WEIGHT] = { "set-weight", true, true },
	[CHANGE_DRAIN] = { "drain", true, false },
	[CHANGE_RESUME] = { "resume", true, false },
	[CHANGE_RELOAD] = { "reload", false, false },
};

static bool is_worker(uint32_t worker)
{
	return worker == LB_ALL_WORKERS || worker < LB_MAX_WORKERS;
}

static bool is_value(const struct change *change)
{
	uint32_t policy;

	if (change->verb == CHANGE_WEIGHT)
		return change->value >= 1 && change->value <= LB_MAX_WEIGHT;
	return !parse_policy(policy_name(change->value), &policy);
}

static const char *value_text(const struct change *change, struct change_words *words)
{
	if (change->verb == CHANGE_POLICY)
		return policy_name(change->value);
	snprintf(words->value, sizeof(words->value), "%u", change->value);
	return words->value;
}

static const char *worker_text(const struct change *change, struct change_words *words)
{
	if (change->worker == LB_ALL_WORKERS)
		return "all";
	snprintf(words->worker, sizeof(words->worker), "%u", change->worker);
	return words->worker;
}

int change_command(const struct change *change, struct change_words *words)
{
	size_t n = 0;

	*words = (struct change_words){ 0 };
	if (change->verb >= CHANGE_VERBS ||
	    !memchr(change->service, '\0', sizeof(change->service)) ||
	    parse_name(change->service) ||
	    (verbs[change->verb].of_worker && !is_worker(change->worker)) ||
	    (verbs[change->verb].has_value && !is_value(change)))
		return -EINVAL;
	words->argv[n++] = "lbctl";
	words->argv[n++] = verbs[change->verb].command;
	words->argv[n++] = change->service;
	if (verbs[change->verb].of_worker)
		words->argv[n++] = worker_text(change, words);
	if (verbs[change->verb].has_value)
		words->argv[n++] = value_text(change, words);
	return 0;
}

int change_token_differs(const struct change *change, const char *token)
{
	char ours[CHANGE_TOKEN_BYTES] = "";
	volatile unsigned char differs = 0;

	snprintf(ours, sizeof(ours), "%s", token);
	for (size_t i = 0; i < sizeof(ours); i++)
		differs |= ours[i] ^ change->token[i];
	/* without one nobody may */
	return differs || !*ours;
}

int change_read_token(const char *text, char token[CHANGE_TOKEN_BYTES])
{
	size_t len = strcspn(text, "\r\n");

	if (len < CHANGE_TOKEN_LEAST || len >= CHANGE_TOKEN_BYTES ||
	    text[len + strspn(text + len, "\r\n")])
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		if (text[i] <= ' ' || text[i] > '~')
			return -EINVAL;
	}
	memset(token, 0, CHANGE_TOKEN_BYTES);
	memcpy(token, text, len);
	return 0;
}
