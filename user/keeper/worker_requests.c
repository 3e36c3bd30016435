// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See worker_requests.h. */
#include "keeper/worker_requests.h"

#include <limits.h>
#include <time.h>

#include "keeper/join_request.h"
#include "lib/report.h"
#include "service/join.h"
#include "service/steer.h"

#define JOIN_COSTS 9 /* messages more, as it takes a child */

/* --- joining --- */

/* Returns a sentence why that can't be asked for, or NULL. */
static const char *read_join(const json_t *request, int passed, struct join_ask *ask)
{
	const json_t *by_number = json_object_get(request, "join");
	const json_t *which = json_object_get(by_number ? by_number : request, "worker");
	const json_t *number = json_object_get(by_number, "fd");
	json_int_t fd = json_is_integer(number) ? json_integer_value(number) : -1;
	json_int_t worker = json_is_integer(which) ? json_integer_value(which) : -1;

	if (which && (worker < 0 || worker >= LB_MAX_WORKERS))
		return "a worker is a number from 0 to 1023";
	if (by_number && passed >= 0)
		return "say the number of a descriptor or send it along, not both";
	if (by_number && (fd < 0 || fd > INT_MAX))
		return "fd is the number of the listening socket in the process that asks";
	if (!by_number && passed < 0)
		return "no socket came with the request; send one (SCM_RIGHTS), or say its number: "
		       "{\"join\":{\"fd\":3}}";
	*ask = (struct join_ask){
		.fd = passed,
		.number = by_number ? (int)fd : -1,
		.worker = which ? (uint32_t)worker : JOIN_ANY_WORKER,
	};
	return NULL;
}

void worker_request_join(void *arg, struct client *client, const json_t *request, int *passed)
{
	struct keeper *keeper = arg;
	struct join_ask ask;
	const char *why = read_join(request, *passed, &ask);

	control_spend(client, JOIN_COSTS);
	if (why)
		control_reply(client, EXIT_USAGE, why);
	else if (ask.number >= 0 && control_client_connection(client) < 0)
		control_reply(
			client, EXIT_NOT_ABLE,
			"another process than the one that connected has sent something here; "
			"each process connects itself");
	else if (keeper->plan.stop)
		control_reply(client, EXIT_FAILED, "the service is being stopped");
	else
		join_request(keeper, client, &ask);
}

/* --- reports --- */

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

/* Where the client's reports go, or NULL; then it was told why. */
static struct lb_load *find_entry(struct keeper *keeper, struct client *client)
{
	const uint64_t cookie = control_client_joined(client);
	const struct state *state = cookie ? pins_state(keeper->pins) : NULL;
	struct lb_place at;

	/* each time, as its slot is another's once its socket is closed */
	if (state && !state_place(state, cookie, &at) &&
	    steer_registered_cookie(state, at.listener, at.slot) == cookie)
		return state_load(state, at.slot);
	control_reply(client, EXIT_NOT_FOUND,
		      cookie ? "the socket that joined is in the service no more; join again" :
			       "join first: this connection reports for the socket that it has "
			       "joined with");
	return NULL;
}

void worker_request_load(void *arg, struct client *client, const json_t *request, int *passed)
{
	const json_t *load = json_object_get(request, "load");
	struct lbctl_counts counts = { .reported = true };
	struct lb_load *entry;

	(void)passed;
	if (!json_is_integer(load) || json_integer_value(load) < 0) {
		control_reply(client, EXIT_USAGE, "a load is a whole number from 0");
		return;
	}
	entry = find_entry(arg, client);
	counts.base = json_integer_value(load);
	if (entry)
		lbctl_report_store(entry, &counts, now_ns());
}

void worker_request_heartbeat(void *arg, struct client *client, const json_t *request, int *passed)
{
	struct lb_load *entry;
	struct lbctl_counts counts;

	(void)passed;
	if (!json_is_true(json_object_get(request, "heartbeat"))) {
		control_reply(client, EXIT_USAGE, "a heartbeat is true");
		return;
	}
	entry = find_entry(arg, client);
	if (!entry)
		return;
	/* the last report holds, whoever made it */
	counts = (struct lbctl_counts){
		.base = entry->load,
		.reported = entry->reported_ns,
	};
	lbctl_report_heartbeat(entry, &counts, now_ns());
}
