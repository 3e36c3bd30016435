// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* lb-bench idle: what a peer costs while nobody comes. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cmd.h"
#include "idle.h"
#include "machine.h"
#include "options.h"

#define DEFAULT_PEERS                                                                              \
	"master,haproxy,lbctl-rr,lbctl-least-conn,nginx,nginx-lbctl,node-cluster,pm2,lbctl-run"
#define SETTLE_US 1500000 /* what the warm-up has left to do */

struct idle_options {
	const char *peers, *node, *out;
	uint64_t workers;
	double seconds;
	bool json, help;
};

struct idle_row {
	const struct peer *peer;
	struct idle_sample sample;
	char trouble[256]; /* "" = measured */
};

static const char help_text[] =
	"usage: lb-bench idle [OPTION]...\n"
	"What a peer costs while nobody comes: wake-ups, CPU time and memory of the processes that\n"
	"serve, and of those that only keep them (root). A peer takes some 3 s more than --seconds.\n"
	"\n"
	"      --peers LIST  names of `lb-bench peers`, commas between them\n"
	"      --seconds S   to look at each (default 5)\n"
	"      --workers N   1 to 64 (default 4)\n"
	"      --node WHICH  24 (of the cache), system, or a path (default: 24 if it is there)\n"
	"      --out DIR     write idle.json there as well\n"
	"      --json        JSON instead of a table\n"
	"  -h, --help        this text\n";

#define FIELD(name) offsetof(struct idle_options, name)

static const struct options_row known[] = {
	{ "peers", 0, OPTIONS_TEXT, FIELD(peers), 0, 0, NULL },
	{ "seconds", 0, OPTIONS_REAL, FIELD(seconds), 0, 600, NULL },
	{ "workers", 0, OPTIONS_COUNT, FIELD(workers), 1, 64, NULL },
	{ "node", 0, OPTIONS_TEXT, FIELD(node), 0, 0, NULL },
	{ "out", 0, OPTIONS_TEXT, FIELD(out), 0, 0, NULL },
	{ "json", 0, OPTIONS_FLAG, FIELD(json), 0, 0, NULL },
	{ "help", 'h', OPTIONS_HELP, FIELD(help), 0, 0, NULL },
	{ 0 },
};

static void measure(const struct idle_options *options, const struct peers *peers,
		    const struct world *world, struct idle_row *row)
{
	const struct peer_service service = { .workers = options->workers };
	struct trouble trouble = { 0 };
	struct peer_run run = { 0 };
	int err;

	if (*row->peer->missing) {
		snprintf(row->trouble, sizeof(row->trouble), "%s", row->peer->missing);
		return;
	}
	if (!peer_start(&run, peers, row->peer, world, &service, &trouble)) {
		usleep(SETTLE_US);
		err = idle_measure(options->seconds, &row->sample);
		if (err)
			trouble_set(&trouble, EXIT_FAILED, "can't read /proc: %s", strerror(-err));
	}
	snprintf(row->trouble, sizeof(row->trouble), "%.250s", trouble.text);
	peer_stop(&run);
}

/* Returns how many, or -1 with *trouble set. */
static int find_rows(const char *list, const struct peers *peers, struct idle_row *rows,
		     struct trouble *trouble)
{
	_cleanup_free_ char *copy = strdup(list);
	char *rest = copy, *name;
	int n = 0;

	while (rest && (name = strsep(&rest, ",")) && n < PEER_MAX) {
		rows[n].peer = peers_get(peers, name, trouble);
		if (!rows[n++].peer)
			return -1;
	}
	return n;
}

static void print_cost(const struct idle_cost *cost)
{
	printf("  %5u %10.1f %10.0f %9.1f", cost->processes, cost->wakeups_per_s,
	       cost->cpu_us_per_s, cost->memory_mb);
}

static void print_table(const struct idle_options *options, const struct idle_row *rows, int n)
{
	printf("idle: %g s with no request; %llu workers\n\n", options->seconds,
	       (unsigned long long)options->workers);
	printf("%-18s  %-37s  %s\n", "", "processes that keep", "processes that serve");
	printf("%-18s  %5s %10s %10s %9s  %5s %10s %10s %9s\n", "PEER", "n", "wake-ups/s",
	       "CPU us/s", "MB", "n", "wake-ups/s", "CPU us/s", "MB");
	for (int i = 0; i < n; i++) {
		if (*rows[i].trouble)
			continue;
		printf("%-18s", rows[i].peer->name);
		print_cost(&rows[i].sample.keepers);
		print_cost(&rows[i].sample.workers);
		putchar('\n');
	}
	for (int i = 0; i < n; i++) {
		if (*rows[i].trouble)
			printf("missing: %s: %s\n", rows[i].peer->name, rows[i].trouble);
	}
}

static json_t *cost_json(const struct idle_cost *cost)
{
	return json_pack("{s:i, s:f, s:f, s:f}", "processes", (int)cost->processes, "wakeups_per_s",
			 cost->wakeups_per_s, "cpu_us_per_s", cost->cpu_us_per_s, "memory_mb",
			 cost->memory_mb);
}

static json_t *row_json(const struct idle_row *row)
{
	json_t *object = json_pack("{s:s, s:s, s:s}", "peer", row->peer->name, "what",
				   row->peer->what, "program", row->peer->program);

	if (*row->trouble) {
		json_object_set_new(object, "missing", json_string(row->trouble));
		return object;
	}
	json_object_set_new(object, "keepers", cost_json(&row->sample.keepers));
	json_object_set_new(object, "workers", cost_json(&row->sample.workers));
	return object;
}

static json_t *idle_json(const struct idle_options *options, const struct idle_row *rows, int n,
			 const char *command, json_t *machine, time_t began)
{
	json_t *peers = json_array();

	for (int i = 0; i < n; i++)
		json_array_append_new(peers, row_json(&rows[i]));
	return json_pack("{s:i, s:s, s:o, s:s, s:o, s:i, s:f, s:o}", "schema", 1, "kind", "idle",
			 "machine", machine, "command", command, "began", cmd_time_json(began),
			 "workers", (int)options->workers, "seconds", options->seconds, "peers",
			 peers);
}

static int run(const struct idle_options *options, const char *command, struct trouble *trouble)
{
	struct idle_row rows[PEER_MAX] = { 0 };
	const time_t began = time(NULL);
	struct peers peers;
	struct world world;
	int n = 0, status = world_enter(&world, trouble);

	if (!status)
		status = peers_find(&peers, &world, options->node, trouble);
	if (!status)
		n = find_rows(options->peers, &peers, rows, trouble);
	if (n < 0)
		status = trouble->status;
	for (int i = 0; i < n && !cmd_stop; i++)
		measure(options, &peers, &world, &rows[i]);
	if (cmd_stop)
		return trouble_set(trouble, 128 + SIGINT, "stopped");
	if (!status && !options->json)
		print_table(options, rows, n);
	if (!status && (options->json || options->out))
		status = cmd_write_json(idle_json(options, rows, n, command,
						  machine_json(&world, &peers), began),
					options->json, options->out, "idle", trouble);
	return status;
}

int cmd_idle(int argc, char **argv)
{
	struct idle_options options = { .peers = DEFAULT_PEERS, .workers = 4, .seconds = 5 };
	struct trouble trouble = { 0 };
	char command[CMD_LINE_BYTES];
	int status;

	cmd_line("lb-bench idle", argc, argv, command);
	status = options_read_all(known, &options, argc, argv, "lb-bench idle --help", &trouble);
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
