// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See benches.h. */
#include "harness/benches.h"

#include <string.h>

#include "harness/commands.h"
#include "harness/world.h"

#define BENCH_MS 60000

void bench_run(struct output *output, const char *const *args, size_t n)
{
	const char *argv[32] = { harness_build_path("lb-bench") };

	assert_true(n + 2 < ARRAY_SIZE(argv));
	memcpy(argv + 1, args, n * sizeof(*args));
	command_run(output, argv, BENCH_MS);
}

json_t *bench_json(const struct output *output)
{
	json_t *object = json_loads(output->out, 0, NULL);

	if (!object)
		fail_msg("not JSON: %s%s", output->out, output->err);
	return object;
}

long long bench_number(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	if (!json_is_number(value))
		fail_msg("no number %s", key);
	return json_number_value(value);
}
