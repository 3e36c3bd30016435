// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What looks at all services says what a look at one does, and walks over the processes once. */
#include "harness/commands.h"
#include "harness/datagrams.h"
#include "harness/netns.h"
#include "harness/servers.h"
#include "harness/world.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OTHER "other"
#define TRACE HARNESS_DIR "/trace"

static const char *const services[] = { "web", "api", "dns", "far" };
static struct demo web[3], api[2], far[2];

/* TCP on two ports, UDP on the port of one of them, and that port elsewhere. */
static void start_all(void)
{
	int back;

	demo_start_many(web, 3, ":8080");
	demo_start_many(api, 2, ":8081");
	netns_add(OTHER);
	back = netns_join(OTHER);
	demo_start_many(far, 2, ":8080");
	netns_leave(back);
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	lbctl_ok("attach", "--name", "api", ":8081", NULL);
	lbctl_ok("attach", "--name", "far", "--netns", OTHER, ":8080", NULL);
	udp_start(DUAL, "rr");
	demo_kill(&web[1], SIGKILL);
}

/* The lines of this service, but for those that change by themselves. Returns how many. */
static size_t lines_of(const char *metrics, const char *service, char *out)
{
	char label[64];
	size_t len, n = 0;

	snprintf(label, sizeof(label), "service=\"%s\"", service);
	for (*out = '\0'; *metrics; metrics += len + (metrics[len] == '\n')) {
		const char *at = strstr(metrics, label);

		len = strcspn(metrics, "\n");
		if (!at || at >= metrics + len || !strncmp(metrics, "lbctl_worker_cpu", 16) ||
		    !strncmp(metrics, "lbctl_worker_memory", 19))
			continue;
		strncat(out, metrics, len + 1);
		n++;
	}
	return n;
}

static void test_all_is_as_each(void **state)
{
	_cleanup_output_ struct output all;
	char *want, *got;

	(void)state;
	start_all();
	lbctl_run(&all, "stats", "--prometheus", NULL);
	assert_int_equal(all.status, 0);
	want = malloc(strlen(all.out) + 1);
	got = malloc(strlen(all.out) + 1);
	for (size_t i = 0; i < ARRAY_SIZE(services); i++) {
		_cleanup_output_ struct output one;

		lbctl_run(&one, "stats", "--prometheus", services[i], NULL);
		assert_int_equal(one.status, 0);
		assert_true(lines_of(one.out, services[i], want) > 30);
		lines_of(all.out, services[i], got);
		assert_string_equal(got, want);
		assert_non_null(strstr(got, "worker_up{service="));
	}
	free(want);
	free(got);
	netns_delete(OTHER);
}

static unsigned int count(const char *text, const char *words)
{
	unsigned int n = 0;

	for (; (text = strstr(text, words)); text++)
		n++;
	return n;
}

/* How often the command opens the list of a worker's descriptors. */
static unsigned int walks(const char *command, const char *option)
{
	const char *argv[] = { "strace", "-qq",	 "-f",	   "-o",
			       TRACE,	 "-e",	 "openat", harness_build_path("lbctl"),
			       command,	 option, NULL };
	_cleanup_output_ struct output output;
	char *text, path[32];
	unsigned int n;

	command_run(&output, argv, COMMAND_MS);
	if (output.status)
		fail_msg("%s: %s", command, output.err);
	text = file_read(TRACE);
	snprintf(path, sizeof(path), "\"/proc/%d/fd\"", web[0].pid);
	n = count(text, path);
	free(text);
	return n;
}

/* Once for each of the two network namespaces, of four services with six listeners. */
static void test_one_walk(void **state)
{
	(void)state;
	start_all();
	assert_int_equal(walks("list", NULL), 2);
	assert_int_equal(walks("stats", "--prometheus"), 2);
	netns_delete(OTHER);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		harness_test(test_all_is_as_each),
		harness_test(test_one_walk),
	};

	(void)argc;
	return harness_run(argv[0], tests);
}
