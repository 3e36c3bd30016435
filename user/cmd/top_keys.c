// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See top_keys.h. */
#include "cmd/top_keys.h"

#include <stdio.h>
#include <string.h>

#include "lb_abi.h"

const char *const top_help[] = {
	"up, down, page up, page down     select a service, or a worker",
	"right or enter, left or escape   to the workers of a service, and back",
	"tab                              from one to the other",
	"",
	"d   drain the worker: no new connection, those that it has go on",
	"r   resume it",
	"w   set its weight",
	"p   choose the policy of the service",
	"R   reload the service: a new process for each worker (lbctl run)",
	"h   this help",
	"q   quit",
	"",
	"What changes something asks first. LIVE, QUEUE, RESTARTS and MEMORY are as",
	"in lbctl show --wide; CONN/S, HELD/S, CPU%, P50MS and P99MS (first byte,",
	"with latency=on) are of the time since the last look. SHARE is against the",
	"busiest worker, MINUTE the last 60 looks. MAX/MEAN and FALLBACK are of all",
	"connections so far.",
	NULL,
};

static void say(struct top_keys *keys, const char *text)
{
	snprintf(keys->message, sizeof(keys->message), "%s", text);
}

void top_describe(const struct change *change, char *out, size_t bytes)
{
	switch (change->verb) {
	case CHANGE_DRAIN:
		snprintf(out, bytes, "drain worker %u of %s", change->worker, change->service);
		break;
	case CHANGE_RESUME:
		snprintf(out, bytes, "resume worker %u of %s", change->worker, change->service);
		break;
	case CHANGE_WEIGHT:
		snprintf(out, bytes, "weight %u for worker %u of %s", change->value, change->worker,
			 change->service);
		break;
	case CHANGE_POLICY:
		snprintf(out, bytes, "policy %s for %s", policy_name(change->value),
			 change->service);
		break;
	default:
		snprintf(out, bytes, "reload %s, a new process for each worker", change->service);
	}
}

void top_bottom(const struct top_keys *keys, char *out, size_t bytes)
{
	char what[128];

	top_describe(&keys->change, what, sizeof(what));
	switch (keys->mode) {
	case TOP_ASKS:
		snprintf(out, bytes, "%s? y/n", what);
		break;
	case TOP_CHOOSES_POLICY:
		snprintf(out, bytes, "%s? up and down choose, y sets it, n does not", what);
		break;
	case TOP_TAKES_WEIGHT:
		snprintf(out, bytes, "weight for worker %u of %s, 1 to %d, then enter: %s",
			 keys->change.worker, keys->change.service, LB_MAX_WEIGHT, keys->typed);
		break;
	case TOP_HELPS:
		snprintf(out, bytes, "any key goes back");
		break;
	default:
		snprintf(out, bytes, "%s",
			 *keys->message ? keys->message :
					  "arrows select  d drain  r resume  w weight  p policy  "
					  "R reload  h help  q quit");
	}
}

/* --- keys that ask --- */

static const struct {
	int key;
	enum change_verb verb;
	bool of_worker;
	int mode;
} questions[] = {
	{ 'd', CHANGE_DRAIN, true, TOP_ASKS },
	{ 'r', CHANGE_RESUME, true, TOP_ASKS },
	{ 'w', CHANGE_WEIGHT, true, TOP_TAKES_WEIGHT },
	{ 'p', CHANGE_POLICY, false, TOP_CHOOSES_POLICY },
	{ 'R', CHANGE_RELOAD, false, TOP_ASKS },
};

static void ask(struct top_keys *keys, const struct top *top, int key)
{
	const struct top_service *service = top_selected(top);

	for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++) {
		if (questions[i].key != key)
			continue;
		if (!service) {
			say(keys, "there is no service");
			return;
		}
		if (questions[i].of_worker && !top->in_workers) {
			say(keys, service->view.nr_workers ?
					  "which worker? right goes to the workers" :
					  "it has no worker");
			return;
		}
		keys->change = (struct change){ .verb = questions[i].verb,
						.worker = top->worker,
						.value = service->view.policy };
		strcpy(keys->change.service, service->view.name);
		*keys->typed = '\0';
		keys->mode = questions[i].mode;
	}
}

/* --- keys that answer --- */

static enum top_wish answer(struct top_keys *keys, int key)
{
	enum top_wish wish = key == 'y' || key == 'Y' ? TOP_CHANGE : TOP_NOTHING;

	if (wish || key == 'n' || key == 'N' || key == 'q' || key == TOP_KEY_ESCAPE) {
		keys->mode = TOP_LOOKS;
		if (!wish)
			say(keys, "nothing was changed");
	}
	return wish;
}

static enum top_wish choose_policy(struct top_keys *keys, int key)
{
	const char *const *names;
	size_t n, at = 0;

	if (key != TOP_KEY_UP && key != TOP_KEY_DOWN)
		return answer(keys, key == TOP_KEY_ENTER ? 'y' : key);
	names = policy_names(&n);
	while (at < n && strcmp(names[at], policy_name(keys->change.value)))
		at++;
	at = (at + (key == TOP_KEY_DOWN ? 1 : n - 1)) % n;
	parse_policy(names[at], &keys->change.value);
	return TOP_NOTHING;
}

static enum top_wish take_weight(struct top_keys *keys, int key)
{
	size_t len = strlen(keys->typed);

	if (key >= '0' && key <= '9' && len < sizeof(keys->typed) - 1) {
		keys->typed[len] = key;
		keys->typed[len + 1] = '\0';
	} else if (key == TOP_KEY_ERASE && len) {
		keys->typed[len - 1] = '\0';
	} else if (key == TOP_KEY_ENTER && !parse_weight(keys->typed, &keys->change.value)) {
		keys->mode = TOP_ASKS;
	} else if (key == TOP_KEY_ENTER || key == TOP_KEY_ESCAPE || key == 'n' || key == 'q') {
		keys->mode = TOP_LOOKS;
		say(keys, key == TOP_KEY_ENTER && len ? "not a weight; nothing was changed" :
							"nothing was changed");
	}
	return TOP_NOTHING;
}

/* --- keys that look --- */

static void go_to_workers(struct top_keys *keys, struct top *top, bool there)
{
	const struct top_service *service = top_selected(top);

	if (there && (!service || !service->view.nr_workers))
		say(keys, service ? "it has no worker" : "there is no service");
	else
		top->in_workers = there;
}

static enum top_wish look(struct top_keys *keys, struct top *top, int key, size_t page)
{
	switch (key) {
	case 'q':
		return TOP_QUIT;
	case 'h':
	case '?':
		keys->mode = TOP_HELPS;
		break;
	case TOP_KEY_UP:
	case 'k':
		top_move(top, -1);
		break;
	case TOP_KEY_DOWN:
	case 'j':
		top_move(top, 1);
		break;
	case TOP_KEY_PAGE_UP:
		top_move(top, -(long)page);
		break;
	case TOP_KEY_PAGE_DOWN:
		top_move(top, page);
		break;
	case TOP_KEY_HOME:
		top_move(top, -LB_MAX_WORKERS);
		break;
	case TOP_KEY_END:
		top_move(top, LB_MAX_WORKERS);
		break;
	case TOP_KEY_RIGHT:
	case TOP_KEY_ENTER:
		go_to_workers(keys, top, true);
		break;
	case TOP_KEY_LEFT:
	case TOP_KEY_ESCAPE:
		go_to_workers(keys, top, false);
		break;
	case '\t':
		go_to_workers(keys, top, !top->in_workers);
		break;
	default:
		ask(keys, top, key);
	}
	return TOP_NOTHING;
}

enum top_wish top_press(struct top_keys *keys, struct top *top, int key, size_t page)
{
	*keys->message = '\0';
	switch (keys->mode) {
	case TOP_ASKS:
		return answer(keys, key);
	case TOP_CHOOSES_POLICY:
		return choose_policy(keys, key);
	case TOP_TAKES_WEIGHT:
		return take_weight(keys, key);
	case TOP_HELPS:
		keys->mode = TOP_LOOKS;
		return TOP_NOTHING;
	default:
		return look(keys, top, key, page);
	}
}
