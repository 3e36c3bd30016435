// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The program: a table of commands. Each is in its own cmd_NAME.c. */
#include <bpf/libbpf.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "cmd/cmd.h"

const struct command *const cmd_table[] = {
#define X(name) &cmd_##name,
	COMMANDS(X)
#undef X
		NULL,
};

/* libbpf explains at length; commands say it in a sentence, and LBCTL_DEBUG=1 shows the rest. */
static int print_libbpf(enum libbpf_print_level level, const char *format, va_list args)
{
	if (!getenv("LBCTL_DEBUG") || level == LIBBPF_DEBUG)
		return 0;
	return vfprintf(stderr, format, args);
}

int main(int argc, char **argv)
{
	libbpf_set_print(print_libbpf);
	if (text_guard_streams())
		return EXIT_FAILED;
	return cmd_main(argc, argv);
}
