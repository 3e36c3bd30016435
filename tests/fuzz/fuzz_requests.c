// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What clients send to the control socket: each line of the input is a packet. The keeper behind it
 * has a plan and no processes. It answers each request but those that wait for the end, and its
 * plan stays one that can be.
 */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "keeper/control_client.h"
#include "keeper/parts.h"
#include "keeper/run_files.h"

static struct keeper keeper;
static char *command[] = { (char *)"command", NULL };

/* /run is the fuzzer's alone, and what the keeper tells goes nowhere. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);

	(void)argc;
	(void)argv;
	if (dup2(nowhere, STDOUT_FILENO) < 0 || unshare(CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("tmpfs", "/run", "tmpfs", 0, NULL) || mkdir(RUN_FILES_DIR, 0755)) {
		perror("a mount namespace takes root");
		exit(77);
	}
	return 0;
}

static void on_turn(void *arg, unsigned int work)
{
	(void)arg;
	(void)work;
}

static void publish(void *arg)
{
	(void)arg;
	control_publish(keeper.control);
}

/* To look at a socket takes a child, which would be a fuzzer too. */
static void do_join(void *arg, struct client *client, const json_t *request, int *passed)
{
	(void)arg;
	(void)request;
	(void)passed;
	control_hold(client);
	control_reply(client, EXIT_DONE, "joined");
	control_set_joined(client, 1, 1);
	control_release(client);
}

static const struct control_verb *verbs_without_join(void)
{
	static struct control_verb verbs[32];
	size_t n = 0;

	do {
		verbs[n] = request_verbs[n];
		if (verbs[n].verb && !strcmp(verbs[n].verb, "join"))
			verbs[n].run = do_join;
	} while (verbs[n++].verb);
	return verbs;
}

static void open_keeper(void)
{
	static const struct plan_options options = { .max_restarts = 1 };
	struct control_config config = {
		.name = "fuzz",
		.rule = { .runs_workers = true, .worker_uid = getuid(), .group = LB_NO_GROUP },
		.verbs = verbs_without_join(),
		.arg = &keeper,
	};

	memset(&keeper, 0, sizeof(keeper));
	strcpy(keeper.options.name, "fuzz");
	keeper.options.argv = command;
	plan_init(&keeper.plan, &options, keeper.workers, LB_MAX_WORKERS, 2);
	keeper.pins = pins_new("fuzz");
	if (sd_event_new(&keeper.loop) < 0 || !keeper.pins)
		abort();
	keeper.log = event_log_open(keeper.loop);
	keeper.turn = turn_new(keeper.loop, on_turn, NULL);
	config.events = event_log_recent(keeper.log);
	if (control_open(keeper.loop, &config, &keeper.control))
		abort();
	event_log_follow(keeper.log, publish, NULL);
}

static void close_keeper(void)
{
	control_close(keeper.control, 0, "ended");
	turn_free(keeper.turn);
	pins_free(keeper.pins);
	event_log_close(keeper.log);
	sd_event_unref(keeper.loop);
}

static void run_loop(void)
{
	while (sd_event_run(keeper.loop, 0) > 0)
		continue;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	static char answer[CONTROL_MOST_BYTES];
	const uint8_t *end = bytes + n, *line;
	int fd;

	open_keeper();
	fd = control_connect("fuzz");
	for (line = bytes; line < end;) {
		const uint8_t *stop = memchr(line, '\n', end - line);
		size_t len = (stop ? stop : end) - line;

		if (len && send(fd, line, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			break;
		run_loop();
		while (recv(fd, answer, sizeof(answer), MSG_DONTWAIT) > 0)
			run_loop();
		line += len + 1;
	}
	if (keeper.plan.wanted < 1 || keeper.plan.wanted > LB_MAX_WORKERS ||
	    keeper.plan.used > LB_MAX_WORKERS)
		abort();
	close(fd);
	run_loop();
	close_keeper();
	return 0;
}
