// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* lb-bench tools: is our load generator one that others would trust? */
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "capture.h"
#include "cmd.h"
#include "figures.h"
#include "options.h"
#include "peer.h"
#include "tool.h"

#define MAX_ROUNDS 100
#define MAX_USERS 1000
#define LABEL_WIDTH 22
#define CELL_WIDTH 23
#define SLACK_MS 10000 /* of a tool, to begin and to end */

struct entry {
	double figures[MAX_ROUNDS][TOOL_FIGURE_COUNT];
	char trouble[128]; /* why it takes no part, or no longer; "" = it does */
};

struct tools_run {
	const char *peer;
	unsigned int users, seconds, rounds, workers;
	bool keep_alive, json, quiet, help;
	struct entry entries[TOOL_COUNT];
};

static const char help_text[] =
	"usage: lb-bench tools [OPTION]...\n"
	"Loads the same server with our generator, siege, wrk and ab in turn, and compares what\n"
	"they say of it (root).\n"
	"\n"
	"      --peer NAME      who serves, of `lb-bench peers` (default lbctl-rr)\n"
	"      --workers N      1 to 64 (default 4)\n"
	"      --users N        1 to 1000 (default 16)\n"
	"      --seconds N      of each in each round, whole ones; 1 to 60 (default 3)\n"
	"      --rounds N       1 to 100 (default 5)\n"
	"  -k, --keep-alive     use connections again (default: one for each request)\n"
	"      --json           one JSON object on standard output\n"
	"  -q, --quiet          no progress line\n"
	"  -h, --help           this text\n";

#define FIELD(name) offsetof(struct tools_run, name)

static const struct options_row known[] = {
	{ "peer", 0, OPTIONS_TEXT, FIELD(peer), 0, 0, NULL },
	{ "workers", 0, OPTIONS_UINT, FIELD(workers), 1, 64, NULL },
	{ "users", 0, OPTIONS_UINT, FIELD(users), 1, MAX_USERS, NULL },
	{ "seconds", 0, OPTIONS_UINT, FIELD(seconds), 1, TOOL_MAX_S, NULL },
	{ "rounds", 0, OPTIONS_UINT, FIELD(rounds), 1, MAX_ROUNDS, NULL },
	{ "keep-alive", 'k', OPTIONS_FLAG, FIELD(keep_alive), 0, 0, NULL },
	{ "json", 0, OPTIONS_FLAG, FIELD(json), 0, 0, NULL },
	{ "quiet", 'q', OPTIONS_FLAG, FIELD(quiet), 0, 0, NULL },
	{ "help", 'h', OPTIONS_HELP, FIELD(help), 0, 0, NULL },
	{ 0 },
};

static void note(struct entry *entry, const struct tool *tool, int status)
{
	if (status == CAPTURE_NOT_FOUND)
		snprintf(entry->trouble, sizeof(entry->trouble),
			 "not installed; tools/deps.sh bench gets it (package %s)", tool->package);
	else if (status == -EBADMSG)
		snprintf(entry->trouble, sizeof(entry->trouble),
			 "what it printed is not what this version of lb-bench reads");
	else if (status == -ETIMEDOUT)
		snprintf(entry->trouble, sizeof(entry->trouble), "it did not end in time, twice");
	else if (status > 0)
		snprintf(entry->trouble, sizeof(entry->trouble), "it ended with exit status %d",
			 status);
	else
		snprintf(entry->trouble, sizeof(entry->trouble), "%s", strerror(-status));
}

/* siege seldom does not end, as it cancels threads that may hold a lock: then it is run again. */
static int run_command(const struct tool_command *command, unsigned int seconds, char **output)
{
	int status = capture_run(command->argv, NULL, seconds * 1000 + SLACK_MS, output);

	if (status != -ETIMEDOUT)
		return status;
	free(*output);
	return capture_run(command->argv, NULL, seconds * 1000 + SLACK_MS, output);
}

static void run_tool(struct tools_run *run, size_t i, unsigned int round,
		     const struct peer_run *server)
{
	_cleanup_free_ struct tool_command *command = calloc(1, sizeof(*command));
	_cleanup_free_ char *output = NULL;
	struct entry *entry = &run->entries[i];
	char url[64];
	const struct tool_load load = {
		.url = url,
		.dir = server->dir,
		.users = run->users,
		.seconds = run->seconds,
		.keep_alive = run->keep_alive,
	};
	int status = -ENOMEM;

	snprintf(url, sizeof(url), "http://127.0.0.1:%u/", server->port);
	if (!run->quiet)
		fprintf(stderr, "\rround %u of %u: %s\033[K", round + 1, run->rounds,
			tools[i].name);
	if (command)
		status = tools[i].prepare(&load, server->world, command);
	if (!status)
		status = run_command(command, run->seconds, &output);
	if (!status)
		status = tools[i].parse(output, entry->figures[round]);
	if (status)
		note(entry, &tools[i], status);
}

/* Forward in one round, backward in the next. */
static int run_rounds(struct tools_run *run, const struct peer_run *server, struct trouble *trouble)
{
	for (unsigned int round = 0; round < run->rounds; round++) {
		for (size_t i = 0; i < TOOL_COUNT && !cmd_stop; i++) {
			size_t turn = round % 2 ? TOOL_COUNT - 1 - i : i;

			if (!*run->entries[turn].trouble)
				run_tool(run, turn, round, server);
		}
	}
	if (!run->quiet)
		fputs("\r\033[K", stderr);
	return cmd_stop ? trouble_set(trouble, 128 + SIGINT, "stopped") : EXIT_DONE;
}

static size_t column(const struct tools_run *run, size_t i, enum tool_figure figure,
		     double values[MAX_ROUNDS])
{
	for (unsigned int round = 0; round < run->rounds; round++)
		values[round] = run->entries[i].figures[round][figure];
	return run->rounds;
}

static int ratio(const struct tools_run *run, size_t i, struct interval *interval)
{
	double ours[MAX_ROUNDS], theirs[MAX_ROUNDS];

	if (*run->entries[0].trouble || *run->entries[i].trouble)
		return -EDOM;
	column(run, 0, TOOL_RATE, ours);
	return ratio_interval(ours, theirs, column(run, i, TOOL_RATE, theirs), 1, interval);
}

/* The median, and between which values the rounds lie. */
static void print_figure(const struct tools_run *run, size_t i, enum tool_figure figure)
{
	int digits = tool_figure_digits[figure];
	double values[MAX_ROUNDS], middle;
	size_t n = column(run, i, figure, values);
	char cell[64] = "-";

	middle = median(values, n); /* sorts them */
	if (!isnan(middle))
		snprintf(cell, sizeof(cell), "%.*f (%.*f-%.*f)", digits, middle, digits, values[0],
			 digits, values[n - 1]);
	printf("%*s", CELL_WIDTH, cell);
}

static void print_ratio(const struct tools_run *run, size_t i)
{
	struct interval by;
	char cell[64] = "-";

	if (!ratio(run, i, &by))
		snprintf(cell, sizeof(cell), "%.2f (%.2f-%.2f)", by.middle, by.low, by.high);
	printf("%*s", CELL_WIDTH, cell);
}

enum row {
	ROW_NAME = -1,
	ROW_RATIO = TOOL_FIGURE_COUNT, /* those before are figures */
	ROW_END,
};

static void print_row(const struct tools_run *run, int row)
{
	printf("%-*s", LABEL_WIDTH,
	       row == ROW_NAME	? "" :
	       row == ROW_RATIO ? "req/s, lb-bench by it" :
				  tool_figure_names[row]);
	for (size_t i = 0; i < TOOL_COUNT; i++) {
		if (*run->entries[i].trouble)
			continue;
		if (row == ROW_NAME)
			printf("%*s", CELL_WIDTH, tools[i].name);
		else if (row == ROW_RATIO)
			print_ratio(run, i);
		else
			print_figure(run, i, row);
	}
	putchar('\n');
}

static void print_text(const struct tools_run *run, const struct peer_run *server)
{
	struct utsname system = { 0 };

	uname(&system);
	printf("tools: one server under several load generators in turn\n"
	       "Linux %s, %ld CPUs; %s, %u workers; %u users for %u s, %s\n"
	       "medians (lowest-highest) of %u round%s; of the last row 95 %% intervals\n\n",
	       system.release, sysconf(_SC_NPROCESSORS_ONLN), server->peer->name, run->workers,
	       run->users, run->seconds,
	       run->keep_alive ? "keep-alive" : "a connection for each request", run->rounds,
	       plural(run->rounds));
	for (int row = ROW_NAME; row < ROW_END; row++)
		print_row(run, row);
	for (size_t i = 0; i < TOOL_COUNT; i++) {
		if (*run->entries[i].trouble)
			printf("missing: %s: %s\n", tools[i].name, run->entries[i].trouble);
	}
}

static json_t *figure_json(double value)
{
	return isnan(value) ? json_null() : json_real(value);
}

static json_t *tool_json(const struct tools_run *run, size_t i)
{
	json_t *object = json_pack("{s:s}", "tool", tools[i].name), *medians = json_object();
	json_t *samples = json_array(), *sample;
	double values[MAX_ROUNDS];
	struct interval by;

	if (*run->entries[i].trouble) {
		json_object_set_new(object, "missing", json_string(run->entries[i].trouble));
		json_decref(medians);
		json_decref(samples);
		return object;
	}
	for (unsigned int round = 0; round < run->rounds; round++) {
		sample = json_object();
		for (int figure = 0; figure < TOOL_FIGURE_COUNT; figure++)
			json_object_set_new(sample, tool_figure_keys[figure],
					    figure_json(run->entries[i].figures[round][figure]));
		json_array_append_new(samples, sample);
	}
	for (int figure = 0; figure < TOOL_FIGURE_COUNT; figure++)
		json_object_set_new(medians, tool_figure_keys[figure],
				    figure_json(median(values, column(run, i, figure, values))));
	json_object_set_new(object, "medians", medians);
	json_object_set_new(object, "samples", samples);
	if (i && !ratio(run, i, &by))
		json_object_set_new(object, "ours_by_it",
				    json_pack("[f, f, f]", by.low, by.middle, by.high));
	return object;
}

static json_t *result_json(const struct tools_run *run, const struct peer_run *server)
{
	struct utsname system = { 0 };
	json_t *array = json_array();

	uname(&system);
	for (size_t i = 0; i < TOOL_COUNT; i++)
		json_array_append_new(array, tool_json(run, i));
	return json_pack("{s:i, s:s, s:i, s:s, s:i, s:i, s:i, s:i, s:b, s:o}", "schema", 1,
			 "kernel", system.release, "cpus", (int)sysconf(_SC_NPROCESSORS_ONLN),
			 "peer", server->peer->name, "workers", (int)run->workers, "users",
			 (int)run->users, "seconds", (int)run->seconds, "rounds", (int)run->rounds,
			 "keep_alive", run->keep_alive, "tools", array);
}

static int measure(struct tools_run *run, const struct peers *peers, const struct world *world,
		   struct trouble *trouble)
{
	const struct peer_service service = { .workers = run->workers };
	const struct peer *peer = peers_get(peers, run->peer, trouble);
	struct peer_run server = { 0 };
	int status;

	if (!peer)
		return trouble->status;
	if (*peer->missing)
		return trouble_set(trouble, EXIT_FAILED, "%s can't serve here: %s", peer->name,
				   peer->missing);
	setenv("HOME", WORLD_DIR, 1); /* siege makes a folder in it */
	status = peer_start(&server, peers, peer, world, &service, trouble);
	if (!status)
		status = run_rounds(run, &server, trouble);
	if (!status && !run->json)
		print_text(run, &server);
	else if (!status)
		status = cmd_print_json(result_json(run, &server), trouble);
	peer_stop(&server);
	return status;
}

int cmd_tools(int argc, char **argv)
{
	static struct tools_run run = {
		.peer = "lbctl-rr",
		.users = 16,
		.seconds = 3,
		.rounds = 5,
		.workers = 4,
	};
	struct trouble trouble = { 0 };
	struct peers peers;
	struct world world;
	int status;

	status = options_read_all(known, &run, argc, argv, "lb-bench tools --help", &trouble);
	if (!status && run.help) {
		fputs(help_text, stdout);
		return EXIT_DONE;
	}
	if (!status)
		status = world_enter(&world, &trouble);
	if (!status)
		status = peers_find(&peers, &world, NULL, &trouble);
	if (!status)
		status = measure(&run, &peers, &world, &trouble);
	return status ? cmd_fail(&trouble) : EXIT_DONE;
}
