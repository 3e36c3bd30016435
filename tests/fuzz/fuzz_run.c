// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The options of lbctl run, as a command line: each line of the input is a word. */
#include "fuzz/fuzz_options.h"

#define MOST_WORDS 64

/* That is another way. */
static bool asks_for_help(char *const *argv)
{
	for (; *argv; argv++) {
		if (!strcmp(*argv, "--help") || !strcmp(*argv, "-h"))
			return true;
	}
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	char *argv[MOST_WORDS + 1] = { (char *)"lbctl", (char *)"run" };
	char *text = fuzz_text(bytes, n), *rest = text;
	int argc = 2;

	while (argc < MOST_WORDS && rest)
		argv[argc++] = strsep(&rest, "\n");
	if (!asks_for_help(argv))
		check_said(cmd_main(argc, argv));
	free(text);
	return 0;
}
