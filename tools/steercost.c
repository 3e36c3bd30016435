// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * steercost [--batches N] [--connections N] [--workers LIST] [--json]
 * What a decision of the steering program costs inside the kernel, per policy and number of
 * workers, next to two programs that do the least (bpf/floor.bpf.c). The figures are the kernel's
 * own: run time by number of runs, as bpf_prog_info has them. All variants take turns in short
 * batches, so that whatever else the machine does hits all alike. Everything lives in a network
 * and a mount namespace of its own and is gone when the program ends. A goal is printed as met or
 * missed and changes no exit status.
 */
#include <errno.h>
#include <getopt.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <jansson.h>

#include "cleanup.h"
#include "inspect.h"
#include "lb_pick.h"
#include "parse.h"
#include "service.h"
#include "steer.h"
#include "trouble.h"

#include "floor.skel.h"

#define MAX_BENCHES 8
#define MAX_BATCHES 10000
#define MAX_CONNECTIONS 1000
#define WARM_UP 8	     /* connections of a batch before its measured ones */
#define BACKLOG 2048	     /* one listener may get a whole batch */
#define FIRST_PORT 8001	     /* of our own namespace: nobody else is there */
#define SPARE_DESCRIPTORS 64 /* per bench, next to its listeners */

/* The goals, in floors of the same number of workers. */
#define FEW_WORKERS 4
#define FEW_GOAL_TABLE 1.5
#define FEW_GOAL_SCAN 3.0
#define MANY_WORKERS LB_MAX_WORKERS
#define MANY_GOAL_TABLE 3.0
#define MANY_GOAL_SCAN 6.0

enum kind { FLOOR_EMPTY, FLOOR_FIXED, STEER };

struct variant {
	const char *name;
	enum kind kind;
	uint32_t policy; /* of STEER */
	bool stale;	 /* no report is believed */
};

static const struct variant variants[] = {
	{ "empty", FLOOR_EMPTY, 0, false },
	{ "fixed", FLOOR_FIXED, 0, false },
#define X(number, id, name, summary) { name, STEER, number, false },
	LB_POLICIES(X)
#undef X
	{ "least-load, all stale", STEER, LB_POLICY_LEAST_LOAD, true },
};
#define VARIANTS (sizeof(variants) / sizeof(variants[0]))

struct options {
	uint32_t workers[MAX_BENCHES];
	size_t nr_benches;
	uint32_t batches;
	uint32_t connections;
	bool json;
};

/* One reuseport group, the service that steers it, and what was measured. */
struct bench {
	uint32_t workers;
	struct sockaddr_in addr;
	int *listeners;
	struct state state;
	struct floor *floor;
	double *ns[VARIANTS]; /* per decision, by batch */
};

struct result {
	double p10, median, p90; /* ns */
	double ratio;		 /* to the fixed floor of the same bench */
	double goal;		 /* the most that ratio should be; 0 = none */
};

static int fail(enum exit_status status, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static int fail(enum exit_status status, const char *format, ...)
{
	va_list args;

	fputs("steercost: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return status;
}

static int ignore_libbpf(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level;
	(void)format;
	(void)args;
	return 0;
}

/* --- a place of our own ----------------------------------------------------------------------- */

static int raise_loopback(void)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };

	return fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) ? -errno : 0;
}

static int isolate(void)
{
	int err;

	if (unshare(CLONE_NEWNET | CLONE_NEWNS))
		return fail(EXIT_NOT_ABLE, "can't make namespaces: %s; run it as root",
			    strerror(errno));
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return fail(EXIT_NOT_ABLE, "can't make the mounts private: %s", strerror(errno));
	if (mount("bpf", STATE_BPFFS, "bpf", 0, "mode=0700"))
		return fail(EXIT_NOT_ABLE,
			    "can't mount a BPF file system on %s: %s; the kernel needs "
			    "CONFIG_BPF_SYSCALL and /sys to be mounted",
			    STATE_BPFFS, strerror(errno));
	err = raise_loopback();
	if (err)
		return fail(EXIT_FAILED, "can't bring the loopback device up: %s", strerror(-err));
	return EXIT_DONE;
}

static int raise_descriptors(const struct options *options)
{
	struct rlimit limit;
	rlim_t needed = options->connections + WARM_UP;

	for (size_t i = 0; i < options->nr_benches; i++)
		needed += options->workers[i] + SPARE_DESCRIPTORS;
	if (getrlimit(RLIMIT_NOFILE, &limit))
		return fail(EXIT_FAILED, "getrlimit: %s", strerror(errno));
	if (limit.rlim_cur >= needed)
		return EXIT_DONE;
	limit.rlim_cur = needed;
	if (limit.rlim_max < needed)
		limit.rlim_max = needed;
	if (setrlimit(RLIMIT_NOFILE, &limit))
		return fail(EXIT_NOT_ABLE, "needs %lu descriptors: %s; run it as root",
			    (unsigned long)needed, strerror(errno));
	return EXIT_DONE;
}

/* --- a service to measure --------------------------------------------------------------------- */

static int listen_on(const struct sockaddr_in *addr)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	const int on = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) ||
	    bind(fd, (const struct sockaddr *)addr, sizeof(*addr)) || listen(fd, BACKLOG))
		return -errno;
	return fd_steal(&fd);
}

static int open_listeners(struct bench *bench)
{
	bench->listeners = malloc(bench->workers * sizeof(*bench->listeners));
	if (!bench->listeners)
		return -ENOMEM;
	for (uint32_t i = 0; i < bench->workers; i++)
		bench->listeners[i] = -1;
	for (uint32_t i = 0; i < bench->workers; i++) {
		bench->listeners[i] = listen_on(&bench->addr);
		if (bench->listeners[i] < 0)
			return bench->listeners[i];
	}
	return 0;
}

/* Slot i gets listener i, and its queue's place if this kernel tells it. */
static int fill_slots(struct bench *bench)
{
	struct state *state = &bench->state;
	struct lb_queue *queues = state->listeners[0].queues;
	const struct lb_listening *found;
	struct inspect_list list;
	int err = 0;

	for (uint32_t i = 0; i < bench->workers; i++)
		queues[i].cookie = steer_socket_cookie(bench->listeners[i]);
	if (inspect_listeners(&list))
		inspect_free(&list);
	for (uint32_t i = 0; i < bench->workers && !err; i++) {
		found = inspect_find(&list, queues[i].cookie);
		queues[i].sock = found ? found->sock : 0;
		state->workers[i] = (struct lb_worker){
			.worker = i,
			.state = LB_SLOT_UP,
			.weight = 1,
			.inverse_weight = lb_inverse_weight(1),
		};
		err = steer_register(state, 0, i, bench->listeners[i]);
	}
	inspect_free(&list);
	state->config->used_slots = bench->workers;
	return err;
}

static int make_service(struct bench *bench)
{
	struct lb_listener listener = {
		.port = ntohs(bench->addr.sin_port),
		.proto = LB_PROTO_TCP,
		.family = AF_INET,
	};
	char name[LB_NAME_MAX + 1];
	int err;

	memcpy(listener.addr, &bench->addr.sin_addr, sizeof(bench->addr.sin_addr));
	snprintf(name, sizeof(name), "cost-%u", bench->workers);
	err = state_create(&bench->state, name);
	if (err)
		return err;
	err = steer_add_listener(&bench->state, &listener, service_slots(bench->workers));
	if (!err)
		err = fill_slots(bench);
	return err ? err : state_commit(&bench->state);
}

static int load_floor(struct bench *bench)
{
	int err;

	bench->floor = floor__open();
	if (!bench->floor)
		return -errno;
	err = bpf_map__reuse_fd(bench->floor->maps.lb_sockets, bench->state.listeners[0].sockets_fd);
	return err ? err : floor__load(bench->floor);
}

static int open_bench(struct bench *bench, uint32_t workers, uint16_t port, uint32_t batches)
{
	int err;

	bench->workers = workers;
	bench->addr = (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	for (size_t i = 0; i < VARIANTS; i++) {
		bench->ns[i] = calloc(batches, sizeof(*bench->ns[i]));
		if (!bench->ns[i])
			return fail(EXIT_FAILED, "%s", strerror(ENOMEM));
	}
	err = open_listeners(bench);
	if (err)
		return fail(EXIT_FAILED, "can't open %u listeners: %s", workers, strerror(-err));
	err = make_service(bench);
	if (!err)
		err = load_floor(bench);
	if (err)
		return fail(err == -EPERM || err == -EOPNOTSUPP ? EXIT_NOT_ABLE : EXIT_FAILED,
			    "can't load a service of %u workers: %s (lbctl doctor says what this "
			    "kernel lacks)",
			    workers, strerror(-err));
	return EXIT_DONE;
}

/* What is pinned lies in our own mount namespace and goes with it. */
static void close_bench(struct bench *bench)
{
	floor__destroy(bench->floor);
	if (bench->state.config)
		state_close(&bench->state);
	for (uint32_t i = 0; bench->listeners && i < bench->workers; i++)
		close_fd(&bench->listeners[i]);
	free(bench->listeners);
	for (size_t i = 0; i < VARIANTS; i++)
		free(bench->ns[i]);
}

/* --- measuring -------------------------------------------------------------------------------- */

/* One report per worker: now, or so long ago that nobody believes it. */
static void report_loads(struct bench *bench, bool stale)
{
	struct timespec now;
	uint64_t now_ns;

	clock_gettime(CLOCK_MONOTONIC, &now);
	now_ns = (uint64_t)now.tv_sec * 1000000000 + now.tv_nsec;
	for (uint32_t i = 0; i < bench->workers; i++) {
		bench->state.load[i].load = 1;
		bench->state.load[i].reported_ns = stale ? 1 : now_ns;
	}
}

static int program_of(const struct bench *bench, const struct variant *variant)
{
	switch (variant->kind) {
	case FLOOR_EMPTY:
		return bpf_program__fd(bench->floor->progs.empty);
	case FLOOR_FIXED:
		return bpf_program__fd(bench->floor->progs.fixed);
	default:
		return bench->state.listeners[0].prog_fd;
	}
}

static int switch_to(struct bench *bench, const struct variant *variant)
{
	int err = 0, program = program_of(bench, variant);

	if (variant->kind == STEER)
		err = steer_publish(&bench->state, variant->policy);
	if (!err && setsockopt(bench->listeners[0], SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, &program,
			       sizeof(program)))
		err = -errno;
	report_loads(bench, variant->stale);
	return err;
}

/* Connections that end with a reset: no TIME_WAIT piles up. */
static int connect_often(const struct bench *bench, uint32_t times)
{
	const struct linger reset = { .l_onoff = 1, .l_linger = 0 };

	for (uint32_t i = 0; i < times; i++) {
		_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) ||
		    connect(fd, (const struct sockaddr *)&bench->addr, sizeof(bench->addr)))
			return -errno;
	}
	return 0;
}

/* Empties all accept queues. Returns how many connections were there. */
static uint32_t drain(const struct bench *bench)
{
	uint32_t accepted = 0;
	int fd;

	for (uint32_t i = 0; i < bench->workers; i++) {
		while ((fd = accept4(bench->listeners[i], NULL, NULL, SOCK_CLOEXEC)) >= 0) {
			close(fd);
			accepted++;
		}
	}
	return accepted;
}

static int read_program(int fd, uint64_t *time_ns, uint64_t *runs)
{
	struct bpf_prog_info info = { 0 };
	uint32_t len = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return -errno;
	*time_ns = info.run_time_ns;
	*runs = info.run_cnt;
	return 0;
}

/* One batch of one variant: the mean time of a run, in ns. */
static int measure(struct bench *bench, const struct variant *variant, uint32_t connections,
		   double *ns)
{
	uint64_t time_before, time_after, runs_before, runs_after;
	int err, program = program_of(bench, variant);

	err = switch_to(bench, variant);
	if (!err)
		err = connect_often(bench, WARM_UP);
	if (!err)
		err = read_program(program, &time_before, &runs_before);
	if (!err)
		err = connect_often(bench, connections);
	if (!err)
		err = read_program(program, &time_after, &runs_after);
	if (drain(bench) != connections + WARM_UP && !err)
		err = -ECONNRESET;
	if (err)
		return err;
	if (runs_after - runs_before < connections)
		return -ENODATA;
	*ns = (double)(time_after - time_before) / (runs_after - runs_before);
	return 0;
}

/* A decision that took another way than meant would be measured as that way. */
static int check_ways(const struct bench *bench)
{
	struct lb_counters counters;
	uint32_t zero = 0;
	uint64_t odd;

	if (bpf_map_lookup_elem(bench->state.maps[MAP_COUNTERS], &zero, &counters))
		return fail(EXIT_FAILED, "can't read the counters: %s", strerror(errno));
	odd = counters.fallback_config + counters.fallback_empty + counters.fallback_none +
	      counters.not_header + counters.redraws + counters.overloaded;
	if (odd)
		return fail(EXIT_FAILED, "%u workers: %llu decisions fell back or drew again",
			    bench->workers, (unsigned long long)odd);
	return EXIT_DONE;
}

static int measure_all(struct bench *benches, const struct options *options)
{
	_cleanup_close_ int stats = bpf_enable_stats(BPF_STATS_RUN_TIME);
	int err, status = EXIT_DONE;

	if (stats < 0)
		return fail(EXIT_NOT_ABLE, "can't have BPF run times counted (kernel 5.8): %s",
			    strerror(errno));
	for (uint32_t batch = 0; batch < options->batches; batch++) {
		for (size_t i = 0; i < options->nr_benches * VARIANTS; i++) {
			struct bench *bench = &benches[i / VARIANTS];
			const struct variant *variant = &variants[i % VARIANTS];

			err = measure(bench, variant, options->connections,
				      &bench->ns[i % VARIANTS][batch]);
			if (err)
				return fail(EXIT_FAILED, "%u workers, %s: %s", bench->workers,
					    variant->name,
					    err == -ENODATA ? "the program did not run" :
							      strerror(-err));
		}
	}
	for (size_t i = 0; i < options->nr_benches && !status; i++)
		status = check_ways(&benches[i]);
	return status;
}

/* --- what came out ---------------------------------------------------------------------------- */

static int compare_doubles(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static double goal_of(const struct bench *bench, const struct variant *variant)
{
	bool scan = !strncmp(variant->name, "least-", 6);

	if (!scan && strcmp(variant->name, "rr"))
		return 0;
	if (bench->workers == FEW_WORKERS)
		return scan ? FEW_GOAL_SCAN : FEW_GOAL_TABLE;
	if (bench->workers == MANY_WORKERS)
		return scan ? MANY_GOAL_SCAN : MANY_GOAL_TABLE;
	return 0;
}

static void summarize(struct bench *bench, uint32_t batches, struct result *results)
{
	double fixed = 0;

	for (size_t i = 0; i < VARIANTS; i++) {
		double *ns = bench->ns[i];

		qsort(ns, batches, sizeof(*ns), compare_doubles);
		results[i].p10 = ns[batches / 10];
		results[i].median = ns[batches / 2];
		results[i].p90 = ns[batches - 1 - batches / 10];
		results[i].goal = goal_of(bench, &variants[i]);
		if (variants[i].kind == FLOOR_FIXED)
			fixed = results[i].median;
	}
	for (size_t i = 0; i < VARIANTS; i++)
		results[i].ratio = fixed > 0 ? results[i].median / fixed : 0;
}

static void print_row(const struct bench *bench, const struct variant *variant,
		      const struct result *result)
{
	printf("%7u  %-22s %7.0f  %7.0f %7.0f  %7.2f", bench->workers, variant->name,
	       result->median, result->p10, result->p90, result->ratio);
	if (result->goal > 0)
		printf("  %4.1f %s", result->goal,
		       result->ratio <= result->goal ? "met" : "missed");
	putchar('\n');
}

static json_t *json_row(const struct bench *bench, const struct variant *variant,
			const struct result *result)
{
	json_t *row = json_pack("{s:i, s:s, s:f, s:f, s:f, s:f}", "workers", bench->workers,
				"variant", variant->name, "median_ns", result->median, "p10_ns",
				result->p10, "p90_ns", result->p90, "ratio", result->ratio);

	json_object_set_new(row, "goal", result->goal > 0 ? json_real(result->goal) : json_null());
	json_object_set_new(row, "met",
			    result->goal > 0 ? json_boolean(result->ratio <= result->goal) :
					       json_null());
	return row;
}

static int report(struct bench *benches, const struct options *options)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct result results[VARIANTS];
	json_t *rows = json_array(), *all;
	struct utsname kernel;

	uname(&kernel);
	if (!options->json) {
		printf("ns per decision; kernel %s, %ld CPUs, %u batches of %u connections\n\n",
		       kernel.release, cpus, options->batches, options->connections);
		printf("%7s  %-22s %7s  %7s %7s  %7s  %s\n", "workers", "program", "median",
		       "p10", "p90", "x fixed", "goal");
	}
	for (size_t i = 0; i < options->nr_benches; i++) {
		summarize(&benches[i], options->batches, results);
		for (size_t j = 0; j < VARIANTS; j++) {
			if (options->json)
				json_array_append_new(rows, json_row(&benches[i], &variants[j],
								     &results[j]));
			else
				print_row(&benches[i], &variants[j], &results[j]);
		}
	}
	all = json_pack("{s:i, s:s, s:i, s:i, s:i, s:o}", "schema", 1, "kernel", kernel.release,
			"cpus", (int)cpus, "batches", options->batches, "connections",
			options->connections, "results", rows);
	if (options->json) {
		json_dumpf(all, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(5));
		putchar('\n');
	}
	json_decref(all);
	return fflush(stdout) || ferror(stdout) ? fail(EXIT_FAILED, "can't write the result") :
						  EXIT_DONE;
}

/* --- the command line ------------------------------------------------------------------------- */

static const char help[] =
	"usage: steercost [OPTION]...\n"
	"What a decision of the steering program costs, per policy and number of workers (root).\n"
	"\n"
	"  --batches N       batches of each variant, 1 to 10000 (default 40)\n"
	"  --connections N   measured connections of a batch, 1 to 1000 (default 200)\n"
	"  --workers LIST    numbers of workers, 1 to 1024 each (default 4,64,1024)\n"
	"  --json            one JSON object instead of a table\n"
	"  --help            this text\n";

static int parse_list(const char *text, struct options *options)
{
	_cleanup_free_ char *copy = strdup(text);
	char *rest = copy, *item;
	uint64_t value;

	options->nr_benches = 0;
	while (copy && (item = strsep(&rest, ","))) {
		if (options->nr_benches == MAX_BENCHES)
			return fail(EXIT_USAGE, "--workers %s: at most %d numbers", text,
				    MAX_BENCHES);
		if (parse_u64(item, 1, LB_MAX_WORKERS, &value))
			return fail(EXIT_USAGE, "--workers %s: '%s' is no number from 1 to %d",
				    text, item, LB_MAX_WORKERS);
		for (size_t i = 0; i < options->nr_benches; i++) {
			if (options->workers[i] == value)
				return fail(EXIT_USAGE, "--workers %s: %s stands there twice", text,
					    item);
		}
		options->workers[options->nr_benches++] = value;
	}
	return copy ? EXIT_DONE : fail(EXIT_FAILED, "%s", strerror(ENOMEM));
}

static int parse_count(const char *option, const char *text, uint32_t max, uint32_t *count)
{
	uint64_t value;

	if (parse_u64(text, 1, max, &value))
		return fail(EXIT_USAGE, "%s: '%s' is no number from 1 to %u", option, text, max);
	*count = value;
	return EXIT_DONE;
}

static int parse_options(int argc, char **argv, struct options *options, bool *done)
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

	while (!status && !*done && (option = getopt_long(argc, argv, "h", known, NULL)) != -1) {
		switch (option) {
		case 'b':
			status = parse_count("--batches", optarg, MAX_BATCHES, &options->batches);
			break;
		case 'c':
			status = parse_count("--connections", optarg, MAX_CONNECTIONS,
					     &options->connections);
			break;
		case 'w':
			status = parse_list(optarg, options);
			break;
		case 'j':
			options->json = true;
			break;
		case 'h':
			fputs(help, stdout);
			*done = true;
			break;
		default:
			status = EXIT_USAGE;
		}
	}
	if (!status && !*done && optind < argc)
		status = fail(EXIT_USAGE, "what is '%s'? see steercost --help", argv[optind]);
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
	static struct bench benches[MAX_BENCHES];
	bool done = false;
	int status = parse_options(argc, argv, &options, &done);

	if (status || done)
		return status;
	libbpf_set_print(ignore_libbpf);
	status = isolate();
	if (!status)
		status = raise_descriptors(&options);
	for (size_t i = 0; i < options.nr_benches && !status; i++)
		status = open_bench(&benches[i], options.workers[i], FIRST_PORT + i,
				    options.batches);
	if (!status)
		status = measure_all(benches, &options);
	if (!status)
		status = report(benches, &options);
	for (size_t i = 0; i < options.nr_benches; i++)
		close_bench(&benches[i]);
	return status;
}
