// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See load_options.h. */
#include "load_options.h"

#include <ctype.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "parse.h"

#define MAX_S 86400
#define MAX_RATE 1000000
#define MAX_REPETITIONS 1000000000

const char load_options_help[] =
	"usage: lb-bench load [OPTION]... URL | -f FILE\n"
	"Sends requests and says how they went, and which worker each connection came to.\n"
	"URL is HOST[:PORT][/PATH], with or without http://.\n"
	"\n"
	"Closed loop: a user sends the next request when the last one is answered\n"
	"  -c, --concurrent N    users (default 25)\n"
	"  -r, --reps N          requests of each user (default 1, unless -t is given)\n"
	"  -t, --time N[S|M|H]   seconds, minutes or hours; without a letter minutes, as in siege\n"
	"  -d, --delay SEC       each user waits 0 to SEC before each request\n"
	"  -b, --benchmark       no delay, whatever -d says\n"
	"Open loop: requests begin when they are due, whether others were answered or not\n"
	"      --rate N          requests per second; takes -t; -c: most at once (default 10000)\n"
	"      --poisson         at random times with that mean, not evenly\n"
	"Both\n"
	"  -k, --keep-alive      use connections again (default: one for each request)\n"
	"      --hold SEC        keep each answered connection open, for SEC on average\n"
	"  -f, --file FILE       URLs, one a line; # begins a comment\n"
	"  -i, --internet        take them at random, not in turn\n"
	"      --timeout MS      a request without an answer has failed (default 30000)\n"
	"      --seed N          of all that is random (default 1)\n"
	"      --worker-header H field that names the worker (default X-Worker; without it a body\n"
	"                        that begins with \"worker NAME\")\n"
	"      --json            one JSON object on standard output\n"
	"  -q, --quiet           no progress line\n"
	"  -h, --help            this text\n"
	"\n"
	"A request's time is that from its begin, with its connection's, to its answer's last byte;\n"
	"in the open loop from when it was due. Exit status 1: a request has failed.\n";

enum {
	OPT_RATE = 256,
	OPT_POISSON,
	OPT_HOLD,
	OPT_TIMEOUT,
	OPT_SEED,
	OPT_WORKER_HEADER,
	OPT_JSON,
};

static const struct option known[] = {
	{ "concurrent", required_argument, NULL, 'c' },
	{ "reps", required_argument, NULL, 'r' },
	{ "time", required_argument, NULL, 't' },
	{ "delay", required_argument, NULL, 'd' },
	{ "benchmark", no_argument, NULL, 'b' },
	{ "rate", required_argument, NULL, OPT_RATE },
	{ "poisson", no_argument, NULL, OPT_POISSON },
	{ "keep-alive", no_argument, NULL, 'k' },
	{ "hold", required_argument, NULL, OPT_HOLD },
	{ "file", required_argument, NULL, 'f' },
	{ "internet", no_argument, NULL, 'i' },
	{ "timeout", required_argument, NULL, OPT_TIMEOUT },
	{ "seed", required_argument, NULL, OPT_SEED },
	{ "worker-header", required_argument, NULL, OPT_WORKER_HEADER },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "quiet", no_argument, NULL, 'q' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

int load_options_time(const char *text, double *seconds, struct trouble *trouble)
{
	size_t len = strlen(text);
	char number[16] = "";
	double unit_s = 60;
	uint64_t value;

	if (len && isalpha((unsigned char)text[len - 1])) {
		len--;
		switch (toupper((unsigned char)text[len])) {
		case 'S':
			unit_s = 1;
			break;
		case 'M':
			break;
		case 'H':
			unit_s = 3600;
			break;
		default:
			len = 0;
		}
	}
	if (len < sizeof(number))
		memcpy(number, text, len);
	if (parse_u64(number, 1, MAX_S, &value) || value * unit_s > MAX_S)
		return trouble_set(trouble, EXIT_USAGE,
				   "-t: '%s' is not a time of at most a day: 10S, 2M or 1H", text);
	*seconds = value * unit_s;
	return EXIT_DONE;
}

static int set_count(const char *name, uint64_t max, uint64_t *value, struct trouble *trouble)
{
	return cmd_parse_count(name, optarg, 1, max, value, trouble);
}

static int set_number(struct load_plan *plan, int option, struct trouble *trouble)
{
	uint64_t value = 0;
	int status;

	switch (option) {
	case 'c':
		status = set_count("-c", LOAD_MAX_USERS, &value, trouble);
		plan->users = value;
		return status;
	case 'r':
		return set_count("-r", MAX_REPETITIONS, &plan->repetitions, trouble);
	case 't':
		return load_options_time(optarg, &plan->seconds, trouble);
	case 'd':
		return cmd_parse_real("-d", optarg, -1, MAX_S, &plan->delay_s, trouble);
	case OPT_RATE:
		return cmd_parse_real("--rate", optarg, 0, MAX_RATE, &plan->rate, trouble);
	case OPT_HOLD:
		plan->hold = true;
		return cmd_parse_real("--hold", optarg, 0, MAX_S, &plan->hold_s, trouble);
	case OPT_TIMEOUT:
		status = set_count("--timeout", PARSE_MAX_MS, &value, trouble);
		plan->timeout_ms = value;
		return status;
	default:
		return cmd_parse_count("--seed", optarg, 0, UINT64_MAX, &plan->seed, trouble);
	}
}

static int set_option(struct load_options *options, int option, bool *benchmark,
		      struct trouble *trouble)
{
	switch (option) {
	case 'b':
		*benchmark = true;
		break;
	case OPT_POISSON:
		options->plan.poisson = true;
		break;
	case 'k':
		options->plan.keep_alive = true;
		break;
	case 'f':
		options->file = optarg;
		break;
	case 'i':
		options->plan.any_order = true;
		break;
	case OPT_WORKER_HEADER:
		options->plan.worker_header = optarg;
		break;
	case OPT_JSON:
		options->json = true;
		break;
	case 'q':
		options->quiet = true;
		break;
	case 'h':
		options->help = true;
		break;
	default:
		return set_number(&options->plan, option, trouble);
	}
	return EXIT_DONE;
}

static int check_open_loop(const struct load_plan *plan, struct trouble *trouble)
{
	if (plan->repetitions)
		return trouble_set(trouble, EXIT_USAGE,
				   "--rate and -r: an open loop has no users who repeat; say how "
				   "long by -t");
	if (!plan->seconds)
		return trouble_set(trouble, EXIT_USAGE,
				   "--rate takes a time: add -t, as in -t 10S");
	if (plan->delay_s > 0)
		return trouble_set(trouble, EXIT_USAGE,
				   "--rate and -d: the rate says already when a request begins");
	return EXIT_DONE;
}

/* What does not go together, and defaults. */
static int complete(struct load_options *options, struct trouble *trouble)
{
	struct load_plan *plan = &options->plan;

	if (plan->repetitions && plan->seconds)
		return trouble_set(
			trouble, EXIT_USAGE,
			"-r and -t: either a number of requests or a time ends the run, "
			"and figures of a run that either ended can't be compared; leave "
			"one out");
	if (!options->file == !options->url)
		return trouble_set(trouble, EXIT_USAGE,
				   options->file ? "a URL and -f: leave one out" :
						   "what is to be loaded? give a URL, or -f FILE");
	if (plan->poisson && !plan->rate)
		return trouble_set(trouble, EXIT_USAGE, "--poisson takes --rate");
	if (plan->rate > 0) {
		plan->users = plan->users ? plan->users : 10000;
		return check_open_loop(plan, trouble);
	}
	plan->users = plan->users ? plan->users : 25;
	if (!plan->seconds && !plan->repetitions)
		plan->repetitions = 1;
	return EXIT_DONE;
}

int load_options_parse(struct load_options *options, int argc, char **argv, struct trouble *trouble)
{
	bool benchmark = false;
	int option, status = EXIT_DONE;

	*options = (struct load_options){
		.plan = { .timeout_ms = 30000, .seed = 1, .worker_header = "X-Worker" },
	};
	opterr = 0;
	optind = 0;
	while (!status && !options->help &&
	       (option = getopt_long(argc, argv, ":c:r:t:d:bkf:iqh", known, NULL)) != -1) {
		if (option == ':' || option == '?')
			return cmd_bad_option(option, argv, "lb-bench load --help", trouble);
		status = set_option(options, option, &benchmark, trouble);
	}
	if (status || options->help)
		return status;
	if (optind < argc)
		options->url = argv[optind++];
	if (optind < argc)
		return trouble_set(trouble, EXIT_USAGE,
				   "what is '%s'? one URL is taken, more by -f FILE", argv[optind]);
	if (benchmark)
		options->plan.delay_s = 0;
	return complete(options, trouble);
}
