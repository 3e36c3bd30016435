// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See caps.h. capget(2) by hand: libcap for two calls would be one more dependency. */
#include "host/caps.h"

#include <errno.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

struct capabilities {
	struct __user_cap_header_struct header;
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
};

/* Returns 0, or -errno. */
static int read_capabilities(struct capabilities *capabilities)
{
	*capabilities = (struct capabilities){
		.header.version = _LINUX_CAPABILITY_VERSION_3,
	};
	return syscall(__NR_capget, &capabilities->header, capabilities->data) ? -errno : 0;
}

bool caps_have(int capability)
{
	struct capabilities ours;

	return !read_capabilities(&ours) &&
	       (ours.data[capability / 32].effective >> capability % 32 & 1);
}

void caps_limit_to_keeper(void)
{
#define X(capability, use) | 1ULL << (capability)
	const uint64_t needed = 0 LB_CAPABILITIES(X) LB_KEEPER_CAPABILITIES(X);
#undef X
	struct capabilities ours;

	if (geteuid() || read_capabilities(&ours))
		return;
	for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
		ours.data[i].permitted &= needed >> 32 * i;
		ours.data[i].effective &= needed >> 32 * i;
	}
	syscall(__NR_capset, &ours.header, ours.data);
}

int caps_drop_all(void)
{
	struct capabilities none;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	none = (struct capabilities){ .header.version = _LINUX_CAPABILITY_VERSION_3 };
	return syscall(__NR_capset, &none.header, none.data) ? -errno : 0;
}
