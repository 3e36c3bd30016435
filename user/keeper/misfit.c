// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What workers do with sockets that run can't make use of: told once, with what the user can do
 * about it. At the start a run that can't be right ends.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

#include "base/text_json.h"
#include "base/trouble.h"
#include "host/inspect.h"
#include "keeper/advice.h"
#include "keeper/parts.h"

/* --- the first port that was bound, and others --- */

/* Who of the workers listens on a port, and where. */
struct port_use {
	uint32_t workers;
	bool wildcard, others; /* on all addresses; on some that other hosts reach */
};

static bool is_zero(const struct sockdiag_socket *socket)
{
	static const uint8_t zero[16];

	return !memcmp(socket->addr, zero, sizeof(zero));
}

static bool is_loopback(const struct sockdiag_socket *socket)
{
	static const uint8_t one[16] = { [15] = 1 };
	static const uint8_t mapped[13] = { [10] = 0xff, [11] = 0xff, [12] = 127 };

	if (socket->family == AF_INET)
		return socket->addr[0] == 127;
	return !memcmp(socket->addr, one, sizeof(one)) ||
	       !memcmp(socket->addr, mapped, sizeof(mapped));
}

static struct port_use look_at_port(const struct keeper *keeper, uint16_t port)
{
	struct port_use use = { 0 };
	bool seen[LB_MAX_WORKERS] = { false };
	struct sockdiag_list list;

	if (sockdiag_listeners(LB_PROTO_TCP, port, &list))
		return use;
	for (size_t i = 0; i < list.count; i++) {
		const struct runner *runner =
			runner_of_cgroup(&keeper->runners, list.items[i].cgroup_id);

		if (!runner)
			continue;
		use.workers += !seen[runner->worker];
		seen[runner->worker] = true;
		use.wildcard |= is_zero(&list.items[i]);
		use.others |= !is_loopback(&list.items[i]);
	}
	sockdiag_free(&list);
	return use;
}

static bool is_offset_port(const struct keeper *keeper, uint16_t port)
{
	const struct lb_ports *offsets = &keeper->options.rules.offsets[LB_BIND_TCP];

	for (uint32_t i = 0; i < offsets->count; i++) {
		if (port >= offsets->port[i] && port < offsets->port[i] + LB_MAX_WORKERS)
			return true;
	}
	return false;
}

/*
 * Two things are sure signs that the first port was not the one that was meant: several workers
 * listen on another one, which they can share without lbctl; or the first one is for this host
 * alone, as those of debuggers and administration are, and another is for everybody.
 */
static void check_port(struct keeper *keeper, uint16_t first, uint16_t port)
{
	struct port_use used = look_at_port(keeper, port), steered = look_at_port(keeper, first);

	if (used.workers < 2 && (!used.workers || !used.wildcard || steered.others))
		return;
	keeper->port_told = true;
	event_tell(keeper->log, "not-steered",
		   text_pack("{s:i, s:i, s:i}", "port", port, "steered", first, "workers",
			     used.workers),
		   "port %u is steered, the first that a worker bound%s; port %u, on which %u "
		   "worker%s listen%s, is not: --port %u steers that one, --port %u,%u both",
		   first, steered.others ? "" : ", for this host alone", port, used.workers,
		   plural(used.workers), used.workers == 1 ? "s" : "", port, first, port);
}

static void check_ports(struct keeper *keeper)
{
	uint16_t ports[BINDHOOK_MOST_PORTS], first;
	uint32_t count = bindhook_take_ports(keeper->hooks, ports);

	if (keeper->options.rules.shared[LB_BIND_TCP].count || keeper->port_told ||
	    keeper->own.protos != OWN_TCP)
		return;
	first = bindhook_first_port(keeper->hooks);
	for (uint32_t i = 0; i < count && first && !keeper->port_told; i++) {
		if (ports[i] != first && !is_offset_port(keeper, ports[i]))
			check_port(keeper, first, ports[i]);
	}
}

/* --- several sockets on one address --- */

/* One of the processes that the run has begun with, and it begins still. */
static bool is_beginning(struct keeper *keeper, const struct runner *runner)
{
	const struct plan *plan = &keeper->plan;
	const struct process *process =
		plan_process(&keeper->plan, runner->worker, runner->generation);

	return process && !runner->taken_over && !plan->version &&
	       plan->generation <= plan->wanted &&
	       turn_now(keeper->turn) < process->started_us + plan->options.ready_timeout_us;
}

static void check_crowd(struct keeper *keeper, struct runner *runner)
{
	const char *advice = advice_in_cgroup(runner->cgroup_fd, ADVICE_ONE_SOCKET);
	bool ends = is_beginning(keeper, runner);

	runner->crowd_told = true;
	event_tell_process(keeper->log, "trouble", runner->worker, runner->pid, NULL,
			   "has %u sockets on one address, port %u: it spreads connections itself, "
			   "and run steers one socket a worker, so %s%s%s; or lbctl run --forks, "
			   "where each of them is a worker",
			   runner->crowd.sockets, runner->crowd.port,
			   ends ? "this run ends" : "some of them get nothing", advice ? ": " : "",
			   advice ? advice : "");
	if (ends)
		keeper_stop(keeper, EXIT_FAILED);
}

/* Of a process that has been there for long, what lasts: two may overlap for a moment. */
static void check_crowds(struct keeper *keeper, bool tick)
{
	for (uint32_t w = 0; w < keeper->plan.used && !keeper->plan.stop; w++) {
		struct runner *runner = keeper->runners.of[w];

		for (; runner && !keeper->plan.stop; runner = runner->next) {
			if (runner->crowd.sockets && !runner->crowd_told &&
			    (tick || is_beginning(keeper, runner)))
				check_crowd(keeper, runner);
		}
	}
}

/* --- others on a UDP port --- */

static bool is_ours(const struct keeper *keeper, const struct state *state,
		    const struct sockdiag_socket *socket)
{
	struct runner *runner;

	return own_worker_of(&keeper->own, socket, &runner) >= 0 ||
	       pins_slot_of(state, socket->cookie) >= 0;
}

static bool is_same_place(const struct sockdiag_socket *a, const struct sockdiag_socket *b)
{
	return a->family == b->family && a->ifindex == b->ifindex &&
	       !memcmp(a->addr, b->addr, sizeof(a->addr));
}

/* Of one group the program selects. Of a socket that the kernel tells nothing of, no. */
static bool is_beside(const struct inspect_list *list, uint64_t ours, uint64_t other)
{
	const struct lb_listening *a = inspect_find(list, ours), *b = inspect_find(list, other);

	return a && b && a->group && a->group != b->group;
}

static void tell_stranger(struct keeper *keeper, const struct sockdiag_socket *socket)
{
	char address[4 + ADDR_STRLEN] = "udp/";

	addr_format(socket->family, socket->addr, socket->port, address + 4, ADDR_STRLEN);
	keeper->stranger = socket->cookie;
	event_tell(keeper->log, "stranger",
		   text_pack("{s:s, s:I}", "addr", address, "uid", (json_int_t)socket->uid),
		   "a socket of user %u is on %s, too, and takes datagrams from the workers, "
		   "as all of them have SO_REUSEADDR; ss -lunp 'sport = :%u' shows whose it is",
		   socket->uid, address, socket->port);
}

/*
 * Sockets that all have SO_REUSEADDR share a UDP port without being a group: the kernel gives
 * datagrams to one that is no worker's. The last one is told once.
 */
static void check_datagrams(struct keeper *keeper, const struct state *state, uint16_t port)
{
	const struct sockdiag_socket *ours = NULL, *other = NULL;
	struct inspect_list inspected = { 0 };
	struct sockdiag_list list;

	if (sockdiag_listeners(LB_PROTO_UDP, port, &list))
		return;
	for (size_t i = 0; i < list.count && !ours; i++) {
		if (pins_slot_of(state, list.items[i].cookie) >= 0)
			ours = &list.items[i];
	}
	for (size_t i = 0; i < list.count && ours && !other; i++) {
		if (list.items[i].state != TCP_ESTABLISHED && is_same_place(&list.items[i], ours) &&
		    !is_ours(keeper, state, &list.items[i]))
			other = &list.items[i];
	}
	if (other && other->cookie != keeper->stranger) {
		if (!inspect_listeners(port, true, &inspected) &&
		    is_beside(&inspected, ours->cookie, other->cookie))
			tell_stranger(keeper, other);
		inspect_free(&inspected);
	}
	sockdiag_free(&list);
}

static void check_strangers(struct keeper *keeper)
{
	const struct state *state = pins_state(keeper->pins);
	struct own_port ports[OWN_MOST_PORTS];
	uint32_t count = own_ports(&keeper->own, ports);

	for (uint32_t i = 0; i < count && state; i++) {
		if (ports[i].proto == LB_PROTO_UDP)
			check_datagrams(keeper, state, ports[i].port);
	}
}

void misfit_look(struct keeper *keeper, bool tick)
{
	if (keeper->hooks) {
		check_ports(keeper);
		check_crowds(keeper, tick);
	}
	if (tick && keeper->own.protos & OWN_UDP)
		check_strangers(keeper);
}
