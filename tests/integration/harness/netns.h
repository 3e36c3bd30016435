/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Other network namespaces, named as `ip netns` does. */
#ifndef HARNESS_NETNS_H
#define HARNESS_NETNS_H

/* That of the caller's network namespace. 0, or -1 with errno. */
int loopback_up(void);

/* With its loopback up. */
void netns_add(const char *name);
void netns_delete(const char *name);
/* Moves this process into it; returns a descriptor for netns_leave(), which closes it. */
int netns_join(const char *name);
void netns_leave(int back);

#endif
