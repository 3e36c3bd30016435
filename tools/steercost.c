// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What a decision of the steering program costs inside the kernel, per policy and number of
 * workers, next to two programs that do the least (bpf/floor.bpf.c). The figures are the kernel's
 * own, run time by number of runs. All variants take turns in short batches, so that whatever else
 * the machine does hits all alike. Nothing outside of namespaces of its own is touched, and a
 * missed goal changes no exit status. The parts are in steercost/.
 */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "steercost/bench.h"
#include "steercost/report.h"

#define MAX_BENCHES 8
#define MAX_BATCHES 10000
#define MAX_CONNECTIONS 1000
#define FIRST_PORT 8001 /* nobody else is in our network namespace */

struct options {
	uint32_t workers[MAX_BENCHES];
	size_t nr_benches;
	uint32_t batches;
	uint32_t connections;
	bool json;
	bool help;
};

static const char help_text[] =
	"usage: steercost [OPTION]...\n"
	"What a decision of the steering program costs, per policy and number of workers (root).\n"
	"\n"
	"  --batches N       batches of each variant, 1 to 10000 (default 40)\n"
	"  --connections N   measured connections of a batch, 1 to 1000 (default 200)\n"
	"  --workers LIST    numbers of workers, 1 to 1024 each (default 4,64,1024)\n"
	"  --json            one JSON object instead of a table\n"
	"  --help            this text\n";

static int ignore_libbpf(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level;
	(void)format;
	(void)args;
	return 0;
}

static int parse_count(const char *option, const char *text, uint32_t max, uint32_t *count,
		       struct trouble *trouble)
{
	uint64_t value;

	if (parse_u64(text, 1, max, &value))
		return trouble_set(trouble, EXIT_USAGE, "%s: '%s' is not a number from 1 to %u",
				   option, text, max);
	*count = value;
	return EXIT_DONE;
}

static int parse_workers(const char *text, struct options *options, struct trouble *trouble)
{
	_cleanup_free_ char *copy = strdup(text);
	char *rest = copy, *item;
	uint32_t count = 0;

	if (!copy)
		return trouble_set(trouble, EXIT_FAILED, "%s", strerror(ENOMEM));
	options->nr_benches = 0;
	while ((item = strsep(&rest, ","))) {
		if (options->nr_benches == MAX_BENCHES)
			return trouble_set(trouble, EXIT_USAGE, "--workers: more than %d numbers",
					   MAX_BENCHES);
		if (parse_count("--workers", item, LB_MAX_WORKERS, &count, trouble))
			return trouble->status;
		for (size_t i = 0; i < options->nr_benches; i++) {
			if (options->workers[i] == count)
				return trouble_set(trouble, EXIT_USAGE, "--workers: %u twice",
						   count);
		}
		options->workers[options->nr_benches++] = count;
	}
	return EXIT_DONE;
}

static int parse_options(int argc, char **argv, struct options *options, struct trouble *trouble)
{
	static const struct option known[] = {
		{ "batches", required_argument, NULL, 'b' },
		{ "connections", required_argument, NULL, 'c' },
		{ "workers", required_argument, NULL, 'w' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int option, status = EXIT_DONE;

	opterr = 0;
	while (!status && (option = getopt_long(argc, argv, ":h", known, NULL)) != -1) {
		switch (option) {
		case 'b':
			status = parse_count("--batches", optarg, MAX_BATCHES, &options->batches,
					     trouble);
			break;
		case 'c':
			status = parse_count("--connections", optarg, MAX_CONNECTIONS,
					     &options->connections, trouble);
			break;
		case 'w':
			status = parse_workers(optarg, options, trouble);
			break;
		case 'j':
			options->json = true;
			break;
		case 'h':
			options->help = true;
			return EXIT_DONE;
		default:
			return trouble_set(trouble, EXIT_USAGE, "%s '%s'; see steercost --help",
					   option == ':' ? "no value after" : "unknown option",
					   argv[optind - 1]);
		}
	}
	if (!status && optind < argc)
		return trouble_set(trouble, EXIT_USAGE, "what is '%s'? see steercost --help",
				   argv[optind]);
	return status;
}

static int raise_descriptors(const struct options *options, struct trouble *trouble)
{
	rlim_t needed = options->connections;
	struct rlimit limit;

	for (size_t i = 0; i < options->nr_benches; i++)
		needed += bench_descriptors(options->workers[i]);
	if (!getrlimit(RLIMIT_NOFILE, &limit) && limit.rlim_cur >= needed)
		return EXIT_DONE;
	limit.rlim_cur = needed;
	if (limit.rlim_max < needed)
		limit.rlim_max = needed;
	if (setrlimit(RLIMIT_NOFILE, &limit))
		return trouble_set(trouble, EXIT_NOT_ABLE,
				   "can't have %lu open descriptors: %s; raise ulimit -Hn",
				   (unsigned long)needed, strerror(errno));
	return EXIT_DONE;
}

static int open_all(struct bench *benches, const struct options *options, struct trouble *trouble)
{
	int status = bench_isolate(trouble);

	if (!status)
		status = raise_descriptors(options, trouble);
	for (size_t i = 0; i < options->nr_benches && !status; i++)
		status = bench_open(&benches[i], options->workers[i], FIRST_PORT + i,
				    options->batches, trouble);
	return status;
}

static int measure_all(struct bench *benches, const struct options *options,
		       struct trouble *trouble)
{
	_cleanup_close_ int stats = bpf_enable_stats(BPF_STATS_RUN_TIME);
	const uint32_t turns = options->nr_benches * VARIANTS;
	int status = EXIT_DONE;

	if (stats < 0)
		return trouble_set(trouble, EXIT_NOT_ABLE,
				   "the kernel won't count BPF run times (5.8 on): %s",
				   strerror(errno));
	for (uint32_t i = 0; i < options->batches * turns && !status; i++)
		status = bench_measure(&benches[i % turns / VARIANTS], i % VARIANTS, i / turns,
				       options->connections, trouble);
	for (size_t i = 0; i < options->nr_benches && !status; i++)
		status = bench_check(&benches[i], trouble);
	return status;
}

static int run(const struct options *options, struct trouble *trouble)
{
	struct bench benches[MAX_BENCHES] = { 0 };
	int err, status;

	status = open_all(benches, options, trouble);
	if (!status)
		status = measure_all(benches, options, trouble);
	if (!status) {
		err = report_write(benches, options->nr_benches, options->batches,
				   options->connections, options->json);
		if (err)
			status = trouble_set(trouble, EXIT_FAILED, "can't write the result: %s",
					     strerror(-err));
	}
	for (size_t i = 0; i < options->nr_benches; i++)
		bench_close(&benches[i]);
	return status;
}

int main(int argc, char **argv)
{
	struct options options = {
		.workers = { 4, 64, LB_MAX_WORKERS },
		.nr_benches = 3,
		.batches = 40,
		.connections = 200,
	};
	struct trouble trouble = { 0 };
	int status = parse_options(argc, argv, &options, &trouble);

	if (!status && options.help) {
		fputs(help_text, stdout);
		return EXIT_DONE;
	}
	libbpf_set_print(ignore_libbpf);
	if (!status)
		status = run(&options, &trouble);
	if (status)
		fprintf(stderr, "steercost: %s\n", trouble.text);
	return status;
}
