// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* lb-bench sweep: how many users a server takes. */
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include "cmd.h"
#include "options.h"
#include "sweep.h"

#define MAX_S 60
#define MAX_TIMEOUT_MS 60000

struct sweep_options {
	struct sweep sweep;
	const char *out;
	bool json, help;
};

static const char help_text[] =
	"usage: lb-bench sweep [OPTION]... URL\n"
	"Throughput and response time of a server against the number of users, and apart from\n"
	"that against the requests of each user. Finds the knee, where throughput stops to rise\n"
	"and response time begins to, and advises a range of users around it.\n"
	"URL is HOST[:PORT][/PATH], with or without http://.\n"
	"\n"
	"      --from N          users (default 1)\n"
	"      --to N            users (default 1000)\n"
	"      --steps N         from one to the other, geometrically; 4 to 100 (default 20)\n"
	"      --reps N          most requests of each user, from 1, about doubled each time; 0\n"
	"                        leaves that sweep out (default 100)\n"
	"      --seconds S       of load in a step (default 0.5)\n"
	"      --rounds N        of all steps; 1 to 20 (default 3)\n"
	"  -k, --keep-alive      use connections again (default: one for each request)\n"
	"      --workers N       that share the load (default: of the lbctl service that listens\n"
	"                        there, else as many as have answered)\n"
	"      --timeout MS      a request without an answer has failed (default 5000)\n"
	"      --worker-header H field that names the worker (default X-Worker)\n"
	"      --out DIR         write sweep.dat, sweep.json and, by gnuplot, sweep.svg and .png\n"
	"      --json            one JSON object on standard output\n"
	"  -q, --quiet           no progress line\n"
	"  -h, --help            this text\n"
	"\n"
	"The knee is found by Kneedle: Satopaa, Albrecht, Irwin, Raghavan: Finding a \"Kneedle\" in\n"
	"a Haystack, 2011. The range keeps 90 % of the knee's throughput and at most 1.5 times its\n"
	"response time. With the defaults a sweep takes some 45 s.\n";

#define FIELD(name) offsetof(struct sweep_options, name)

static const struct options_row known[] = {
	{ "from", 0, OPTIONS_UINT, FIELD(sweep.from), 1, LOAD_MAX_USERS, NULL },
	{ "to", 0, OPTIONS_UINT, FIELD(sweep.to), 1, LOAD_MAX_USERS, NULL },
	{ "steps", 0, OPTIONS_UINT, FIELD(sweep.steps), 4, SWEEP_MAX_STEPS, NULL },
	{ "reps", 0, OPTIONS_COUNT, FIELD(sweep.most_repetitions), 0, SWEEP_MAX_REPETITIONS, NULL },
	{ "seconds", 0, OPTIONS_REAL, FIELD(sweep.seconds), 0, MAX_S, NULL },
	{ "rounds", 0, OPTIONS_UINT, FIELD(sweep.rounds), 1, SWEEP_MAX_ROUNDS, NULL },
	{ "keep-alive", 'k', OPTIONS_FLAG, FIELD(sweep.keep_alive), 0, 0, NULL },
	{ "workers", 0, OPTIONS_UINT, FIELD(sweep.served.workers), 1, LOAD_MAX_WORKERS, NULL },
	{ "timeout", 0, OPTIONS_UINT, FIELD(sweep.timeout_ms), 1, MAX_TIMEOUT_MS, NULL },
	{ "worker-header", 0, OPTIONS_TEXT, FIELD(sweep.worker_header), 0, 0, NULL },
	{ "out", 0, OPTIONS_TEXT, FIELD(out), 0, 0, NULL },
	{ "json", 0, OPTIONS_FLAG, FIELD(json), 0, 0, NULL },
	{ "quiet", 'q', OPTIONS_FLAG, FIELD(sweep.quiet), 0, 0, NULL },
	{ "help", 'h', OPTIONS_HELP, FIELD(help), 0, 0, NULL },
	{ 0 },
};

static int parse(int argc, char **argv, struct sweep_options *options, struct trouble *trouble)
{
	struct sweep *sweep = &options->sweep;
	int rest, status;

	status = options_read(known, options, argc, argv, "lb-bench sweep --help", &rest, trouble);
	if (status || options->help)
		return status;
	if (rest == argc)
		return trouble_set(trouble, EXIT_USAGE, "what is to be swept? give a URL");
	sweep->url = argv[rest];
	if (rest + 1 < argc)
		return trouble_set(trouble, EXIT_USAGE, "what is '%s'? one URL is taken",
				   argv[rest + 1]);
	if (sweep->from >= sweep->to)
		return trouble_set(trouble, EXIT_USAGE, "--from %u is not below --to %u",
				   sweep->from, sweep->to);
	return EXIT_DONE;
}

static int print(const struct sweep_options *options, struct trouble *trouble)
{
	if (options->json)
		return cmd_print_json(sweep_json(&options->sweep), trouble);
	sweep_text(stdout, &options->sweep);
	return fflush(stdout) ? trouble_set(trouble, EXIT_FAILED, "can't write the result") :
				EXIT_DONE;
}

static int run(struct sweep_options *options, struct trouble *trouble)
{
	struct sweep *sweep = &options->sweep;
	struct targets targets = { 0 };
	struct world world;
	int status = targets_add(&targets, sweep->url, sweep->keep_alive, trouble);

	sweep->targets = &targets;
	if (!status)
		status = world_find(&world, trouble);
	if (!status)
		status = cmd_make_out(options->out, trouble);
	if (!status && !sweep->served.workers)
		served_find(&world, &targets.all[0], &sweep->served);
	if (!status)
		status = sweep_run(sweep, trouble);
	if (!status)
		status = print(options, trouble);
	if (!status && options->out)
		status = sweep_write(sweep, &world, options->out, trouble);
	targets_free(&targets);
	return status;
}

int cmd_sweep(int argc, char **argv)
{
	static struct sweep_options options = {
		.sweep = {
			.from = 1,
			.to = 1000,
			.steps = 20,
			.rounds = 3,
			.timeout_ms = 5000,
			.most_repetitions = 100,
			.seconds = 0.5,
			.worker_header = "X-Worker",
		},
	};
	struct trouble trouble = { 0 };
	int status = parse(argc, argv, &options, &trouble);

	if (!status && options.help) {
		fputs(help_text, stdout);
		return EXIT_DONE;
	}
	if (!isatty(STDERR_FILENO))
		options.sweep.quiet = true;
	cmd_catch_signals();
	if (!status)
		status = run(&options, &trouble);
	return status ? cmd_fail(&trouble) : EXIT_DONE;
}
