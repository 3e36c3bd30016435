/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is a number, a name, a worker, a weight, a policy; and what is not. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>

#include "base/parse.h"
#include "check.h"
#include "lb_abi.h"

#define UNTOUCHED 77 /* what a result holds before a call that must leave it alone */

static void check_parse(const char *function, const char *name, int got_err, int want_err,
			uint64_t got, uint64_t want)
{
	if (want_err)
		want = UNTOUCHED;
	if (got_err != want_err || got != want)
		fail_msg("%s, %s: got %d and %" PRIu64 ", want %d and %" PRIu64, function, name,
			 got_err, got, want_err, want);
}

static void test_u64(void **state)
{
	static const struct {
		const char *name, *input;
		uint64_t min, max;
		int want_err;
		uint64_t want;
	} rows[] = {
		{ "zero", "0", 0, 9, 0, 0 },
		{ "lowest", "3", 3, 9, 0, 3 },
		{ "highest", "9", 3, 9, 0, 9 },
		{ "below", "2", 3, 9, -ERANGE, 0 },
		{ "above", "10", 3, 9, -ERANGE, 0 },
		{ "leading zeros are decimal", "0010", 0, 99, 0, 10 },
		{ "most", "18446744073709551615", 0, UINT64_MAX, 0, UINT64_MAX },
		{ "most, leading zeros", "000018446744073709551615", 0, UINT64_MAX, 0, UINT64_MAX },
		{ "one too many", "18446744073709551616", 0, UINT64_MAX, -ERANGE, 0 },
		{ "wraps to a small number", "18446744073709551626", 0, 99, -ERANGE, 0 },
		{ "ten times the most", "184467440737095516150", 0, UINT64_MAX, -ERANGE, 0 },
		{ "very long", "99999999999999999999999999999999", 0, UINT64_MAX, -ERANGE, 0 },
		{ "very long, then a letter", "99999999999999999999999x", 0, 9, -EINVAL, 0 },
		{ "null", NULL, 0, 9, -EINVAL, 0 },
		{ "empty", "", 0, 9, -EINVAL, 0 },
		{ "letters follow", "80abc", 0, 99, -EINVAL, 0 },
		{ "letter", "x", 0, 9, -EINVAL, 0 },
		{ "hexadecimal", "0x5", 0, 9, -EINVAL, 0 },
		{ "plus", "+5", 0, 9, -EINVAL, 0 },
		{ "minus", "-5", 0, 9, -EINVAL, 0 },
		{ "minus zero", "-0", 0, 9, -EINVAL, 0 },
		{ "space before", " 5", 0, 9, -EINVAL, 0 },
		{ "space after", "5 ", 0, 9, -EINVAL, 0 },
		{ "newline after", "5\n", 0, 9, -EINVAL, 0 },
		{ "fraction", "1.5", 0, 9, -EINVAL, 0 },
		{ "exponent", "1e1", 0, 99, -EINVAL, 0 },
		{ "thousands", "1,000", 0, 9999, -EINVAL, 0 },
		{ "digit of another script", "\xd9\xa3", 0, 9, -EINVAL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t got = UNTOUCHED;
		int err = parse_u64(rows[i].input, rows[i].min, rows[i].max, &got);

		check_parse("parse_u64", rows[i].name, err, rows[i].want_err, got, rows[i].want);
	}
}

static void test_share(void **state)
{
	static const struct {
		const char *name, *input;
		int want_err;
		uint64_t want;
		bool percent;
	} rows[] = {
		{ "one", "1", 0, 1, false },
		{ "most", "1024", 0, 1024, false },
		{ "none", "0", -ERANGE, 0, false },
		{ "more", "1025", -ERANGE, 0, false },
		{ "least share", "1%", 0, 1, true },
		{ "all", "100%", 0, 100, true },
		{ "no share", "0%", -ERANGE, 0, false },
		{ "more than all", "101%", -ERANGE, 0, false },
		{ "a long one", "00000000000000000000050%", 0, 50, true },
		{ "one that is too long", "000000000000000000000050%", -ERANGE, 0, false },
		{ "percent of what?", "%", -EINVAL, 0, false },
		{ "twice", "5%%", -EINVAL, 0, false },
		{ "in front", "%5", -EINVAL, 0, false },
		{ "space", "5 %", -EINVAL, 0, false },
		{ "fraction", "12.5%", -EINVAL, 0, false },
		{ "minus", "-5%", -EINVAL, 0, false },
		{ "a word", "all", -EINVAL, 0, false },
		{ "empty", "", -EINVAL, 0, false },
		{ "null", NULL, -EINVAL, 0, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t got = UNTOUCHED;
		bool percent = false;
		int err = parse_share(rows[i].input, 1024, &got, &percent);

		check_parse("parse_share", rows[i].name, err, rows[i].want_err, got, rows[i].want);
		if (percent != rows[i].percent)
			fail_msg("%s: percent %d", rows[i].name, percent);
	}
}

static void test_bytes(void **state)
{
	static const struct {
		const char *name, *input;
		int want_err;
		uint64_t want;
	} rows[] = {
		{ "bytes", "1000", 0, 1000 },
		{ "one", "1", 0, 1 },
		{ "K", "3K", 0, 3 << 10 },
		{ "M", "300M", 0, 300 << 20 },
		{ "G", "2G", 0, 2ULL << 30 },
		{ "most", "9223372036854775807", 0, INT64_MAX },
		{ "one more", "9223372036854775808", -ERANGE, 0 },
		{ "most K", "9007199254740991K", 0, INT64_MAX >> 10 << 10 },
		{ "one K more", "9007199254740992K", -ERANGE, 0 },
		{ "too many G", "8589934592G", -ERANGE, 0 },
		{ "very long", "000000000000000000000000001K", -ERANGE, 0 },
		{ "none", "0", -ERANGE, 0 },
		{ "none of a unit", "0M", -ERANGE, 0 },
		{ "a unit alone", "M", -EINVAL, 0 },
		{ "two units", "1KM", -EINVAL, 0 },
		{ "another unit", "1T", -EINVAL, 0 },
		{ "a small one", "1m", -EINVAL, 0 },
		{ "words", "1MB", -EINVAL, 0 },
		{ "space", "1 M", -EINVAL, 0 },
		{ "fraction", "1.5G", -EINVAL, 0 },
		{ "minus", "-1M", -EINVAL, 0 },
		{ "empty", "", -EINVAL, 0 },
		{ "null", NULL, -EINVAL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t got = UNTOUCHED;
		int err = parse_bytes(rows[i].input, &got);

		check_parse("parse_bytes", rows[i].name, err, rows[i].want_err, got, rows[i].want);
	}
}

static void test_ms(void **state)
{
	static const struct {
		const char *name, *input;
		int want_err;
		uint64_t want;
	} rows[] = {
		{ "off", "0", 0, 0 },
		{ "some", "250", 0, 250 },
		{ "an hour", "3600000", 0, 3600000 },
		{ "more than an hour", "3600001", -ERANGE, 0 },
		{ "a unit", "250ms", -EINVAL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t got = UNTOUCHED;
		int err = parse_ms(rows[i].input, &got);

		check_parse("parse_ms", rows[i].name, err, rows[i].want_err, got, rows[i].want);
	}
}

static void test_seconds(void **state)
{
	static const struct {
		const char *name, *input;
		int want_err;
		uint64_t want;
	} rows[] = {
		{ "least", "1", 0, 1 },
		{ "none", "0", -ERANGE, UNTOUCHED },
		{ "with its unit", "60s", 0, 60 },
		{ "a day", "86400", 0, 86400 },
		{ "a day with its unit", "86400s", 0, 86400 },
		{ "more", "86401", -ERANGE, UNTOUCHED },
		{ "much more", "99999999999999999999", -ERANGE, UNTOUCHED },
		{ "a unit alone", "s", -EINVAL, UNTOUCHED },
		{ "two of them", "6ss", -EINVAL, UNTOUCHED },
		{ "another unit", "6m", -EINVAL, UNTOUCHED },
		{ "nothing", "", -EINVAL, UNTOUCHED },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t got = UNTOUCHED;
		int err = parse_seconds(rows[i].input, &got);

		check_parse("parse_seconds", rows[i].name, err, rows[i].want_err, got,
			    rows[i].want);
	}
}

struct u32_row {
	const char *name, *input;
	int want_err;
	uint32_t want;
};

static void check_u32(const char *function, int (*parse)(const char *, uint32_t *),
		      const struct u32_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint32_t got = UNTOUCHED;
		int err = parse(rows[i].input, &got);

		check_parse(function, rows[i].name, err, rows[i].want_err, got, rows[i].want);
	}
}

static void test_weight(void **state)
{
	static const struct u32_row rows[] = {
		{ "lightest", "1", 0, 1 },
		{ "heaviest", "256", 0, 256 },
		{ "none", "0", -ERANGE, 0 },
		{ "too heavy", "257", -ERANGE, 0 },
		{ "1 in 32 bits", "4294967297", -ERANGE, 0 },
		{ "word", "heavy", -EINVAL, 0 },
	};

	(void)state;
	check_u32("parse_weight", parse_weight, rows, ARRAY_SIZE(rows));
}

static void test_worker(void **state)
{
	static const struct u32_row rows[] = {
		{ "first", "0", 0, 0 },
		{ "last", "1023", 0, 1023 },
		{ "one too many", "1024", -ERANGE, 0 },
		{ "0 in 32 bits", "4294967296", -ERANGE, 0 },
		{ "the number of all", "4294967295", -ERANGE, 0 },
		{ "all", "all", 0, LB_ALL_WORKERS },
		{ "ALL", "ALL", -EINVAL, 0 },
		{ "allx", "allx", -EINVAL, 0 },
		{ "al", "al", -EINVAL, 0 },
		{ "empty", "", -EINVAL, 0 },
		{ "null", NULL, -EINVAL, 0 },
	};

	(void)state;
	check_u32("parse_worker", parse_worker, rows, ARRAY_SIZE(rows));
}

static void test_policy(void **state)
{
	static const struct u32_row rows[] = {
#define X(number, id, name, summary) { name, name, 0, number },
		LB_POLICIES(X)
#undef X
			{ "unknown word", "fastest", -EINVAL, 0 },
		{ "start of one", "r", -EINVAL, 0 },
		{ "one and more", "rrr", -EINVAL, 0 },
		{ "capitals", "RR", -EINVAL, 0 },
		{ "its number", "1", -EINVAL, 0 },
		{ "empty", "", -EINVAL, 0 },
		{ "null", NULL, -EINVAL, 0 },
	};

	(void)state;
	check_u32("parse_policy", parse_policy, rows, ARRAY_SIZE(rows));
}

static void test_policy_names(void **state)
{
	static const struct {
		uint32_t policy;
		const char *name, *summary;
	} rows[] = {
#define X(number, id, name, summary) { LB_POLICY_##id, name, summary },
		LB_POLICIES(X)
#undef X
			{ 0, "unknown", "" },
		{ 255, "unknown", "" },
		{ UINT32_MAX, "unknown", "" },
	};
	const char *const *names;
	size_t count;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_string_equal(policy_name(rows[i].policy), rows[i].name);
		assert_string_equal(policy_summary(rows[i].policy), rows[i].summary);
	}
	names = policy_names(&count);
	assert_int_equal(count, ARRAY_SIZE(rows) - 3);
	for (size_t i = 0; i < count; i++)
		assert_string_equal(names[i], rows[i].name);
}

#define LETTERS_9 "abcdefghi"
#define LETTERS_63 LETTERS_9 LETTERS_9 LETTERS_9 LETTERS_9 LETTERS_9 LETTERS_9 LETTERS_9

static void test_name(void **state)
{
	static const struct {
		const char *name, *input;
		int want;
	} rows[] = {
		{ "one letter", "w", 0 },
		{ "every kind", "Web-2_b", 0 },
		{ "default name", "tcp-8080", 0 },
		{ "63", LETTERS_63, 0 },
		{ "64", LETTERS_63 "a", -ENAMETOOLONG },
		{ "64 and a wrong letter", LETTERS_63 "/", -EINVAL },
		{ "null", NULL, -EINVAL },
		{ "empty", "", -EINVAL },
		{ "digit first", "1web", -EINVAL },
		{ "dash first", "-web", -EINVAL },
		{ "underscore first", "_web", -EINVAL },
		{ "dot", ".", -EINVAL },
		{ "parent directory", "..", -EINVAL },
		{ "path", "a/b", -EINVAL },
		{ "dot inside", "web.1", -EINVAL },
		{ "space inside", "we b", -EINVAL },
		{ "newline at the end", "web\n", -EINVAL },
		{ "letter of another script", "w\xc3\xa9_", -EINVAL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int got = parse_name(rows[i].input);

		if (got != rows[i].want)
			fail_msg("%s: got %d, want %d", rows[i].name, got, rows[i].want);
	}
	assert_non_null(strstr(parse_name_rule(), "at most 63"));
}

static void test_signal(void **state)
{
	static const struct {
		const char *name, *input;
		int want; /* 0: refused */
	} rows[] = {
		{ "name", "HUP", SIGHUP },
		{ "with SIG", "SIGUSR1", SIGUSR1 },
		{ "small letters", "sigterm", SIGTERM },
		{ "number", "9", SIGKILL },
		{ "as shells call it", "SIGIO", SIGIO },
		{ "as libc calls it", "POLL", SIGIO },
		{ "last number", "64", 64 },
		{ "0 is none", "0", 0 },
		{ "beyond", "65", 0 },
		{ "negative", "-9", 0 },
		{ "twice SIG", "SIGSIGHUP", 0 },
		{ "begins like one", "HUPS", 0 },
		{ "a number and more", "9x", 0 },
		{ "SIG alone", "SIG", 0 },
		{ "empty", "", 0 },
		{ "null", NULL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int got = 0, err = parse_signal(rows[i].input, &got);

		check("parse_signal", rows[i].name, got, rows[i].want);
		check("parse_signal", rows[i].name, !err, rows[i].want != 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_u64),	     cmocka_unit_test(test_ms),
		cmocka_unit_test(test_seconds),	     cmocka_unit_test(test_weight),
		cmocka_unit_test(test_worker),	     cmocka_unit_test(test_policy),
		cmocka_unit_test(test_policy_names), cmocka_unit_test(test_name),
		cmocka_unit_test(test_signal),	     cmocka_unit_test(test_share),
		cmocka_unit_test(test_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
