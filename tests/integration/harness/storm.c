// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See storm.h. */
#include "harness/storm.h"

#include <sys/socket.h>

#include "harness/obey.h"

uint32_t storm_random(void)
{
	static uint64_t seed = 42;

	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return seed >> 33;
}

void storm_step(const struct storm *storm)
{
	uint32_t what = storm_random() % 16;
	size_t which;

	if (!nr_open || (what < 8 && nr_open < STORM_MOST_OPEN)) {
		open_one(storm->ipv6 && storm_random() % 2 ? "::1" : "127.0.0.1");
		return;
	}
	which = storm_random() % nr_open;
	switch (what) {
	case 8:
		shutdown(open_fds[which], SHUT_WR);
		break;
	case 9:
		tell(open_fds[which], HALF_CLOSE);
		break;
	case 10:
		tell(open_fds[which], CLOSE);
		forget(which);
		break;
	case 11:
		tell(open_fds[which], RESET);
		break;
	case 12:
		tell(open_fds[which], CLOSE);
		break;
	case 13:
		reset_one(which);
		break;
	case 14:
		tell(open_fds[which], storm->busy ? BUSY : HOLD);
		break;
	default:
		tell(open_fds[which], HOLD);
		forget(which);
	}
}
