// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See foreign.h. */
#include "keeper/foreign.h"

#include <stdio.h>

#include "base/text_json.h"
#include "host/group.h"
#include "host/inspect.h"

/* The count says how often it was meanwhile. */
static bool is_worth_telling(uint64_t times)
{
	while (times && !(times % 10))
		times /= 10;
	return times == 1;
}

static void look_at(struct foreign *foreign, const struct state *state, uint32_t listener)
{
	const struct lb_listener *at = &state->config->listeners[listener];
	struct inspect_list list = { 0 };
	int err = inspect_listeners(at->port, at->proto == LB_PROTO_UDP, &list);

	for (uint32_t slot = 0; !err && slot < state_used_slots(state) && !foreign->now; slot++) {
		const struct lb_listening *one =
			inspect_find(&list, state_queue(state, listener, slot)->cookie);

		foreign->now = one && one->prog_id != at->prog_id;
		foreign->id = foreign->now ? one->prog_id : 0;
	}
	inspect_free(&list);
}

bool foreign_look(struct foreign *foreign, const struct state *state)
{
	foreign->now = false;
	foreign->id = 0;
	for (uint32_t i = 0; i < state->nr_listeners && !foreign->now; i++)
		look_at(foreign, state, i);
	return foreign->now;
}

/* Nobody else writes the counter, so it takes no lock. */
void foreign_count(struct foreign *foreign, const struct state *state)
{
	if (LB_HAS(state->arrays[MAP_CONFIG].value_bytes, struct lb_config, taken_off))
		__atomic_fetch_add(&state->config->taken_off, 1, __ATOMIC_RELAXED);
	if (foreign->id != foreign->counted_id)
		foreign->times = 0;
	foreign->counted_id = foreign->id;
	foreign->to_tell |= is_worth_telling(++foreign->times);
}

/* --- who it may have been --- */

static bool is_known(const struct attach_result *result, pid_t pid)
{
	for (uint32_t i = 0; i < result->nr_others; i++) {
		if (result->others[i] == pid)
			return true;
	}
	return false;
}

void foreign_find_others(const struct own_port *ports, uint32_t count,
			 bool (*is_worker)(const void *arg, pid_t pid), const void *arg,
			 struct attach_result *result)
{
	for (uint32_t i = 0; i < count; i++) {
		bool udp = ports[i].proto == LB_PROTO_UDP;
		struct groups groups;

		if (groups_find(-1, ports[i].port, 0, udp ? GROUP_UDP : 0, &groups))
			continue;
		for (size_t h = 0; h < groups.holders.count; h++) {
			pid_t pid = groups.holders.items[h].pid;

			if (result->nr_others < ATTACH_OTHERS && !is_known(result, pid) &&
			    !procs_runs_our_program(pid) && !is_worker(arg, pid))
				result->others[result->nr_others++] = pid;
		}
		groups_free(&groups);
	}
}

/* --- what is told --- */

static json_t *pids_json(const struct attach_result *result)
{
	json_t *pids = json_array();

	for (uint32_t i = 0; i < result->nr_others; i++)
		json_array_append_new(pids, json_integer(result->others[i]));
	return pids;
}

static void print_others(const struct attach_result *result, char *out, size_t bytes)
{
	size_t len = 0;

	*out = '\0';
	for (uint32_t i = 0; i < result->nr_others && len < bytes; i++)
		len += snprintf(out + len, bytes - len, "%s%d", i ? ", " : "", result->others[i]);
}

void foreign_tell(struct foreign *foreign, struct event_log *log, const char *advice,
		  const struct attach_result *result)
{
	char others[16 * ATTACH_OTHERS];

	if (!foreign->to_tell)
		return;
	foreign->to_tell = false;
	print_others(result, others, sizeof(others));
	event_tell(log, "replaced",
		   text_pack("{s:b, s:I, s:o}", "classic",
			     foreign->counted_id == LB_CLASSIC_PROGRAM, "times",
			     (json_int_t)foreign->times, "pids", pids_json(result)),
		   "a worker, or another process of its user, has %s the sockets%s; lbctl's is put "
		   "back%s%s%s%s",
		   foreign->counted_id ? "put another BPF program on" : "taken the BPF program off",
		   foreign->times > 1 ? " again and again" : "",
		   *others ? "; who is no worker and holds some: pid " : "", others,
		   advice ? ": " : "", advice ? advice : "");
}
