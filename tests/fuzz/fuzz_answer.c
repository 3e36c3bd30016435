// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What a keeper answers, as liblbctl reads it without a JSON library: what it takes says the same
 * to one.
 */
#include <jansson.h>

#include "fuzz/fuzz.h"
#include "lib/join.h"

static void check_number(const json_t *object, const char *key, long got)
{
	const json_t *value = json_object_get(object, key);

	FUZZ_CHECK(value ? json_integer_value(value) == got : got == -1);
}

/* Of two values of a key both take the last. NUL in a key or text jansson refuses. */
static void check_answer(const char *bytes, size_t n)
{
	struct lbctl_answer answer;
	json_t *object;

	if (lbctl_answer_parse(bytes, n, &answer))
		return;
	FUZZ_CHECK(answer.status >= 0 && answer.status <= INT32_MAX);
	FUZZ_CHECK(memchr(answer.text, '\0', sizeof(answer.text)));
	object = json_loadb(bytes, n, 0, NULL);
	if (!object)
		return;
	check_number(object, "status", answer.status);
	check_number(object, "slot", answer.slot);
	check_number(object, "worker", answer.worker);
	FUZZ_CHECK(json_is_true(json_object_get(object, "again")) == answer.again);
	json_decref(object);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	char *copy = fuzz_copy(bytes, n);

	check_answer(copy, n);
	free(copy);
	return 0;
}
