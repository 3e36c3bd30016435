/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Finds the lb_load entry of one listening socket: in inherited descriptors or among the pins of
 * services. Nothing that is found is trusted before its type and sizes were checked.
 */
#ifndef LBCTL_LIB_FIND_H
#define LBCTL_LIB_FIND_H

#include <stdbool.h>
#include <stdint.h>

#define LBCTL_NAME_MAX 63

/* A letter, then letters, digits, `-`, `_`; at most LBCTL_NAME_MAX: stays inside the roots. */
bool lbctl_find_is_name(const char *name);

/* Whole string, decimal, at most `most`; -1 for anything else, and if it is not set. */
long lbctl_find_env_number(const char *name, long most);

/*
 * Is it the service that the environment was made for? What stands there belongs to LBCTL_SERVICE,
 * so a caller who names another one looks elsewhere. NULL is.
 */
bool lbctl_find_is_own(const char *service);

/*
 * A descriptor that another process sent: false if it is surely no lb_load map with this slot.
 * Looks into /proc only; where that is closed to us the sender is believed.
 */
bool lbctl_find_may_be_load(int fd, uint32_t slot);

/* What to look for. */
struct lbctl_search {
	const char *service; /* NULL = LBCTL_SERVICE or any */
	uint64_t cookie;     /* of the listening socket */
};

/* What was found: a map of type lb_load and an entry in it. */
struct lbctl_found {
	int load_fd;
	bool inherited; /* load_fd is not ours to close */
	uint32_t slot;
};

/*
 * Return: 0 with found filled in; the caller closes load_fd unless inherited. -ENOENT when nothing
 * steers the socket or it can't be read.
 */
int lbctl_find(const struct lbctl_search *search, struct lbctl_found *found);

#endif
