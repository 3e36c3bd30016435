// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* guest-exit STATUS: ends QEMU with a result, through its isa-debug-exit device at port 0xf4. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/io.h>

int main(int argc, char **argv)
{
	int status = argc == 2 ? atoi(argv[1]) : -1;

	/* QEMU ends with twice the value and one; 16 tells it from its own ends */
	if (status < 0 || status > 40 || ioperm(0xf4, 4, 1)) {
		perror("guest-exit");
		return 1;
	}
	outb(16 + status, 0xf4);
	return 1;
}
