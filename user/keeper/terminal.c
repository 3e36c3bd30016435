// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The terminal that lbctl run was started from, and what becomes of workers when it goes. */
#include <fcntl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "keeper/keeper.h"

#define OUTPUTS (1 << STDOUT_FILENO | 1 << STDERR_FILENO)

void keeper_note_terminal(struct keeper *keeper)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		keeper->terminal |= isatty(fd) << fd;
}

/* Descriptors of a terminal that was hung up are none of a terminal any more. */
static uint8_t take_lost(struct keeper *keeper)
{
	_cleanup_close_ int null = -1;
	uint8_t lost = 0;

	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (keeper->terminal & 1 << fd && !isatty(fd))
			lost |= 1 << fd;
	}
	null = lost ? open("/dev/null", O_RDWR | O_CLOEXEC) : -1;
	for (int fd = STDIN_FILENO; null >= 0 && fd <= STDERR_FILENO; fd++) {
		if (lost & 1 << fd)
			dup2(null, fd);
	}
	keeper->terminal &= ~lost;
	return lost;
}

/*
 * A write to it is an error (EIO) from now on, for which Node.js ends and Python fails the request
 * that it prints a line about. So who has it gets a successor that has /dev/null.
 */
bool keeper_check_terminal(struct keeper *keeper)
{
	uint8_t lost = keeper->terminal ? take_lost(keeper) : 0;
	bool renew = lost & OUTPUTS && keeper->options.argv && !keeper->options.log_dir;

	if (!lost)
		return false;
	keeper_event(keeper, "hangup", NULL, "the terminal is gone; workers go on%s",
		     renew ? ", in new processes whose output goes nowhere" : "");
	if (renew && !keeper->stopping)
		keeper_renew_all(keeper);
	return true;
}
