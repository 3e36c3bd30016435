// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See exit_codes.h. */
#include "base/exit_codes.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"

int exit_codes_parse(const char *text, struct exit_codes *codes)
{
	struct exit_codes all = { 0 };
	uint64_t code;
	char one[32];
	size_t len;
	int err;

	for (const char *at = text;; at += len + 1) {
		len = strcspn(at, ",");
		if (len >= sizeof(one))
			return -EINVAL;
		snprintf(one, sizeof(one), "%.*s", (int)len, at);
		err = parse_u64(one, 0, EXIT_CODES_MOST, &code);
		if (err)
			return err;
		all.bits[code / 64] |= 1ULL << code % 64;
		if (!at[len])
			break;
	}
	*codes = all;
	return 0;
}
