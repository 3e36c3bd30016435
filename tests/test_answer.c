// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What a keeper answers to a worker that joins, as the worker reads it: good, bad and random. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "lib/join.h"

#define RANDOM_ROUNDS 100000

/* In memory of exactly that size, so that ASan sees a step beyond. */
static int parse(const char *bytes, size_t len, struct lbctl_answer *answer)
{
	char *copy = malloc(len ? len : 1);
	int err;

	assert_non_null(copy);
	memcpy(copy, bytes, len);
	err = lbctl_answer_parse(copy, len, answer);
	free(copy);
	return err;
}

static const struct {
	const char *bytes;
	int err;
	struct lbctl_answer want;
} texts[] = {
	{ "{\"status\":0}", 0, { 0, -1, -1, false, "" } },
	{ "{\"status\":0,\"text\":\"worker 4\",\"worker\":4,\"slot\":7}",
	  0,
	  { 0, 7, 4, false, "worker 4" } },
	{ " { \"slot\" : 1 ,\n\t\"status\" : 2 } ", 0, { 2, 1, -1, false, "" } },
	{ "{\"status\":1,\"again\":true}", 0, { 1, -1, -1, true, "" } },
	{ "{\"status\":1,\"again\":false}", 0, { 1, -1, -1, false, "" } },
	{ "{\"status\":1,\"again\":1}", 0, { 1, -1, -1, false, "" } },
	{ "{\"x\":null,\"y\":\"z\",\"z\":5,\"status\":3}", 0, { 3, -1, -1, false, "" } },
	{ "{\"status\":1,\"text\":\"a\\\"b\\\\c\\/\\n\\u0007d\"}",
	  0,
	  { 1, -1, -1, false, "a\"b\\c/\n?d" } },
	{ "{\"status\":2147483647}", 0, { INT32_MAX, -1, -1, false, "" } },
	{ "{\"status\":0,\"status\":1}", 0, { 1, -1, -1, false, "" } },
	{ "", -EBADMSG, { 0 } },
	{ "{", -EBADMSG, { 0 } },
	{ "{}", -EBADMSG, { 0 } },
	{ "[]", -EBADMSG, { 0 } },
	{ "0", -EBADMSG, { 0 } },
	{ "{\"status\"}", -EBADMSG, { 0 } },
	{ "{\"status\":}", -EBADMSG, { 0 } },
	{ "{\"status\":0", -EBADMSG, { 0 } },
	{ "{\"status\":0,}", -EBADMSG, { 0 } },
	{ "{\"status\":0}x", -EBADMSG, { 0 } },
	{ "{\"status\":0}{\"status\":0}", -EBADMSG, { 0 } },
	{ "{\"status\":-1}", -EBADMSG, { 0 } },
	{ "{\"status\":1.5}", -EBADMSG, { 0 } },
	{ "{\"status\":2147483648}", -EBADMSG, { 0 } },
	{ "{\"status\":99999999999999999999999}", -EBADMSG, { 0 } },
	{ "{\"status\":\"0\"}", -EBADMSG, { 0 } },
	{ "{\"status\":true}", -EBADMSG, { 0 } },
	{ "{\"status\":0,\"slot\":\"1\"}", -EBADMSG, { 0 } },
	{ "{\"status\":0,\"slot\":null}", -EBADMSG, { 0 } },
	{ "{\"slot\":0}", -EBADMSG, { 0 } },
	{ "{\"status\":0,\"x\":{}}", -EBADMSG, { 0 } },
	{ "{\"status\":0,\"x\":[1]}", -EBADMSG, { 0 } },
	{ "{\"status\":0,\"x\":tru}", -EBADMSG, { 0 } },
	{ "{\"status\":0,\"text\":\"a", -EBADMSG, { 0 } },
	{ "{\"status\":0,\"text\":\"a\\", -EBADMSG, { 0 } },
	{ "{\"status\":0,\"text\":\"\\x\"}", -EBADMSG, { 0 } },
	{ "{\"status\":0,\"text\":\"\\u12\"}", -EBADMSG, { 0 } },
	{ "{\"status\":0,\"text\":\"\\u12", -EBADMSG, { 0 } },
	{ "{\"status\":0,\"text\":\"\n\"}", -EBADMSG, { 0 } },
	{ "{\"a key that is longer than any of ours\":0,\"status\":0}", -EBADMSG, { 0 } },
};

static void test_answers(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		const struct lbctl_answer *want = &texts[i].want;
		struct lbctl_answer got;
		int err = parse(texts[i].bytes, strlen(texts[i].bytes), &got);

		if (err != texts[i].err)
			fail_msg("%s: %d, want %d", texts[i].bytes, err, texts[i].err);
		if (!err && (got.status != want->status || got.slot != want->slot ||
			     got.worker != want->worker || got.again != want->again ||
			     strcmp(got.text, want->text)))
			fail_msg("%s: %ld %ld %ld %d \"%s\"", texts[i].bytes, got.status, got.slot,
				 got.worker, got.again, got.text);
	}
	/* NUL inside */
	assert_int_equal(parse("{\"status\":0}\0", 13, &(struct lbctl_answer){ 0 }), -EBADMSG);
	assert_int_equal(parse("{\"status\":0,\"text\":\"\0\"}", 22, &(struct lbctl_answer){ 0 }),
			 -EBADMSG);
	assert_int_equal(parse("{\"status\":0,\"text\":\"\\\0\"}", 23, &(struct lbctl_answer){ 0 }),
			 -EBADMSG);
}

/* The longest text that fits, and one byte more. */
static void test_long_text(void **state)
{
	struct lbctl_answer answer;
	char text[600], bytes[700];

	(void)state;
	memset(text, 'x', sizeof(text));
	text[sizeof(answer.text) - 1] = '\0';
	snprintf(bytes, sizeof(bytes), "{\"status\":0,\"text\":\"%s\"}", text);
	assert_int_equal(parse(bytes, strlen(bytes), &answer), 0);
	assert_string_equal(answer.text, text);
	snprintf(bytes, sizeof(bytes), "{\"status\":0,\"text\":\"%sx\"}", text);
	assert_int_equal(parse(bytes, strlen(bytes), &answer), -EBADMSG);
}

/* An answer with bytes changed, cut, or made up: never a crash, never a number out of range. */
static void test_random_answers(void **state)
{
	static const char good[] = "{\"status\":0,\"text\":\"worker \\u00414\",\"worker\":4,"
				   "\"slot\":7,\"again\":false}";
	static const char pool[] = "{}[]\":,\\u0129tfnae \n\0\xff";
	unsigned int seed = 71, taken = 0;
	struct lbctl_answer answer;
	char bytes[128];

	(void)state;
	for (int round = 0; round < RANDOM_ROUNDS; round++) {
		size_t len = sizeof(good) - 1;

		memcpy(bytes, good, len);
		if (rand_r(&seed) % 4 == 0)
			len = rand_r(&seed) % len;
		for (int n = rand_r(&seed) % (round % 2 ? 4 : 40); n > 0 && len; n--)
			bytes[rand_r(&seed) % len] = pool[rand_r(&seed) % sizeof(pool)];
		if (parse(bytes, len, &answer))
			continue;
		taken++;
		assert_in_range(answer.status, 0, INT32_MAX);
		assert_true(answer.slot >= -1 && answer.slot <= INT32_MAX);
		assert_true(answer.worker >= -1 && answer.worker <= INT32_MAX);
		assert_true(strnlen(answer.text, sizeof(answer.text)) < sizeof(answer.text));
	}
	assert_true(taken > 0 && taken < RANDOM_ROUNDS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_long_text),
		cmocka_unit_test(test_random_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
