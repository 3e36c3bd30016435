// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See show.h. */
#include "harness/show.h"

#include <stdio.h>
#include <string.h>

#include "harness/commands.h"
#include "harness/world.h"

static void read_show_worker(json_t *json, struct show_worker *worker)
{
	const char *state;
	json_int_t selected, skipped, in, out;
	json_error_t error;
	int number;

	if (json_unpack_ex(json, &error, 0,
			   "{s:i, s:i, s:s, s:i, s:i, s:i, s:i, s:i, s:I, s:I, s:I, s:I}", "worker",
			   &number, "pid", &worker->pid, "state", &state, "weight", &worker->weight,
			   "limit", &worker->limit, "live", &worker->live, "half_open",
			   &worker->half_open, "queued", &worker->queued, "selected", &selected,
			   "skipped", &skipped, "migrated_in", &in, "migrated_out", &out))
		fail_msg("show --json, a worker: %s", error.text);
	snprintf(worker->state, sizeof(worker->state), "%s", state);
	worker->selected = selected;
	worker->skipped = skipped;
	worker->migrated_in = in;
	worker->migrated_out = out;
}

/* Takes over the object. */
static void read_show(const char *service, json_t *json, struct show *show)
{
	json_t *workers, *listeners, *worker;
	json_int_t decisions, fallback, migrated;
	const char *policy, *name;
	json_error_t error;
	size_t i;

	memset(show, 0, sizeof(*show));
	if (json_unpack_ex(json, &error, 0, "{s:s, s:s, s:o, s:o, s:{s:I, s:I, s:I}, s:i}",
			   "service", &name, "policy", &policy, "listeners", &listeners, "workers",
			   &workers, "totals", "decisions", &decisions, "fallback", &fallback,
			   "migrated", &migrated, "unregistered", &show->unregistered))
		fail_msg("show %s --json: %s", service, error.text);
	assert_string_equal(name, service);
	snprintf(show->policy, sizeof(show->policy), "%s", policy);
	show->nr_listeners = json_array_size(listeners);
	show->nr_workers = json_array_size(workers);
	assert_true(show->nr_workers <= LB_MAX_WORKERS);
	json_array_foreach(workers, i, worker)
		read_show_worker(worker, &show->worker[i]);
	show->decisions = decisions;
	show->fallback = fallback;
	show->migrated = migrated;
	json_decref(json);
}

void show_read(const char *service, struct show *show)
{
	read_show(service, lbctl_json("show", service, "--json", NULL), show);
}

bool show_try(const char *service, struct show *show)
{
	_cleanup_output_ struct output output;

	lbctl_run(&output, "show", service, "--json", NULL);
	if (output.status)
		return false;
	read_show(service, json_loads(output.out, 0, NULL), show);
	return true;
}
