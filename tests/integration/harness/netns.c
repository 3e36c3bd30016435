// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See netns.h. */
#include "harness/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness/commands.h"
#include "harness/world.h"

int loopback_up(void)
{
	int err, fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };

	if (fd < 0)
		return -1;
	err = ioctl(fd, SIOCSIFFLAGS, &request);
	close(fd);
	return err;
}

void netns_add(const char *name)
{
	int back;

	command_ok("ip", "netns", "add", name, NULL);
	back = netns_join(name);
	assert_int_equal(loopback_up(), 0);
	netns_leave(back);
}

void netns_delete(const char *name)
{
	command_ok("ip", "netns", "delete", name, NULL);
}

int netns_join(const char *name)
{
	int back = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), there;
	char path[64];

	snprintf(path, sizeof(path), "/run/netns/%s", name);
	there = open(path, O_RDONLY | O_CLOEXEC);
	if (back < 0 || there < 0 || setns(there, CLONE_NEWNET))
		fail_msg("enter %s: %s", path, strerror(errno));
	close(there);
	return back;
}

void netns_leave(int back)
{
	assert_int_equal(setns(back, CLONE_NEWNET), 0);
	close(back);
}
