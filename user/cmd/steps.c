// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See steps.h. */
#include "cmd/steps.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "cmd/cmd_set.h"
#include "cmd/kept.h"
#include "service/settings.h"

/*
 * What it takes when an option of run is another one than the living keeper has. An option that is
 * not named here takes a new keeper and new processes.
 */
enum effect { LIVE, KEEPER, RELOAD, END };

static const struct {
	const char *option;
	enum effect effect;
} effects[] = {
	/* of the service itself, which is asked how it is */
	{ "n", LIVE },
	{ "policy", LIVE },
	/* of the keeper alone */
	{ "ready-timeout", KEEPER },
	{ "ready-after", KEEPER },
	{ "stop-signal", KEEPER },
	{ "kill-mode", KEEPER },
	{ "drain-timeout", KEEPER },
	{ "kill-timeout", KEEPER },
	{ "restart-delay", KEEPER },
	{ "max-restarts", KEEPER },
	{ "stop-exit-codes", KEEPER },
	{ "max-memory", KEEPER },
	{ "reload-signal", KEEPER },
	{ "allow-join", KEEPER },
	/* sockets of old and new processes can't be in one group */
	{ "port", END },
	{ "offset-port", END },
	{ "listen", END },
	{ "forks", END },
	{ "user", END },
	/* whose the maps are */
	{ "group", END },
};

const char *step_name(const struct step *step)
{
	static const char *const names[] = {
		[STEP_START] = "start", [STEP_KEEPER] = "keeper", [STEP_RELOAD] = "reload",
		[STEP_STOP] = "stop",	[STEP_SPARE] = "spare",	  [STEP_REFUSED] = "refused",
	};

	return step->kind == STEP_COMMAND ? step->words[0] : names[step->kind];
}

void steps_free(struct steps *steps)
{
	free(steps->at);
}

__attribute__((format(printf, 5, 6))) static struct step *
add(struct steps *steps, enum step_kind kind, const char *service, struct service_entry *entry,
    const char *format, ...)
{
	struct step *more = reallocarray(steps->at, steps->count + 1, sizeof(*more));
	va_list args;

	if (!more)
		return NULL;
	steps->at = more;
	more += steps->count++;
	*more = (struct step){ .kind = kind, .entry = entry };
	snprintf(more->service, sizeof(more->service), "%s", service);
	va_start(args, format);
	text_vformat(more->text, sizeof(more->text), format, args);
	va_end(args);
	return more;
}

/* --- while it runs --- */

static int add_command(struct steps *steps, struct service_entry *entry, const char *command,
		       const char *first, const char *second, const char *was)
{
	struct step *step = add(steps, STEP_COMMAND, entry->name, entry, "%s %s%s%s%s%s%s", command,
				first, second ? " " : "", second ? second : "", was ? " (is " : "",
				was ? was : "", was ? ")" : "");

	if (!step)
		return -ENOMEM;
	step->words[0] = command;
	step->words[1] = first;
	step->words[2] = second;
	return 0;
}

/* Of one worker, what the service has; there may be none of that number. */
static bool worker_has(const struct settings *now, const struct service_setting *setting,
		       char was[16])
{
	uint32_t worker = strtoul(setting->key, NULL, 10), value;

	if (!now || !now->workers[worker].weight)
		return false;
	value = !strcmp(setting->command, "set-weight") ? now->workers[worker].weight :
							  now->workers[worker].limit;
	snprintf(was, 16, "%u", value);
	return value == strtoul(setting->value, NULL, 10);
}

/* `state` is NULL, and `now` with it, where there is no service yet. */
static int add_settings(struct steps *steps, struct service_entry *entry, const struct state *state,
			const struct settings *now)
{
	int err = 0;

	for (size_t i = 0; !err && i < entry->nr_settings; i++) {
		const struct service_setting *one = &entry->settings[i];
		char was[16] = "";

		if (!strcmp(one->command, "set")) {
			if (!state || !cmd_set_holds(&entry->cmd, one->word, state))
				err = add_command(steps, entry, "set", one->word, NULL, NULL);
		} else if (!worker_has(now, one, was)) {
			err = add_command(steps, entry, one->command, one->key, one->value,
					  *was ? was : NULL);
		}
	}
	return err;
}

static int add_live(struct steps *steps, struct service_entry *entry)
{
	uint32_t policy = entry->options.policy;
	struct settings *now = malloc(sizeof(*now));
	struct state state;
	int err = now ? state_open(&state, entry->name, STATE_READ) : -ENOMEM;

	if (err) {
		free(now);
		/* it has no port yet */
		return err == -ENOENT || err == -ENODEV ? add_settings(steps, entry, NULL, NULL) :
							  err;
	}
	settings_read(&state, now);
	if (policy && policy != now->policy)
		err = add_command(steps, entry, "set-policy", policy_name(policy), NULL,
				  policy_name(now->policy));
	if (!err)
		err = add_settings(steps, entry, &state, now);
	state_close(&state);
	free(now);
	return err;
}

static int add_scale(struct steps *steps, struct service_entry *entry,
		     const struct running *running)
{
	struct step *step;

	if (!cmd_value(&entry->cmd, "n") || entry->options.workers == running->workers)
		return 0;
	step = add(steps, STEP_COMMAND, entry->name, entry, "scale %u (are %u)",
		   entry->options.workers, running->workers);
	if (!step)
		return -ENOMEM;
	step->words[0] = "scale";
	snprintf(step->number, sizeof(step->number), "%u", entry->options.workers);
	return 0;
}

/* --- its keeper --- */

static enum effect effect_of(const char *option)
{
	for (size_t i = 0; i < sizeof(effects) / sizeof(effects[0]); i++) {
		if (!strcmp(option, effects[i].option))
			return effects[i].effect;
	}
	return RELOAD;
}

static bool same(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static bool same_words(const char *const *a, const char *const *b)
{
	while (*a && *b && !strcmp(*a, *b))
		a++, b++;
	return !*a && !*b;
}

/* The largest effect of what differs, and the names of what has it. */
struct difference {
	enum effect effect;
	char names[512];
};

static void differs(struct difference *difference, const char *name, enum effect effect)
{
	size_t len = strlen(difference->names);

	if (effect < difference->effect && difference->effect == END)
		return;
	if (effect == END && difference->effect != END)
		len = 0;
	snprintf(difference->names + len, sizeof(difference->names) - len, "%s%s", len ? ", " : "",
		 name);
	if (effect > difference->effect)
		difference->effect = effect;
}

static void compare(const struct kept *kept, const struct running *running,
		    struct difference *difference)
{
	const char *const *has = (const char *const *)running->argv;

	*difference = (struct difference){ LIVE, "" };
	for (size_t i = 0; cmd_run.options[i].name; i++) {
		const char *name = cmd_run.options[i].name;

		if (!strcmp(name, "name") || effect_of(name) == LIVE)
			continue;
		if (!same(kept_value(kept->argv, name), kept_value(has, name)))
			differs(difference, name, effect_of(name));
	}
	if (!same_words(kept_command(kept->argv), kept_command(has)))
		differs(difference, "command", RELOAD);
	if (strcmp(kept->real, running->directory))
		differs(difference, "the directory of the file", RELOAD);
	/* its workers end with it */
	if (difference->effect != LIVE && kept_value(has, "with-controller"))
		differs(difference, "with-controller", END);
}

static int add_difference(struct steps *steps, struct service_entry *entry,
			  const struct running *running, const struct kept *kept)
{
	struct difference difference;
	bool reloads;

	compare(kept, running, &difference);
	if (difference.effect == END) {
		return add(steps, STEP_REFUSED, entry->name, entry,
			   "can't become other than it is while it runs: %s; lbctl stop %s ends it, "
			   "and its connections, and the next apply starts it",
			   difference.names, entry->name) ?
			       0 :
			       -ENOMEM;
	}
	reloads = difference.effect == RELOAD || running->half;
	if (difference.effect != LIVE && !add(steps, STEP_KEEPER, entry->name, entry,
					      "give it another keeper: %s", difference.names))
		return -ENOMEM;
	if (reloads &&
	    !add(steps, STEP_RELOAD, entry->name, entry, "reload%s",
		 difference.effect == RELOAD ? "" : ", as an earlier apply was not ended"))
		return -ENOMEM;
	/* the new keeper has that from its command line */
	return difference.effect == LIVE ? add_scale(steps, entry, running) : 0;
}

/* --- one service --- */

/* Why it is not ours to touch, and which command would make it so; "" = it is. */
static void obstacle(const struct running *running, const char *name, char out[160])
{
	*out = '\0';
	if (running->attached)
		snprintf(out, 160, "was made by lbctl attach; first lbctl detach %s", name);
	else if (running->left && !running->file)
		snprintf(out, 160, "has workers of an lbctl run that is dead; first lbctl stop %s",
			 name);
	else if (running->keeper && !running->file)
		snprintf(out, 160, "has a keeper that apply did not start; first lbctl stop %s",
			 name);
	else if (running->keeper && !running->argv)
		snprintf(out, 160,
			 "has a keeper whose command line can't be read; apply takes root");
}

static int add_start(struct steps *steps, struct service_entry *entry,
		     const struct running *running)
{
	const char *live = running->left ? ", or take up those that live" : "";
	const struct step *step = entry->options.forks ?
					  add(steps, STEP_START, entry->name, entry,
					      "start %s, which makes its workers itself%s",
					      entry->cmd.args[0], live) :
					  add(steps, STEP_START, entry->name, entry,
					      "start %u worker%s of %s%s", entry->options.workers,
					      plural(entry->options.workers), entry->cmd.args[0],
					      live);

	if (!step)
		return -ENOMEM;
	/* what they were started with is not known */
	if (running->left &&
	    !add(steps, STEP_RELOAD, entry->name, entry, "reload, as its keeper was dead"))
		return -ENOMEM;
	return running->left ? add_live(steps, entry) : add_settings(steps, entry, NULL, NULL);
}

static int add_entry(struct steps *steps, struct service_entry *entry, const struct kept *kept)
{
	struct running running;
	char why[160];
	size_t before = steps->count;
	int err = 0;

	running_read(entry->name, &running);
	obstacle(&running, entry->name, why);
	if (*why)
		err = add(steps, STEP_REFUSED, entry->name, entry, "%s", why) ? 0 : -ENOMEM;
	else if (!running.keeper)
		err = add_start(steps, entry, &running);
	else
		err = add_difference(steps, entry, &running, kept);
	if (!err && !*why && running.keeper &&
	    (steps->count == before || steps->at[steps->count - 1].kind != STEP_REFUSED))
		err = add_live(steps, entry);
	/* it is to have as many afterwards as it has now */
	if (running.keeper && running.workers && !cmd_value(&entry->cmd, "n") &&
	    !entry->options.forks)
		services_set_workers(entry, running.workers);
	running_free(&running);
	return err;
}

/* --- all of them --- */

static int add_others(struct services *services, bool prune, struct steps *steps)
{
	_cleanup_free_ char(*names)[LB_NAME_MAX + 1] = NULL;
	int n = running_of_file(services->file, &names);

	for (int i = 0; i < n; i++) {
		if (services_find(services, names[i]))
			continue;
		if (!add(steps, prune ? STEP_STOP : STEP_SPARE, names[i], NULL,
			 prune ? "stop it, as %s does not have it" :
				 "is not in %s any more; --prune stops it",
			 services->shown))
			return -ENOMEM;
	}
	return n < 0 ? n : 0;
}

int steps_find(const struct cmd *cmd, struct services *services, bool prune, struct steps *steps)
{
	int status = EXIT_DONE, err = add_others(services, prune, steps);

	for (size_t i = 0; !status && !err && i < services->nr_entries; i++) {
		struct service_entry *entry = &services->entries[i];
		struct kept *kept = kept_new(&entry->cmd);

		if (!kept)
			err = -ENOMEM;
		if (!err)
			status = kept_find_paths(&entry->cmd, kept);
		if (!err && !status)
			status = kept_set_command_line(&entry->cmd, entry->name, kept);
		if (!err && !status)
			err = add_entry(steps, entry, kept);
		kept_free(kept);
	}
	return err ? cmd_fail(cmd, EXIT_FAILED, "%s", strerror(-err)) : status;
}
