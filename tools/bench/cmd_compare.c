// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* lb-bench SCENARIO..., lb-bench peers: the options and the order of things. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cmd.h"
#include "compare.h"
#include "machine.h"
#include "options.h"

#define MAX_SCENARIOS 64
#define DEFAULT_ROUNDS 5

struct compare_options {
	const struct scenario *scenarios[MAX_SCENARIOS];
	size_t nr_scenarios;
	const char *peers, *policies, *ours, *node, *out;
	uint64_t rounds, users, workers, seed;
	double seconds;
	bool json, quiet, help;
	char command[CMD_LINE_BYTES];
};

static const char help_text[] =
	"usage: lb-bench SCENARIO... [OPTION]...\n"
	"Runs scenarios on lbctl and its peers, side by side (root).\n"
	"\n"
	"      --peers LIST     names of `lb-bench peers`, commas between them, or all\n"
	"      --policies LIST  of lbctl, in place of those that the scenario has\n"
	"      --ours LIST      what the others are compared with\n"
	"      --rounds N       each runs every peer once; 1 to 100 (default 5; node: 10)\n"
	"      --seconds S      of load in a trial (default: the scenario's; S3, S6, S7 and S8 keep\n"
	"                       theirs, as things happen in them at fixed times)\n"
	"      --users N        closed loop (default: the scenario's)\n"
	"      --workers N      1 to 64 (default 4)\n"
	"      --node WHICH     24 (of the cache), system, or a path (default: 24 if it is there)\n"
	"      --seed N         (default 1)\n"
	"      --out DIR        write SCENARIO.json there as well\n"
	"      --json           JSON on standard output, an object for each scenario\n"
	"  -q, --quiet          no progress line\n"
	"  -h, --help           this text\n"
	"\n"
	"Scenarios (all is every one):\n";

#define FIELD(name) offsetof(struct compare_options, name)

static const struct options_row known[] = {
	{ "peers", 0, OPTIONS_TEXT, FIELD(peers), 0, 0, NULL },
	{ "policies", 0, OPTIONS_TEXT, FIELD(policies), 0, 0, NULL },
	{ "ours", 0, OPTIONS_TEXT, FIELD(ours), 0, 0, NULL },
	{ "rounds", 0, OPTIONS_COUNT, FIELD(rounds), 1, COMPARE_MAX_ROUNDS, NULL },
	{ "seconds", 0, OPTIONS_REAL, FIELD(seconds), 0, 600, NULL },
	{ "users", 0, OPTIONS_COUNT, FIELD(users), 1, LOAD_MAX_USERS, NULL },
	{ "workers", 0, OPTIONS_COUNT, FIELD(workers), 1, 64, NULL },
	{ "node", 0, OPTIONS_TEXT, FIELD(node), 0, 0, NULL },
	{ "seed", 0, OPTIONS_COUNT, FIELD(seed), 0, INT64_MAX, NULL },
	{ "out", 0, OPTIONS_TEXT, FIELD(out), 0, 0, NULL },
	{ "json", 0, OPTIONS_FLAG, FIELD(json), 0, 0, NULL },
	{ "quiet", 'q', OPTIONS_FLAG, FIELD(quiet), 0, 0, NULL },
	{ "help", 'h', OPTIONS_HELP, FIELD(help), 0, 0, NULL },
	{ 0 },
};

static int add_scenario(struct compare_options *options, const char *name, struct trouble *trouble)
{
	const struct scenario *scenario;
	int status = EXIT_DONE;

	if (!strcmp(name, "all")) {
		for (size_t i = 0; i < nr_scenarios && !status; i++)
			status = add_scenario(options, scenarios[i].name, trouble);
		return status;
	}
	scenario = scenario_get(name, trouble);
	if (!scenario)
		return trouble->status;
	if (options->nr_scenarios == MAX_SCENARIOS)
		return trouble_set(trouble, EXIT_USAGE, "more than %d scenarios", MAX_SCENARIOS);
	options->scenarios[options->nr_scenarios++] = scenario;
	return EXIT_DONE;
}

static int parse_options(int argc, char **argv, struct compare_options *options,
			 struct trouble *trouble)
{
	int rest, status;

	status = options_read(known, options, argc, argv, "lb-bench S1 --help", &rest, trouble);
	if (status || options->help)
		return status;
	for (; !status && rest < argc; rest++)
		status = add_scenario(options, argv[rest], trouble);
	if (!status && !options->nr_scenarios)
		return trouble_set(trouble, EXIT_USAGE, "no scenario; lb-bench --help lists them");
	return status;
}

static void apply(const struct compare_options *options, struct scenario *scenario)
{
	if (options->seconds > 0 && scenario->plan.seconds > 0 && !scenario->events[0].kind)
		scenario->plan.seconds = options->seconds;
	if (options->users)
		scenario->plan.users = options->users;
	if (options->workers)
		scenario->service.workers = options->workers;
	if (options->ours)
		scenario->ours = options->ours;
}

/* The scenario's peers without its policies, then those that were asked for. */
static int add_policies(struct comparison *comparison, const char *policies,
			struct trouble *trouble)
{
	_cleanup_free_ char *copy = strdup(policies);
	char *rest = copy, *policy, name[PEER_NAME_MAX];
	size_t kept = 0;
	int status = EXIT_DONE;

	for (size_t i = 0; i < comparison->count; i++) {
		if (strcmp(comparison->entries[i].peer->script, "lbctl"))
			comparison->entries[kept++] = comparison->entries[i];
	}
	comparison->count = kept;
	while (!status && rest && (policy = strsep(&rest, ","))) {
		snprintf(name, sizeof(name), "lbctl-%s", policy);
		status = compare_add(comparison, name, trouble);
	}
	return status;
}

static int run_scenario(const struct compare_options *options, const struct scenario *scenario,
			const struct peers *peers, const struct world *world, json_t *machine,
			struct trouble *trouble)
{
	struct comparison comparison = {
		.scenario = *scenario,
		.peers = peers,
		.world = world,
		.rounds = options->rounds  ? options->rounds :
			  scenario->rounds ? scenario->rounds :
					     DEFAULT_ROUNDS,
		.seed = options->seed,
		.quiet = options->quiet,
		.command = options->command,
		.machine = machine,
	};
	int status;

	apply(options, &comparison.scenario);
	status = compare_add(&comparison, options->peers ? options->peers : scenario->peers,
			     trouble);
	if (!status && options->policies)
		status = add_policies(&comparison, options->policies, trouble);
	if (!status)
		status = compare_run(&comparison, trouble);
	if (!status && !options->json) {
		compare_text(stdout, &comparison);
		puts("");
	}
	if (!status && (options->json || options->out))
		status = cmd_write_json(compare_json(&comparison), options->json, options->out,
					scenario->name, trouble);
	compare_free(&comparison);
	return status;
}

static void print_help(void)
{
	fputs(help_text, stdout);
	for (size_t i = 0; i < nr_scenarios; i++)
		printf("  %-12s %s\n", scenarios[i].name, scenarios[i].title);
}

int cmd_compare(int argc, char **argv)
{
	struct compare_options options = { .seed = 1 };
	struct trouble trouble = { 0 };
	struct peers peers;
	struct world world;
	json_t *machine = NULL;
	int status;

	cmd_line("lb-bench", argc, argv, options.command); /* getopt sorts argv */
	status = parse_options(argc, argv, &options, &trouble);
	if (!status && options.help) {
		print_help();
		return EXIT_DONE;
	}
	if (!status)
		status = cmd_hold_out(&options.out, &trouble);
	if (!status)
		status = world_enter(&world, &trouble);
	if (!status)
		status = peers_find(&peers, &world, options.node, &trouble);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!status)
		machine = machine_json(&world, &peers);
	for (size_t i = 0; i < options.nr_scenarios && !status; i++)
		status = run_scenario(&options, options.scenarios[i], &peers, &world, machine,
				      &trouble);
	json_decref(machine);
	return status ? cmd_fail(&trouble) : EXIT_DONE;
}

int cmd_peers(int argc, char **argv)
{
	struct trouble trouble = { 0 };
	struct peers peers;
	struct world world;
	int status = argc > 1 ? trouble_set(&trouble, EXIT_USAGE, "peers takes no argument") :
				world_find(&world, &trouble);

	(void)argv;
	if (!status)
		status = peers_find(&peers, &world, NULL, &trouble);
	for (size_t i = 0; i < peers.count && !status; i++)
		printf("%-22s %-6s %s%s%s%s\n", peers.all[i].name, peers.all[i].program,
		       peers.all[i].what, *peers.all[i].missing ? " (missing: " : "",
		       peers.all[i].missing, *peers.all[i].missing ? ")" : "");
	return status ? cmd_fail(&trouble) : EXIT_DONE;
}
