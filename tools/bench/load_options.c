// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See load_options.h. */
#include "load_options.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>

#include "base/parse.h"
#include "options.h"

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

static int set_time(void *fields, const char *text, struct trouble *trouble)
{
	struct load_options *options = fields;

	return load_options_time(text, &options->plan.seconds, trouble);
}

/* From 0, where other numbers begin above it. */
static int set_delay(void *fields, const char *text, struct trouble *trouble)
{
	struct load_options *options = fields;

	return options_real("-d", text, -1, MAX_S, &options->plan.delay_s, trouble);
}

static int set_hold(void *fields, const char *text, struct trouble *trouble)
{
	struct load_options *options = fields;

	options->plan.hold = true;
	return options_real("--hold", text, 0, MAX_S, &options->plan.hold_s, trouble);
}

#define FIELD(name) offsetof(struct load_options, name)

static const struct options_row known[] = {
	{ "concurrent", 'c', OPTIONS_UINT, FIELD(plan.users), 1, LOAD_MAX_USERS, NULL },
	{ "reps", 'r', OPTIONS_COUNT, FIELD(plan.repetitions), 1, MAX_REPETITIONS, NULL },
	{ "time", 't', OPTIONS_OTHER, 0, 0, 0, set_time },
	{ "delay", 'd', OPTIONS_OTHER, 0, 0, 0, set_delay },
	{ "benchmark", 'b', OPTIONS_FLAG, FIELD(benchmark), 0, 0, NULL },
	{ "rate", 0, OPTIONS_REAL, FIELD(plan.rate), 0, MAX_RATE, NULL },
	{ "poisson", 0, OPTIONS_FLAG, FIELD(plan.poisson), 0, 0, NULL },
	{ "keep-alive", 'k', OPTIONS_FLAG, FIELD(plan.keep_alive), 0, 0, NULL },
	{ "hold", 0, OPTIONS_OTHER, 0, 0, 0, set_hold },
	{ "file", 'f', OPTIONS_TEXT, FIELD(file), 0, 0, NULL },
	{ "internet", 'i', OPTIONS_FLAG, FIELD(plan.any_order), 0, 0, NULL },
	{ "timeout", 0, OPTIONS_UINT, FIELD(plan.timeout_ms), 1, PARSE_MAX_MS, NULL },
	{ "seed", 0, OPTIONS_COUNT, FIELD(plan.seed), 0, UINT64_MAX, NULL },
	{ "worker-header", 0, OPTIONS_TEXT, FIELD(plan.worker_header), 0, 0, NULL },
	{ "json", 0, OPTIONS_FLAG, FIELD(json), 0, 0, NULL },
	{ "quiet", 'q', OPTIONS_FLAG, FIELD(quiet), 0, 0, NULL },
	{ "help", 'h', OPTIONS_HELP, FIELD(help), 0, 0, NULL },
	{ 0 },
};

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
	int rest, status;

	*options = (struct load_options){
		.plan = { .timeout_ms = 30000, .seed = 1, .worker_header = "X-Worker" },
	};
	status = options_read(known, options, argc, argv, "lb-bench load --help", &rest, trouble);
	if (status || options->help)
		return status;
	if (rest < argc)
		options->url = argv[rest++];
	if (rest < argc)
		return trouble_set(trouble, EXIT_USAGE,
				   "what is '%s'? one URL is taken, more by -f FILE", argv[rest]);
	if (options->benchmark)
		options->plan.delay_s = 0;
	return complete(options, trouble);
}
