// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See terminal.h. */
#include "keeper/terminal.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/cleanup.h"

uint8_t terminal_note(void)
{
	uint8_t terminal = 0;

	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		terminal |= isatty(fd) << fd;
	return terminal;
}

/* Descriptors of a terminal that was hung up are none of a terminal any more. */
uint8_t terminal_take_lost(uint8_t *terminal)
{
	_cleanup_close_ int null = -1;
	uint8_t lost = 0;

	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (*terminal & 1 << fd && !isatty(fd))
			lost |= 1 << fd;
	}
	null = lost ? open("/dev/null", O_RDWR | O_CLOEXEC) : -1;
	for (int fd = STDIN_FILENO; null >= 0 && fd <= STDERR_FILENO; fd++) {
		if (lost & 1 << fd)
			dup2(null, fd);
	}
	*terminal &= ~lost;
	return lost;
}
