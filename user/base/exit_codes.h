/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A set of exit statuses. */
#ifndef EXIT_CODES_H
#define EXIT_CODES_H

#include <stdbool.h>
#include <stdint.h>

#define EXIT_CODES_MOST 255

struct exit_codes {
	uint64_t bits[(EXIT_CODES_MOST + 1) / 64];
};

/*
 * Reads numbers from 0 to EXIT_CODES_MOST with commas between them: "0,3". Returns 0, or -EINVAL or
 * -ERANGE as parse_u64() does; then *codes is left as it was.
 */
int exit_codes_parse(const char *text, struct exit_codes *codes);

/* `status` may be any number: -1, say, for a process that did not exit but was killed. */
static inline bool exit_codes_has(const struct exit_codes *codes, int status)
{
	return status >= 0 && status <= EXIT_CODES_MOST &&
	       codes->bits[status / 64] >> status % 64 & 1;
}

#endif
