// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What a user writes: a number, a share, a size, a signal, a name, a policy. What is taken is what
 * was written, within its limits; what is refused leaves the result alone.
 */
#include <signal.h>

#include "base/parse.h"
#include "fuzz/fuzz.h"
#include "lb_abi.h"

#define UNSET 77

static void numbers(const char *text)
{
	const char *digits = text + strspn(text, "0");
	uint64_t value = UNSET;
	uint32_t small = UNSET;
	char back[24];
	int err = parse_u64(text, 0, UINT64_MAX, &value);

	snprintf(back, sizeof(back), "%llu", (unsigned long long)value);
	FUZZ_CHECK(err ? value == UNSET : !strcmp(back, *digits ? digits : "0"));
	err = parse_weight(text, &small);
	FUZZ_CHECK(err ? small == UNSET : small >= 1 && small <= LB_MAX_WEIGHT);
	small = UNSET;
	err = parse_worker(text, &small);
	FUZZ_CHECK(err ? small == UNSET : small < LB_MAX_WORKERS || small == LB_ALL_WORKERS);
	FUZZ_CHECK(parse_ms(text, &value) || value <= PARSE_MAX_MS);
	FUZZ_CHECK(parse_seconds(text, &value) || (value && value <= PARSE_MAX_SECONDS));
}

static void shares(const char *text)
{
	uint64_t number = UNSET;
	bool percent = false;
	int err = parse_share(text, 1000, &number, &percent);

	FUZZ_CHECK(err ? number == UNSET && !percent : number && number <= (percent ? 100 : 1000));
	number = UNSET;
	err = parse_bytes(text, &number);
	FUZZ_CHECK(err ? number == UNSET : number && number <= INT64_MAX);
}

static void signals(const char *text)
{
	int number = UNSET, err = parse_signal(text, &number);

	FUZZ_CHECK(err ? number == UNSET : number >= 1 && number <= SIGRTMAX);
}

static void names(const char *text)
{
	size_t len = strlen(text);
	uint32_t policy;

	FUZZ_CHECK(parse_name(text) || (len && len <= LB_NAME_MAX && !strpbrk(text, "/. \n%")));
	FUZZ_CHECK(parse_policy(text, &policy) || !strcmp(policy_name(policy), text));
}

static const fuzz_parser parsers[] = { numbers, shares, signals, names };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	fuzz_one_of(parsers, sizeof(parsers) / sizeof(parsers[0]), bytes, n);
	return 0;
}
