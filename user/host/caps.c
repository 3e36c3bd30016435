// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See caps.h. capget(2) by hand: libcap for one call would be one more dependency. */
#include "host/caps.h"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

bool caps_have(int number)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { { 0 } };

	if (syscall(__NR_capget, &header, data))
		return false;
	return data[number / 32].effective >> number % 32 & 1;
}
