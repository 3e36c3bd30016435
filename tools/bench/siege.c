// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See siege.h. */
#include "siege.h"

const struct siege_words siege_words[SIEGE_COUNT] = {
#define X(id, key, name, unit, digits) [SIEGE_##id] = { key, name, unit, digits },
	SIEGE_FIELDS(X)
#undef X
};

void siege_of(const struct load_result *result, double values[SIEGE_COUNT])
{
	const struct figures *figures = &result->figures;

	values[SIEGE_TRANSACTIONS] = values[SIEGE_SUCCESSFUL] = figures->transactions;
	values[SIEGE_AVAILABILITY] = figures_availability(figures);
	values[SIEGE_ELAPSED] = figures->elapsed_s;
	values[SIEGE_DATA] = figures_megabytes(figures);
	values[SIEGE_RESPONSE] = figures_response_s(figures) * 1e3;
	values[SIEGE_RATE] = figures_rate(figures);
	values[SIEGE_THROUGHPUT] = figures_throughput(figures);
	values[SIEGE_CONCURRENCY] = figures_concurrency(figures);
	values[SIEGE_FAILED] = figures->failed;
	values[SIEGE_LONGEST] = result->latency.max_ns / 1e6;
	values[SIEGE_SHORTEST] = result->latency.min_ns / 1e6;
}

json_t *siege_json(const double values[SIEGE_COUNT])
{
	json_t *object = json_object();

	/* those without a fraction are counts */
	for (int i = 0; i < SIEGE_COUNT; i++)
		json_object_set_new(object, siege_words[i].key,
				    siege_words[i].digits ? json_real(values[i]) :
							    json_integer(values[i]));
	return object;
}
