/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The fields that siege prints of a run, in its order and with its names. */
#ifndef BENCH_SIEGE_H
#define BENCH_SIEGE_H

#include <jansson.h>

#include "load.h"

/*
 * X(id, key, name, unit, digits behind the point). Times of requests are in ms, where siege has s.
 */
#define SIEGE_FIELDS(X)                                                                            \
	X(TRANSACTIONS, "transactions", "Transactions", "hits", 0)                                 \
	X(AVAILABILITY, "availability", "Availability", "%", 2)                                    \
	X(ELAPSED, "elapsed_s", "Elapsed time", "secs", 2)                                         \
	X(DATA, "megabytes", "Data transferred", "MB", 2)                                          \
	X(RESPONSE, "response_ms", "Response time", "ms", 2)                                       \
	X(RATE, "transaction_rate", "Transaction rate", "trans/sec", 2)                            \
	X(THROUGHPUT, "throughput", "Throughput", "MB/sec", 2)                                     \
	X(CONCURRENCY, "concurrency", "Concurrency", "", 2)                                        \
	X(SUCCESSFUL, "successful", "Successful transactions", "", 0)                              \
	X(FAILED, "failed", "Failed transactions", "", 0)                                          \
	X(LONGEST, "longest_ms", "Longest transaction", "ms", 2)                                   \
	X(SHORTEST, "shortest_ms", "Shortest transaction", "ms", 2)

enum siege_field {
#define X(id, key, name, unit, digits) SIEGE_##id,
	SIEGE_FIELDS(X)
#undef X
		SIEGE_COUNT
};

struct siege_words {
	const char *key, *name, *unit;
	int digits;
};

extern const struct siege_words siege_words[SIEGE_COUNT];

void siege_of(const struct load_result *result, double values[SIEGE_COUNT]);

/* As an object, by keys; to be json_decref()ed, NULL without memory. */
json_t *siege_json(const double values[SIEGE_COUNT]);

#endif
