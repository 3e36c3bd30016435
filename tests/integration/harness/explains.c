// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See explains.h. */
#include "harness/explains.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/commands.h"
#include "harness/show.h"
#include "harness/world.h"

#define MOST_KEPT 256

/* --- clients --- */

int explain_connect(uint32_t from)
{
	const struct timeval patience = { .tv_sec = 10 };
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(8080) };
	struct sockaddr_in local = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(from) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (bind(fd, (struct sockaddr *)&local, sizeof(local)) ||
	    connect(fd, (struct sockaddr *)&to, sizeof(to))) {
		close(fd);
		return -1;
	}
	return fd;
}

static void ask_once(uint32_t from, const char *path)
{
	char text[512];
	int fd = explain_connect(from);
	int n = snprintf(text, sizeof(text),
			 "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path);

	if (fd < 0)
		return;
	if (write(fd, text, n) == n) {
		while (read(fd, text, sizeof(text)) > 0)
			continue;
	}
	close(fd);
}

#define TRAFFIC 4
static pid_t traffic[TRAFFIC];

/* Some 100 requests a second and process, at most, each from the next of so many addresses. */
void traffic_start(unsigned int addresses, const char *path)
{
	for (unsigned int i = 0; i < TRAFFIC; i++) {
		traffic[i] = fork();
		assert_true(traffic[i] >= 0);
		if (traffic[i])
			continue;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (unsigned int n = i;; n += TRAFFIC) {
			ask_once(INADDR_LOOPBACK + n % addresses, path);
			usleep(10000);
		}
	}
}

void traffic_stop(void)
{
	for (unsigned int i = 0; i < TRAFFIC; i++) {
		kill(traffic[i], SIGKILL);
		waitpid(traffic[i], NULL, 0);
	}
}

/* Connections that stay open. */
static int kept[MOST_KEPT];
static size_t nr_kept;

void keep(size_t n)
{
	for (size_t i = 0; i < n; i++) {
		assert_true(nr_kept < MOST_KEPT);
		kept[nr_kept] = explain_connect(INADDR_LOOPBACK);
		assert_true(kept[nr_kept++] >= 0);
	}
}

void keep_none(void)
{
	while (nr_kept)
		close(kept[--nr_kept]);
}

unsigned int live_of_all(void)
{
	static struct show show;
	unsigned int live = 0;

	show_read("web", &show);
	for (size_t i = 0; i < show.nr_workers; i++)
		live += show.worker[i].live;
	return live;
}

/* --- findings --- */

static void fail_with(const json_t *found, const char *why)
{
	char *text = json_dumps(found, JSON_INDENT(2));

	fprintf(stderr, "%s\n", text);
	free(text);
	fail_msg("explain: %s", why);
}

static json_t *look(const char *seconds)
{
	return lbctl_json("explain", "--json", "--for", seconds, NULL);
}

static const char *text_of(const json_t *finding, const char *key)
{
	const char *text = json_string_value(json_object_get(finding, key));

	return text ? text : "";
}

/* The n-th finding; what measuring would add is not counted. */
static const json_t *finding_at(const json_t *found, size_t n)
{
	const json_t *finding = json_array_get(json_object_get(found, "findings"), n);

	return finding && strcmp(text_of(finding, "kind"), "latency-off") ? finding : NULL;
}

void explain_nothing(const char *seconds)
{
	json_t *found = look(seconds);

	if (json_array_size(json_object_get(found, "findings")))
		fail_with(found, "nothing should stand out");
	json_decref(found);
}

json_t *explain_expect(const char *seconds, const char *kind, int worker, const char *remedy)
{
	json_t *found = look(seconds);
	const json_t *finding = finding_at(found, 0);
	const json_t *number = json_object_get(finding, "worker");

	if (!finding || finding_at(found, 1))
		fail_with(found, "it is not one thing that stands out");
	if (strcmp(text_of(finding, "kind"), kind) || (worker == -1 && !json_is_null(number)) ||
	    (worker >= 0 && json_integer_value(number) != worker))
		fail_with(found, kind);
	if (*remedy && !strstr(text_of(finding, "remedy"), remedy))
		fail_with(found, remedy);
	return found;
}

/* Types what was found to help. */
void explain_carry_out(json_t *found)
{
	const char *remedy = text_of(finding_at(found, 0), "remedy");
	_cleanup_output_ struct output output;
	char line[1024];

	/* which lbctl it is, the test knows */
	if (strncmp(remedy, "lbctl ", strlen("lbctl ")))
		fail_with(found, "what helps is no command");
	snprintf(line, sizeof(line), "%s %s", harness_build_path("lbctl"),
		 remedy + strlen("lbctl "));
	command_run(&output, (const char *const[]){ "sh", "-c", line, NULL }, COMMAND_MS);
	if (output.status)
		fail_msg("%s: %s%s", line, output.out, output.err);
	json_decref(found);
}

void explain_run(struct run *run, const char *workers, const char *policy, const char *option,
		 const char *value)
{
	run_start(run, "web", "-n", workers, "--policy", policy, "--", run_demo(), "-q", "-n", "1",
		  "--listen", "127.0.0.1:8080", option, value, NULL);
	run_expect_up(run, atoi(workers));
}
