// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * lbctl-observe grafana|rules: prints the dashboard for Grafana, or the alert rules for Prometheus,
 * of the metrics that lbctl has. tools/observe has both as this prints them; a test holds them
 * against it, and what they name against the tables of metrics.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lb_counters.h"

#define RATE "[$__rate_interval]"
#define OF "{service=~\"$service\"}"

static const struct {
	const char *name, *help;
} counters[] = {
#define X(field, help) { #field, help },
	LB_COUNTERS(X)
#undef X
};
#define COUNTERS (sizeof(counters) / sizeof(counters[0]))

/* --- the dashboard --- */

#define WORKER "{{service}} {{worker}}"

static const struct panel {
	const char *title, *unit, *legend, *expr, *help;
} panels[] = {
	{ "Connections/s", "cps", "{{service}}",
	  "sum by (service) (rate(lbctl_worker_selected_total" OF RATE "))",
	  "new connections decided, of UDP datagrams" },
	{ "Connections/s of each worker", "cps", WORKER,
	  "rate(lbctl_worker_selected_total" OF RATE ")", "" },
	{ "Spread: largest over mean", "none", "{{service}}",
	  "max by (service) (rate(lbctl_worker_selected_total" OF RATE
	  ")) / avg by (service) (rate(lbctl_worker_selected_total" OF RATE "))",
	  "1 is even; weights and policies that go by load make it larger" },
	{ "Open connections", "none", WORKER, "lbctl_worker_live" OF, "" },
	{ "In accept queues", "none", WORKER, "lbctl_worker_queued" OF, "of UDP unread bytes" },
	{ "Out: stalled or drained", "none", WORKER,
	  "(lbctl_worker_stalled" OF " + lbctl_worker_draining" OF ") > 0", "" },
	{ "CPUs", "none", WORKER, "rate(lbctl_worker_cpu_seconds_total" OF RATE ")", "" },
	{ "Busy", "percentunit", WORKER,
	  "rate(lbctl_worker_busy_seconds_total" OF RATE
	  ") / rate(lbctl_worker_watched_seconds_total" OF RATE ")",
	  "the share of the time in which it did not wait for its next connection; latency=on" },
	{ "Memory", "bytes", WORKER, "lbctl_worker_memory_bytes" OF, "resident" },
	{ "Restarts and lost connections", "none", WORKER " {{__name__}}",
	  "increase({__name__=~\"lbctl_worker_(restarts|lost)_total\", service=~\"$service\"}" RATE
	  ")",
	  "starts after an end by itself; connections that were open then" },
	{ "Policy", "none", "{{service}}: {{policy}}", "lbctl_service_info" OF, "" },
};
#define PANELS (sizeof(panels) / sizeof(panels[0]))
#define COLUMNS 3
#define WIDTH (24 / COLUMNS)
#define HEIGHT 8

static json_t *source(void)
{
	return json_pack("{s:s, s:s}", "type", "prometheus", "uid", "${source}");
}

static json_t *make_panel(size_t i, const struct panel *panel)
{
	return json_pack("{s:i, s:s, s:s, s:s, s:o, s:{s:i, s:i, s:i, s:i}, s:{s:{s:s, s:i}, s:[]},"
			 " s:{s:{s:s, s:s, s:b, s:[]}, s:{s:s, s:s}}, s:[{s:s, s:s, s:s, s:o}]}",
			 "id", (int)i + 1, "type", "timeseries", "title", panel->title,
			 "description", panel->help, "datasource", source(), "gridPos", "x",
			 (int)(i % COLUMNS * WIDTH), "y", (int)(i / COLUMNS * HEIGHT), "w", WIDTH,
			 "h", HEIGHT, "fieldConfig", "defaults", "unit", panel->unit, "min", 0,
			 "overrides", "options", "legend", "displayMode", "list", "placement",
			 "bottom", "showLegend", 1, "calcs", "tooltip", "mode", "single", "sort",
			 "none", "targets", "refId", "A", "expr", panel->expr, "legendFormat",
			 panel->legend, "datasource", source());
}

/* Each counter of a service has a panel, which says what it counts. */
static json_t *counter_panel(size_t i)
{
	char expr[128];
	const struct panel panel = {
		.title = counters[i].name,
		.unit = "cps",
		.legend = "{{service}}",
		.expr = expr,
		.help = counters[i].help,
	};

	snprintf(expr, sizeof(expr), "rate(lbctl_%s_total" OF RATE ")", counters[i].name);
	return make_panel(PANELS + i, &panel);
}

static json_t *make_variables(void)
{
	return json_pack(
		"{s:[{s:s, s:s, s:s, s:s}, {s:s, s:s, s:s, s:o, s:s, s:i, s:b, s:b, s:s}]}", "list",
		"name", "source", "label", "Data source", "type", "datasource", "query",
		"prometheus", "name", "service", "label", "Service", "type", "query", "datasource",
		source(), "query", "label_values(lbctl_service_info, service)", "refresh", 2,
		"multi", 1, "includeAll", 1, "allValue", ".*");
}

static json_t *make_dashboard(void)
{
	json_t *all = json_array();

	for (size_t i = 0; i < PANELS; i++)
		json_array_append_new(all, make_panel(i, &panels[i]));
	for (size_t i = 0; i < COUNTERS; i++)
		json_array_append_new(all, counter_panel(i));
	return json_pack("{s:s, s:s, s:[s], s:i, s:i, s:b, s:s, s:{s:s, s:s}, s:o, s:{s:[]}, s:o}",
			 "uid", "lbctl", "title", "lbctl", "tags", "lbctl", "schemaVersion", 38,
			 "version", 1, "editable", 1, "refresh", "10s", "time", "from", "now-30m",
			 "to", "now", "templating", make_variables(), "annotations", "list",
			 "panels", all);
}

/* --- the rules --- */

static const struct rule {
	const char *alert, *expr, *wait, *severity, *summary;
} rules[] = {
	{ "LbctlExportDown", "up{job=\"lbctl\"} == 0", "1m", "warning",
	  "lbctl export on {{ $labels.instance }} does not answer" },
	{ "LbctlNoWorkerUp", "max by (service) (lbctl_worker_up) == 0", "30s", "critical",
	  "{{ $labels.service }}: no worker takes connections" },
	{ "LbctlKeeperGone", "lbctl_service_keeper_gone == 1", "1m", "critical",
	  "{{ $labels.service }}: its keeper is gone; lbctl show says what takes it up again" },
	{ "LbctlUnsteered", "lbctl_service_unsteered > 0", "1m", "critical",
	  "{{ $labels.service }}: the program is not on {{ $value | humanize }} of its listeners" },
	{ "LbctlUnreadable", "lbctl_service_readable == 0", "5m", "warning",
	  "{{ $labels.service }}: its sockets can't be looked at; lbctl export lacks rights" },
	{ "LbctlUnregistered", "lbctl_service_unregistered > 0", "5m", "warning",
	  "{{ $labels.service }}: {{ $value | humanize }} sockets get nothing; lbctl attach or watch" },
	{ "LbctlTakenOff", "increase(lbctl_taken_off_total[10m]) > 0", NULL, "warning",
	  "{{ $labels.service }}: its program was taken off a group, and put back" },
	{ "LbctlWorkerStalled", "lbctl_worker_stalled == 1", "10s", "warning",
	  "{{ $labels.service }}: worker {{ $labels.worker }} accepts nothing" },
	{ "LbctlWorkerRestarts", "increase(lbctl_worker_restarts_total[10m]) > 3", NULL, "warning",
	  "{{ $labels.service }}: worker {{ $labels.worker }} ends again and again" },
	{ "LbctlConnectionsLost", "increase(lbctl_worker_lost_total[5m]) > 0", NULL, "warning",
	  "{{ $labels.service }}: connections were open when worker {{ $labels.worker }} ended" },
	{ "LbctlQueueNearlyFull", "lbctl_worker_queued / (lbctl_worker_queue_max > 0) > 0.8", "1m",
	  "warning",
	  "{{ $labels.service }}: the queue of worker {{ $labels.worker }} is nearly full" },
	{ "LbctlAtLimit", "lbctl_worker_live >= (lbctl_worker_limit > 0)", "5m", "warning",
	  "{{ $labels.service }}: worker {{ $labels.worker }} is at its limit of connections" },
};

/* Counters of which one is one too many; each is an alert, with what the table says of it. */
#define TROUBLES(X)                                                                                \
	X(fallback_config)                                                                         \
	X(fallback_empty) X(fallback_none) X(migrate_failed) X(overloaded) X(reset)

static const char *const troubles[] = {
#define X(field) #field,
	TROUBLES(X)
#undef X
};
#define TROUBLE_COUNT (sizeof(troubles) / sizeof(troubles[0]))

/* A string of YAML, as JSON has it. */
static void put_text(const char *key, const char *text)
{
	json_t *value = json_string(text);
	char *quoted = json_dumps(value, JSON_ENCODE_ANY);

	printf("%s: %s\n", key, quoted ? quoted : "\"\"");
	free(quoted);
	json_decref(value);
}

static void put_rule(const struct rule *rule)
{
	put_text("      - alert", rule->alert);
	put_text("        expr", rule->expr);
	if (rule->wait)
		put_text("        for", rule->wait);
	puts("        labels:");
	put_text("          severity", rule->severity);
	puts("        annotations:");
	put_text("          summary", rule->summary);
}

static const char *help_of(const char *name)
{
	for (size_t i = 0; i < COUNTERS; i++) {
		if (!strcmp(counters[i].name, name))
			return counters[i].help;
	}
	return NULL;
}

/* fallback_none: LbctlFallbackNone */
static void make_alert_name(const char *name, char *out)
{
	bool first = true;

	out += sprintf(out, "Lbctl");
	for (; *name; name++) {
		if (*name != '_')
			*out++ = first ? *name - 'a' + 'A' : *name;
		first = *name == '_';
	}
	*out = '\0';
}

static int put_trouble(const char *name)
{
	char alert[64], expr[96], summary[256];
	const char *help = help_of(name);

	if (!help)
		return -1;
	make_alert_name(name, alert);
	snprintf(expr, sizeof(expr), "increase(lbctl_%s_total[5m]) > 0", name);
	snprintf(summary, sizeof(summary), "{{ $labels.service }}: {{ $value | humanize }} %s",
		 help);
	put_rule(&(struct rule){ alert, expr, NULL, "warning", summary });
	return 0;
}

static int print_rules(void)
{
	int err = 0;

	puts("# Alert rules for Prometheus, as build/lbctl-observe rules prints them.\n"
	     "groups:\n  - name: lbctl\n    rules:");
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		put_rule(&rules[i]);
	for (size_t i = 0; i < TROUBLE_COUNT && !err; i++)
		err = put_trouble(troubles[i]);
	return err;
}

static int print_dashboard(void)
{
	json_t *dashboard = make_dashboard();
	int err = dashboard ? json_dumpf(dashboard, stdout, JSON_INDENT(1)) : -1;

	putchar('\n');
	json_decref(dashboard);
	return err;
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "grafana"))
		return print_dashboard() ? 1 : 0;
	if (argc == 2 && !strcmp(argv[1], "rules"))
		return print_rules() ? 1 : 0;
	fputs("usage: lbctl-observe grafana|rules\n", stderr);
	return 2;
}
