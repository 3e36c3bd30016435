// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What Prometheus is told: in its own units, with what latency measures as well. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "cmd/metrics.h"

static struct lb_latency latency = {
	.closed = 3,
	.srtt_us = 1500000,
	.watched_ns = 2000000000,
	.busy_ns = 500000000,
};
static struct view_worker worker = { .state = "up", .pace_us = 250 };
static struct view view = {
	.name = "web",
	.policy = LB_POLICY_RR,
	.workers = &worker,
	.nr_workers = 1,
	.latency = &latency,
};

/* The caller's. */
static char *print(enum metrics_format format)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	metrics_print(out, format, &view, 1);
	fclose(out);
	return text;
}

/* Seconds and bytes: of others, promtool complains and queries have to know. */
static void test_units(void **state)
{
	static const char *const not_ours[] = { "_us", "_ms", "_ns", "_kb" };
	char *text = print(METRICS_PROMETHEUS), *rest, *line;
	size_t n = 0;

	(void)state;
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		char *end = strpbrk(line, "{ ");

		if (*line == '#')
			continue;
		n++;
		*end = '\0';
		for (size_t i = 0; i < ARRAY_SIZE(not_ours); i++) {
			const char *at = strstr(line, not_ours[i]);
			char after = at ? at[strlen(not_ours[i])] : 'x';

			if (after == '_' || !after)
				fail_msg("%s is not in seconds or bytes", line);
		}
	}
	assert_true(n > 50);
	free(text);
}

static void test_values(void **state)
{
	static const char *const rows[] = {
		"\n# TYPE lbctl_worker_srtt_seconds_total counter\n",
		"\nlbctl_worker_srtt_seconds_total{service=\"web\",worker=\"0\"} 1.500000\n",
		"\nlbctl_worker_closed_total{service=\"web\",worker=\"0\"} 3\n",
		"\nlbctl_worker_watched_seconds_total{service=\"web\",worker=\"0\"} 2.000000\n",
		"\nlbctl_worker_busy_seconds_total{service=\"web\",worker=\"0\"} 0.500000\n",
		"\nlbctl_worker_pace_seconds{service=\"web\",worker=\"0\"} 0.000250\n",
	};
	char *text = print(METRICS_PROMETHEUS), *open = print(METRICS_OPENMETRICS);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (!strstr(text, rows[i]))
			fail_msg("it has not: %s", rows[i]);
	}
	assert_non_null(strstr(open, "\n# TYPE lbctl_worker_srtt_seconds counter\n"
				     "lbctl_worker_srtt_seconds_total{"));
	free(text);
	free(open);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_units),
		cmocka_unit_test(test_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
