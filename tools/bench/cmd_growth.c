// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * lb-bench growth: what more workers and more services cost. The cost of a decision by policy and
 * workers is steercost's; it is called here so that one command has it all.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "growth.h"
#include "machine.h"
#include "options.h"
#include "peer.h"

#define STEERCOST_WORKERS "2,4,8,16,64,256,1024"

static const unsigned int workers[] = { 2, 4, 16, 64, 256, 1024 };
static const unsigned int services[] = { 1, 8, 64 };
static const unsigned int runs[] = { 4, 128, 1024 };

#define NR_WORKERS (sizeof(workers) / sizeof(workers[0]))
#define NR_SERVICES (sizeof(services) / sizeof(services[0]))
#define NR_RUNS (2 * sizeof(runs) / sizeof(runs[0])) /* each bound, and with --listen */

struct growth_options {
	const char *out;
	uint64_t rounds, batches;
	bool json, help;
};

struct growth {
	struct growth_workers workers[NR_WORKERS];
	struct growth_services services[NR_SERVICES];
	struct growth_run runs[NR_RUNS];
	json_t *decisions; /* steercost's */
};

static const char help_text[] =
	"usage: lb-bench growth [OPTION]...\n"
	"What more workers and services cost: attach and detach of 2 to 1,024 workers; start, reload\n"
	"and stop of 4 to 1,024 by lbctl run, once each; attach and a decision with 1 to 64 services,\n"
	"and by steercost a decision with 2 to 1,024 workers (root).\n"
	"\n"
	"      --rounds N   attaches of each number of workers, 1 to 100 (default 5)\n"
	"      --batches N  of steercost, 1 to 1000 (default 20)\n"
	"      --out DIR    write growth.json there as well\n"
	"      --json       JSON instead of tables\n"
	"  -h, --help       this text\n";

#define FIELD(name) offsetof(struct growth_options, name)

static const struct options_row known[] = {
	{ "rounds", 0, OPTIONS_COUNT, FIELD(rounds), 1, GROWTH_MAX_ROUNDS, NULL },
	{ "batches", 0, OPTIONS_COUNT, FIELD(batches), 1, 1000, NULL },
	{ "out", 0, OPTIONS_TEXT, FIELD(out), 0, 0, NULL },
	{ "json", 0, OPTIONS_FLAG, FIELD(json), 0, 0, NULL },
	{ "help", 'h', OPTIONS_HELP, FIELD(help), 0, 0, NULL },
	{ 0 },
};

static int measure_decisions(const struct growth_options *options, const struct world *world,
			     json_t **decisions, struct trouble *trouble)
{
	char command[PATH_MAX + 128];
	FILE *pipe;

	snprintf(command, sizeof(command),
		 "'%s/steercost' --json --workers " STEERCOST_WORKERS " --batches %llu",
		 world->build, (unsigned long long)options->batches);
	fflush(NULL);
	pipe = popen(command, "re");
	*decisions = pipe ? json_loadf(pipe, 0, NULL) : NULL;
	if (!pipe || pclose(pipe) || !*decisions)
		return trouble_set(trouble, EXIT_FAILED, "steercost failed: see above");
	return EXIT_DONE;
}

static int measure(const struct growth_options *options, const struct world *world,
		   struct growth *growth, struct trouble *trouble)
{
	int status = EXIT_DONE;

	for (size_t i = 0; i < NR_WORKERS && !status && !cmd_stop; i++)
		status = growth_attach(world, workers[i], options->rounds, &growth->workers[i],
				       trouble);
	for (size_t i = 0; i < NR_RUNS && !status && !cmd_stop; i++) {
		growth->runs[i] = (struct growth_run){ .workers = runs[i / 2], .listen = i % 2 };
		status = growth_run(world, &growth->runs[i], trouble);
	}
	if (!status && !cmd_stop)
		status = growth_services(world, services, NR_SERVICES, growth->services, trouble);
	if (!status && !cmd_stop)
		status = measure_decisions(options, world, &growth->decisions, trouble);
	return cmd_stop ? trouble_set(trouble, 128 + SIGINT, "stopped") : status;
}

static void print_decisions(const json_t *results)
{
	const json_t *row;
	const char *variant;
	size_t i, j;

	fputs("\nns per decision, by steercost\nworkers", stdout);
	json_array_foreach(results, i, row) {
		if (json_integer_value(json_object_get(row, "workers")) == workers[0])
			printf("  %s", json_string_value(json_object_get(row, "variant")));
	}
	for (i = j = 0; i < json_array_size(results); i++, j++) {
		row = json_array_get(results, i);
		variant = json_string_value(json_object_get(row, "variant"));
		if (!strcmp(variant, "empty"))
			printf("\n%7lld", json_integer_value(json_object_get(row, "workers")));
		printf("  %*.0f", (int)strlen(variant),
		       json_number_value(json_object_get(row, "median_ns")));
	}
	putchar('\n');
}

static void print_interval(const struct interval *interval)
{
	char text[48];

	snprintf(text, sizeof(text), "%.0f (%.0f-%.0f)", interval->middle, interval->low,
		 interval->high);
	printf("  %-24s", text);
}

static void print_runs(const struct growth_run *rows)
{
	printf("\nlbctl run, once; CPU of lbctl alone\n%7s  %-8s  %8s  %8s  %8s  %8s  %8s  %8s\n",
	       "workers", "port", "online s", "CPU s", "reload s", "CPU s", "stop s", "MB");
	for (size_t i = 0; i < NR_RUNS; i++)
		printf("%7u  %-8s  %8.2f  %8.2f  %8.2f  %8.2f  %8.2f  %8.0f\n", rows[i].workers,
		       rows[i].listen ? "--listen" : "bound", rows[i].online_s,
		       rows[i].online_cpu_s, rows[i].reload_s, rows[i].reload_cpu_s, rows[i].stop_s,
		       rows[i].memory_mb);
}

static void print_tables(const struct growth_options *options, const struct growth *growth)
{
	printf("growth: medians of %llu attaches (smallest-largest), ms\n\n%7s  %-24s  %-24s\n",
	       (unsigned long long)options->rounds, "workers", "attach", "detach");
	for (size_t i = 0; i < NR_WORKERS; i++) {
		const struct growth_workers *row = &growth->workers[i];

		printf("%7u", row->workers);
		print_interval(&row->attach_ms);
		print_interval(&row->detach_ms);
		putchar('\n');
	}
	print_runs(growth->runs);
	printf("\n%8s  %9s  %-24s  %-24s  %s\n", "services", "attach ms", "one: ns per decision",
	       "in turn: ns per decision", "connect() to the one: us");
	for (size_t i = 0; i < NR_SERVICES; i++) {
		const struct growth_services *row = &growth->services[i];

		printf("%8u  %9.0f", row->services, row->attach_ms);
		print_interval(&row->one_ns);
		print_interval(&row->in_turn_ns);
		print_interval(&row->connect_us);
		putchar('\n');
	}
	print_decisions(json_object_get(growth->decisions, "results"));
}

static json_t *runs_json(const struct growth_run *rows)
{
	json_t *out = json_array();

	for (size_t i = 0; i < NR_RUNS; i++)
		json_array_append_new(out, json_pack("{s:i, s:b, s:f, s:f, s:f, s:f, s:f, s:f}",
						     "workers", (int)rows[i].workers, "listen",
						     rows[i].listen, "online_s", rows[i].online_s,
						     "online_cpu_s", rows[i].online_cpu_s,
						     "reload_s", rows[i].reload_s, "reload_cpu_s",
						     rows[i].reload_cpu_s, "stop_s", rows[i].stop_s,
						     "memory_mb", rows[i].memory_mb));
	return out;
}

static json_t *growth_json(const struct growth_options *options, const struct growth *growth,
			   const char *command, json_t *machine, time_t began)
{
	json_t *by_workers = json_array(), *by_services = json_array();

	for (size_t i = 0; i < NR_WORKERS; i++) {
		const struct growth_workers *row = &growth->workers[i];

		json_array_append_new(by_workers,
				      json_pack("{s:i, s:o, s:o}", "workers", (int)row->workers,
						"attach_ms", cmd_interval_json(&row->attach_ms),
						"detach_ms", cmd_interval_json(&row->detach_ms)));
	}
	for (size_t i = 0; i < NR_SERVICES; i++) {
		const struct growth_services *row = &growth->services[i];

		json_array_append_new(by_services,
				      json_pack("{s:i, s:f, s:o, s:o, s:o}", "services",
						(int)row->services, "attach_ms", row->attach_ms,
						"one_ns", cmd_interval_json(&row->one_ns),
						"in_turn_ns", cmd_interval_json(&row->in_turn_ns),
						"connect_us", cmd_interval_json(&row->connect_us)));
	}
	return json_pack("{s:i, s:s, s:o, s:s, s:o, s:i, s:o, s:o, s:o, s:O}", "schema", 1, "kind",
			 "growth", "machine", machine, "command", command, "began",
			 cmd_time_json(began), "rounds", (int)options->rounds, "workers",
			 by_workers, "runs", runs_json(growth->runs), "services", by_services,
			 "decisions", growth->decisions);
}

static int run(const struct growth_options *options, const char *command, struct trouble *trouble)
{
	const time_t began = time(NULL);
	struct growth growth = { 0 };
	struct peers peers;
	struct world world;
	int status = world_enter(&world, trouble);

	if (!status)
		status = peers_find(&peers, &world, NULL, trouble); /* for their versions */
	if (!status)
		status = measure(options, &world, &growth, trouble);
	if (!status && !options->json)
		print_tables(options, &growth);
	if (!status && (options->json || options->out))
		status = cmd_write_json(growth_json(options, &growth, command,
						    machine_json(&world, &peers), began),
					options->json, options->out, "growth", trouble);
	json_decref(growth.decisions);
	return status;
}

int cmd_growth(int argc, char **argv)
{
	struct growth_options options = { .rounds = 5, .batches = 20 };
	struct trouble trouble = { 0 };
	char command[CMD_LINE_BYTES];
	int status;

	cmd_line("lb-bench growth", argc, argv, command);
	status = options_read_all(known, &options, argc, argv, "lb-bench growth --help", &trouble);
	if (!status && options.help) {
		fputs(help_text, stdout);
		return EXIT_DONE;
	}
	if (!status)
		status = cmd_hold_out(&options.out, &trouble);
	if (!status)
		status = run(&options, command, &trouble);
	return status ? cmd_fail(&trouble) : EXIT_DONE;
}
