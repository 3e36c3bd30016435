// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See group.h. Nothing here looks through all groups, or all of one, for each connection. */
#include "host/group.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* Of groups by address, and of what is looked for among them; compared byte by byte. */
struct at {
	uint32_t port;
	uint32_t family;
	uint8_t addr[16];
};

struct by_address {
	struct at at;
	struct reuseport_group *group;
};

static int compare_addresses(const void *left, const void *right)
{
	return memcmp(left, right, sizeof(struct at));
}

static struct by_address *sort_by_address(const struct groups *groups, size_t *count)
{
	struct by_address *sorted = calloc(groups->count + 1, sizeof(*sorted));
	size_t n = 0;

	for (size_t g = 0; sorted && g < groups->count; g++) {
		struct reuseport_group *group = &groups->items[g];

		if (group->proto != IPPROTO_TCP)
			continue;
		sorted[n].at = (struct at){ .port = group->port, .family = group->family };
		memcpy(sorted[n].at.addr, group->addr, sizeof(group->addr));
		sorted[n++].group = group;
	}
	if (n)
		qsort(sorted, n, sizeof(*sorted), compare_addresses);
	*count = n;
	return sorted;
}

/* Where, among n that are sorted by pid, those of this process begin; n = there is none. */
static size_t first_of_process(const struct reuseport_group *group, pid_t pid)
{
	size_t low = 0, high = group->nr_members;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (group->members[mid].pid < pid)
			low = mid + 1;
		else
			high = mid;
	}
	return low < group->nr_members && group->members[low].pid == pid ? low : group->nr_members;
}

/*
 * The member of this process; of several, that with the fewest connections so far. They get theirs
 * in turn, so the first ones have as many as the first, and the others one less.
 */
static struct member *member_of_process(struct reuseport_group *group, pid_t pid)
{
	size_t first = first_of_process(group, pid), low = first + 1, high = group->nr_members;

	if (first == group->nr_members)
		return NULL;
	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (group->members[mid].pid == pid &&
		    group->members[mid].live == group->members[first].live)
			low = mid + 1;
		else
			high = mid;
	}
	return low < group->nr_members && group->members[low].pid == pid ? &group->members[low] :
									   &group->members[first];
}

static struct member *member_at(const struct by_address *sorted, size_t n, const struct at *at,
				pid_t pid)
{
	const struct by_address *one =
		n ? bsearch(at, sorted, n, sizeof(*sorted), compare_addresses) : NULL;
	struct member *member = NULL;

	while (one && one > sorted && !compare_addresses(one - 1, at))
		one--;
	for (; one && !member && one < sorted + n && !compare_addresses(one, at); one++)
		member = member_of_process(one->group, pid);
	return member;
}

/*
 * A connection belongs to the member that its holder polls: exact with one process per member. One
 * that waits in an accept queue has no holder, and nobody's it is.
 */
static void count_connection(struct groups *groups, const struct by_address *sorted, size_t n,
			     const struct sockdiag_socket *connection)
{
	struct at at = { .port = connection->port, .family = connection->family };
	const struct procs_holder *holders;
	struct member *member = NULL;
	size_t nr_holders;

	holders = procs_holders_of(&groups->holders, connection->inode, &nr_holders);
	memcpy(at.addr, connection->addr, sizeof(at.addr));
	if (nr_holders)
		member = member_at(sorted, n, &at, holders[0].pid);
	memset(at.addr, 0, sizeof(at.addr));
	if (nr_holders && !member)
		member = member_at(sorted, n, &at, holders[0].pid);
	if (member)
		member->live++;
	groups->connections[groups->nr_connections++] = (struct group_connection){
		.cookie = connection->cookie,
		.listener = member ? member->socket.cookie : 0,
		.holder = holders,
	};
}

int group_live_count(struct groups *groups, const struct sockdiag_list *connections)
{
	_cleanup_free_ struct by_address *sorted = NULL;
	size_t n;

	if (!connections->count)
		return 0;
	groups->connections = calloc(connections->count, sizeof(*groups->connections));
	sorted = sort_by_address(groups, &n);
	if (!groups->connections || !sorted)
		return -ENOMEM;
	for (size_t i = 0; i < connections->count; i++)
		count_connection(groups, sorted, n, &connections->items[i]);
	return 0;
}
