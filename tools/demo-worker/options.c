/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The demo worker's command line. */
#include "options.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"

#define MAX_US 3600000000ULL /* an hour */

static const char help[] =
	"usage: lbctl-demo-worker [OPTION]...\n"
	"A small HTTP/1.1 server that says which worker answered.\n"
	"\n"
	"Listening\n"
	"  -l, --listen ADDR:PORT  numeric: 127.0.0.1:8080 (default), [::1]:8080, :8080 for every\n"
	"                          IPv4 address; repeat for several listeners\n"
	"      --dual              IPv6 listeners take IPv4 clients too\n"
	"      --backlog N         length of the accept queue (default 511)\n"
	"      --no-reuseport      do not set SO_REUSEPORT\n"
	"      --no-accept         listen, but never accept; SIGUSR1 switches accepting on and off\n"
	"      --shared            one listening socket for all workers of -n, not one for each\n"
	"      --exclusive         of the workers that share a socket wake one (EPOLLEXCLUSIVE)\n"
	"      --batch N           take at most N connections per wake-up (default 64)\n"
	"      --receive           the sockets of LISTEN_FDS are Unix sockets, through which somebody\n"
	"                          else hands in connections (SCM_RIGHTS)\n"
	"Workers\n"
	"  -n, --workers N         start N worker processes, each with listeners of its own (default 1:\n"
	"                          this process is the worker)\n"
	"      --user NAME         become this user after bind\n"
	"      --grace-ms N        time for requests in flight after SIGTERM or SIGINT (default 5000)\n"
	"Being busy\n"
	"      --work-us N         burn N microseconds of CPU time per request\n"
	"      --sleep-us N        sleep N microseconds per request, and answer nobody meanwhile\n"
	"      --slow W:US         the same for worker W only; repeat for several workers\n"
	"Reporting (liblbctl)\n"
	"      --report            report the number of open connections\n"
	"      --load L[,L...]     report these fixed loads instead, worker by worker, every 100 ms\n"
	"      --join              join LBCTL_SERVICE through its keeper; ends if that fails\n"
	"      --log FILE          append \"WORKER PID CLIENT-PORT\" for each accepted connection\n"
	"  -q, --quiet             do not say where it listens\n"
	"  -h, --help              show this\n"
	"\n"
	"Paths: /slow?ms=N answers after N ms without holding up others, /busy?us=N sleeps N microseconds\n"
	"and answers nobody meanwhile, /stats in JSON, any other path \"worker W pid P conn C req R\".\n"
	"Environment: LBCTL_WORKER (number of the first worker), LISTEN_FDS and LISTEN_PID (listening\n"
	"sockets to use instead of --listen), NOTIFY_SOCKET (gets READY=1 and STOPPING=1).\n";

enum {
	OPT_DUAL = 256,
	OPT_BACKLOG,
	OPT_NO_REUSEPORT,
	OPT_NO_ACCEPT,
	OPT_SHARED,
	OPT_EXCLUSIVE,
	OPT_BATCH,
	OPT_RECEIVE,
	OPT_USER,
	OPT_GRACE_MS,
	OPT_WORK_US,
	OPT_SLEEP_US,
	OPT_SLOW,
	OPT_REPORT,
	OPT_LOAD,
	OPT_JOIN,
	OPT_LOG,
};

static const struct option long_options[] = {
	{ "listen", required_argument, NULL, 'l' },
	{ "dual", no_argument, NULL, OPT_DUAL },
	{ "backlog", required_argument, NULL, OPT_BACKLOG },
	{ "no-reuseport", no_argument, NULL, OPT_NO_REUSEPORT },
	{ "no-accept", no_argument, NULL, OPT_NO_ACCEPT },
	{ "shared", no_argument, NULL, OPT_SHARED },
	{ "exclusive", no_argument, NULL, OPT_EXCLUSIVE },
	{ "batch", required_argument, NULL, OPT_BATCH },
	{ "receive", no_argument, NULL, OPT_RECEIVE },
	{ "workers", required_argument, NULL, 'n' },
	{ "user", required_argument, NULL, OPT_USER },
	{ "grace-ms", required_argument, NULL, OPT_GRACE_MS },
	{ "work-us", required_argument, NULL, OPT_WORK_US },
	{ "sleep-us", required_argument, NULL, OPT_SLEEP_US },
	{ "slow", required_argument, NULL, OPT_SLOW },
	{ "report", no_argument, NULL, OPT_REPORT },
	{ "load", required_argument, NULL, OPT_LOAD },
	{ "join", no_argument, NULL, OPT_JOIN },
	{ "log", required_argument, NULL, OPT_LOG },
	{ "quiet", no_argument, NULL, 'q' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static int parse_int(const char *text, int min, int max, int *value)
{
	uint64_t number;

	if (parse_u64(text, min, max, &number))
		return -EINVAL;
	*value = number;
	return 0;
}

static int parse_us(const char *text, long *value)
{
	uint64_t number;

	if (parse_u64(text, 0, MAX_US, &number))
		return -EINVAL;
	*value = number;
	return 0;
}

static int parse_host(const char *host, uint16_t port, struct demo_address *address)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&address->sockaddr;
	struct sockaddr_in *in4 = (struct sockaddr_in *)&address->sockaddr;
	size_t len = strlen(host);
	char inner[INET6_ADDRSTRLEN];

	memset(address, 0, sizeof(*address));
	if (host[0] != '[') {
		in4->sin_family = AF_INET;
		in4->sin_port = htons(port);
		address->len = sizeof(*in4);
		return !host[0] || inet_pton(AF_INET, host, &in4->sin_addr) == 1 ? 0 : -EINVAL;
	}
	if (host[len - 1] != ']' || len - 2 >= sizeof(inner))
		return -EINVAL;
	memcpy(inner, host + 1, len - 2);
	inner[len - 2] = '\0';
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(port);
	address->len = sizeof(*in6);
	return inet_pton(AF_INET6, inner, &in6->sin6_addr) == 1 ? 0 : -EINVAL;
}

static int add_address(struct demo_options *options, const char *text)
{
	const char *colon = strrchr(text, ':');
	char host[INET6_ADDRSTRLEN + 2];
	uint64_t port;

	if (!colon || (size_t)(colon - text) >= sizeof(host) ||
	    options->nr_addresses == DEMO_MAX_LISTENERS)
		return -EINVAL;
	if (parse_u64(colon + 1, 0, UINT16_MAX, &port))
		return -EINVAL;
	memcpy(host, text, colon - text);
	host[colon - text] = '\0';
	return parse_host(host, port, &options->addresses[options->nr_addresses++]);
}

static int add_slow(struct demo_options *options, char *text)
{
	char *colon = strchr(text, ':');
	struct demo_slow *slow = &options->slow[options->nr_slow];
	uint64_t worker;

	if (!colon || options->nr_slow == DEMO_MAX_WORKERS || parse_us(colon + 1, &slow->sleep_us))
		return -EINVAL;
	*colon = '\0';
	if (parse_u64(text, 0, INT32_MAX, &worker)) {
		*colon = ':';
		return -EINVAL;
	}
	slow->worker = worker;
	options->nr_slow++;
	return 0;
}

static int add_loads(struct demo_options *options, const char *text)
{
	char number[32];
	size_t len;

	do {
		len = strcspn(text, ",");
		if (len >= sizeof(number) || options->nr_loads == DEMO_MAX_WORKERS)
			return -EINVAL;
		memcpy(number, text, len);
		number[len] = '\0';
		if (parse_u64(number, 0, UINT64_MAX, &options->loads[options->nr_loads]))
			return -EINVAL;
		options->nr_loads++;
		text += len;
	} while (*text++ == ',');
	return 0;
}

static int set_flag(struct demo_options *options, int option)
{
	const struct {
		int option;
		bool *flag;
		bool value;
	} flags[] = {
		{ OPT_DUAL, &options->dual, true },
		{ OPT_NO_REUSEPORT, &options->reuseport, false },
		{ OPT_NO_ACCEPT, &options->accept, false },
		{ OPT_SHARED, &options->shared, true },
		{ OPT_EXCLUSIVE, &options->exclusive, true },
		{ OPT_RECEIVE, &options->receive, true },
		{ OPT_REPORT, &options->report, true },
		{ OPT_JOIN, &options->join, true },
		{ 'q', &options->quiet, true },
	};

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		if (flags[i].option == option) {
			*flags[i].flag = flags[i].value;
			return 0;
		}
	}
	return -EINVAL;
}

static int set_option(struct demo_options *options, int option, char *value)
{
	switch (option) {
	case 'l':
		return add_address(options, value);
	case 'n':
		return parse_int(value, 1, DEMO_MAX_WORKERS, &options->workers);
	case OPT_BACKLOG:
		return parse_int(value, 0, INT32_MAX, &options->backlog);
	case OPT_BATCH:
		return parse_int(value, 1, INT32_MAX, &options->batch);
	case OPT_GRACE_MS:
		return parse_int(value, 0, INT32_MAX, &options->grace_ms);
	case OPT_WORK_US:
		return parse_us(value, &options->work_us);
	case OPT_SLEEP_US:
		return parse_us(value, &options->sleep_us);
	case OPT_SLOW:
		return add_slow(options, value);
	case OPT_LOAD:
		return add_loads(options, value);
	case OPT_LOG:
		options->log_path = value;
		return 0;
	case OPT_USER:
		options->user = value;
		return 0;
	}
	return set_flag(options, option);
}

static void set_defaults(struct demo_options *options)
{
	memset(options, 0, sizeof(*options));
	options->backlog = 511;
	options->workers = 1;
	options->grace_ms = 5000;
	options->batch = 64;
	options->reuseport = true;
	options->accept = true;
}

int options_parse(struct demo_options *options, int argc, char **argv)
{
	int option, index = 0;

	set_defaults(options);
	while ((option = getopt_long(argc, argv, "l:n:qh", long_options, &index)) != -1) {
		if (option == 'h') {
			fputs(help, stdout);
			return 0;
		}
		if (option == '?')
			return 2;
		if (set_option(options, option, optarg)) {
			fprintf(stderr, "lbctl-demo-worker: bad value \"%s\"; see --help\n",
				optarg);
			return 2;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "lbctl-demo-worker: unexpected \"%s\"; see --help\n", argv[optind]);
		return 2;
	}
	if (!options->nr_addresses)
		add_address(options, "127.0.0.1:8080");
	return -1;
}

long options_sleep_us(const struct demo_options *options, int worker)
{
	int i;

	for (i = 0; i < options->nr_slow; i++) {
		if (options->slow[i].worker == worker)
			return options->slow[i].sleep_us;
	}
	return options->sleep_us;
}
