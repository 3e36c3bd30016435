// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See metrics.h. */
#include "cmd/metrics.h"

#include <string.h>

#include "cmd/latency_out.h"

/* What comes before the samples of a metric; both formats have all of them together. */
struct head {
	const char *name, *type, *help;
};

unsigned int metrics_unsteered(const struct view *view)
{
	unsigned int count = 0;

	for (uint32_t i = 0; i < view->nr_listeners && !view->sockets_error; i++)
		count += !view->listeners[i].steering;
	return count;
}

/* OpenMetrics calls a counter by its name without what ends that of its samples. */
static void print_head(FILE *out, enum metrics_format format, struct head head)
{
	int len = strlen(head.name);

	if (format == METRICS_OPENMETRICS && !strcmp(head.type, "counter"))
		len -= sizeof("_total") - 1;
	fprintf(out, "# HELP lbctl_%.*s %s\n# TYPE lbctl_%.*s %s\n", len, head.name, head.help, len,
		head.name, head.type);
}

/* Service names need no escaping: letters, digits, - and _. */
#define EACH_WORKER(metric, kind, meaning, layout, figure)                                         \
	print_head(out, format, (struct head){ metric, kind, meaning });                           \
	for (const struct view *s = views; s < views + n; s++) {                                   \
		for (uint32_t i = 0; i < s->nr_workers; i++) {                                     \
			const struct view_worker *w = &s->workers[i];                              \
                                                                                                   \
			fprintf(out,                                                               \
				"lbctl_" metric "{service=\"%s\",worker=\"%u\"} " layout "\n",     \
				s->name, w->worker, figure);                                       \
		}                                                                                  \
	}
#define EACH_SERVICE(metric, kind, meaning, layout, figure)                                        \
	print_head(out, format, (struct head){ metric, kind, meaning });                           \
	for (const struct view *s = views; s < views + n; s++)                                     \
		fprintf(out, "lbctl_" metric "{service=\"%s\"} " layout "\n", s->name, figure);

static void print_workers(FILE *out, enum metrics_format format, const struct view *views, size_t n)
{
#define X(field, help)                                                                             \
	EACH_WORKER("worker_" #field "_total", "counter", help, "%lu", (unsigned long)w->field)
	LB_SLOT_COUNTERS(X)
#undef X
	WORKER_METRICS(EACH_WORKER)
	latency_print_metrics(out, format == METRICS_OPENMETRICS, views, n);
}

static void print_services(FILE *out, enum metrics_format format, const struct view *views,
			   size_t n)
{
#define X(field, help)                                                                             \
	EACH_SERVICE(#field "_total", "counter", help, "%lu", (unsigned long)s->counters.field)
	LB_COUNTERS(X)
#undef X
	SERVICE_METRICS(EACH_SERVICE)
	print_head(out, format, (struct head){ "service_info", "gauge", "the service's policy" });
	for (const struct view *s = views; s < views + n; s++)
		fprintf(out, "lbctl_service_info{service=\"%s\",policy=\"%s\"} 1\n", s->name,
			policy_name(s->policy));
}

void metrics_print(FILE *out, enum metrics_format format, const struct view *views, size_t n)
{
	print_workers(out, format, views, n);
	print_services(out, format, views, n);
	if (format == METRICS_OPENMETRICS)
		fputs("# EOF\n", out);
}
