// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Whom lb-bench loads: URLs, and the services that lbctl lists there. */
#include "fuzz/fuzz.h"

/* a tool is one program and no library */
#include "../tools/bench/served.c"
#include "../tools/bench/target.c"

/* No program is run here. */
int capture_run(const char *const *argv, const char *dir, unsigned int timeout_ms, char **out)
{
	(void)argv, (void)dir, (void)timeout_ms, (void)out;
	return -1;
}

static void lists(const char *text)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(80) };
	struct target target = { .addr_len = sizeof(at) };
	struct served served;

	memcpy(&target.addr, &at, sizeof(at));
	served_read(text, &target, &served);
	FUZZ_CHECK(memchr(served.service, '\0', sizeof(served.service)));
}

static void urls(const char *text)
{
	char *copy = fuzz_text((const uint8_t *)text, strlen(text));
	struct trouble trouble = { 0 };
	struct target_parts parts;

	if (!target_split(copy, &parts, &trouble))
		FUZZ_CHECK(*parts.host && *parts.port && parts.path &&
			   !strpbrk(parts.path, " \r\n"));
	free(copy);
}

static const fuzz_parser parsers[] = { lists, urls };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	fuzz_one_of(parsers, sizeof(parsers) / sizeof(parsers[0]), bytes, n);
	return 0;
}
