/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Take the reuseport groups at some addresses over into a service, or bring a service up to date
 * with them.
 */
#ifndef ATTACH_H
#define ATTACH_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/addr.h"
#include "base/trouble.h"
#include "host/group.h"
#include "host/proc_name.h"
#include "service/service.h"
#include "service/settings.h"
#include "service/state.h"

struct attach_request {
	const char *name; /* of the service, or NULL: tcp-PORT */
	uint32_t policy;  /* 0 = the default, or what the service has */
	const struct addr *addrs;
	size_t nr_addrs;
	int netns_fd;			   /* -1 = the caller's */
	pid_t pid;			   /* only sockets of this process; 0 = all */
	uint32_t flows;			   /* room of a UDP listener's flow table; 0 = default */
	uint32_t group;			   /* gid that may report load, or LB_NO_GROUP */
	bool rescue;			   /* let the keeper move what waits at workers that hang */
	bool replace;			   /* take over a group that another program steers */
	bool dry_run;			   /* look and check, change nothing */
	const struct service_owner *owner; /* whose sockets are whose, or NULL */
	/* the service, open and locked by the caller, who keeps it; NULL: it is opened, or made */
	struct state *state;
	const struct settings *settings; /* of a service that is made; NULL: the defaults */
	/* how its server does without a program of its own, NULL: --replace is an option */
	const char *own_program;
	uint64_t cgroup; /* id of one that all the sockets are in, as far as owner knows; 0 = none */
};

#define ATTACH_OTHERS 16

struct attach_result {
	char name[LB_NAME_MAX + 1];
	char server[PROC_NAME_BYTES]; /* name of the process that polls the first socket */
	bool made;		      /* a new service; else it was brought up to date */
	uint32_t policy;
	uint32_t workers; /* that are up */
	uint32_t added;
	uint32_t gone;
	uint32_t waiting; /* sockets without a slot; see struct service_change */
	/* processes that are no workers and hold sockets of the groups; filled by who looked */
	pid_t others[ATTACH_OTHERS];
	uint32_t nr_others;
	/* one socket that several processes share, in words; "" = none; filled by who looked */
	char shared[sizeof(((struct trouble *)0)->text)];
	const char *untracked; /* why connections are not counted, or NULL */
};

/* Returns EXIT_DONE, or the status of *trouble; then nothing has changed but what it says. */
int attach_run(const struct attach_request *request, struct attach_result *result,
	       struct trouble *trouble);

/*
 * The same for groups that the caller found, all of which it wants; those without members are
 * passed over. With none at all an existing service is brought up to date, and none is made. Of the
 * request it reads name (needed), policy, group, replace, owner, state, settings, own_program and
 * cgroup. A process that vanishes meanwhile is no trouble: its sockets have gone with it.
 */
int attach_groups(const struct attach_request *request, struct groups *found,
		  struct attach_result *result, struct trouble *trouble);

#endif
