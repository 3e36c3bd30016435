/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Files of services: each mistake is told with its line, before anything is looked at or done; and
 * what is right becomes the command line of lbctl run.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "check.h"
#include "cmd/cmd.h"
#include "cmd/run_options.h"
#include "cmd/kept.h"
#include "cmd/services.h"

const struct command *const cmd_table[] = {
#define X(name) &cmd_##name,
	COMMANDS(X)
#undef X
		NULL,
};

static char directory[] = "/tmp/lbctl-test-services-XXXXXX";

static int begin(void **state)
{
	(void)state;
	if (!mkdtemp(directory) || chdir(directory))
		return -1;
	return 0;
}

static int end(void **state)
{
	(void)state;
	if (chdir(directory) || unlink("file.yaml") || chdir("/"))
		return -1;
	return rmdir(directory);
}

static void write_file(const char *text)
{
	FILE *file = fopen("file.yaml", "we");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

/* What is said of it on standard error. */
static char *errors_of(const char *text, int *status)
{
	char *argv[] = { "lbctl", "apply", "--dry-run", "file.yaml", NULL };
	char *got = calloc(1, 4096);
	int saved = dup(2), pipe_fds[2];

	write_file(text);
	assert_int_equal(pipe(pipe_fds), 0);
	dup2(pipe_fds[1], 2);
	*status = cmd_main(4, argv);
	dup2(saved, 2);
	close(saved);
	close(pipe_fds[1]);
	assert_true(read(pipe_fds[0], got, 4095) >= 0);
	close(pipe_fds[0]);
	return got;
}

#define WEB "web:\n  command: /bin/true\n"

static const struct {
	const char *text;
	int status;
	const char *want; /* after "lbctl: apply file.yaml:" */
} mistakes[] = {
	{ "- web\n", 2, "1: a file of services is a map, NAME: { ... }" },
	{ "web: 1\n", 2, "1: web: a service is a map, and has a command" },
	{ "a b: {}\n", 2, "1: a b: not a service name: " },
	{ "web: {}\n", 2, "1: web: has no command" },
	{ "x: { command: /bin/true }\nweb:\n  n: 2\n", 2, "2: web: has no command" },
	{ "web:\n  command: []\n", 2, "2: command is empty" },
	{ "web:\n  command: ''\n", 2, "2: command is empty" },
	{ "web:\n  command: { a: b }\n", 2, "2: command is a text or a list of words" },
	{ "web:\n  command: [[a]]\n", 2, "2: command is a text or a list of words" },
	{ "web:\n  command: echo $HOME\n", 2,
	  "2: command: no shell reads it, so \"$\" has no meaning here" },
	{ "web:\n  command: no-such-program-here\n", 127,
	  "1: no-such-program-here: command not found" },
	{ WEB "  n: 0\n", 2, "3: -n 0: not a number from 1 to 1024, nor max" },
	{ WEB "\n  policy: rx\n", 2, "4: rx: no such policy" },
	{ WEB "  polcy: rr\n", 2, "3: polcy: no such key (did you mean \"policy\"?)" },
	{ WEB "  name: x\n", 2, "3: name: the entry's own name is the service's" },
	{ WEB "  f: x\n", 2, "3: f: no such key" },
	{ WEB "  port: 70000\n", 2, "3: --port 70000: not a port" },
	{ WEB "  port: [8080, 70000]\n", 2, "3: --port 8080,70000: not a port" },
	{ WEB "  n: [1]\n", 2, "3: n needs a value: N|max" },
	{ WEB "  n:\n", 2, "3: n needs a value: N|max" },
	{ WEB "  wait-ready: 1\n", 2, "3: wait-ready is true or false" },
	{ WEB "  user: no-such-user\n", 2, "3: --user no-such-user: no such user" },
	{ WEB "  kill-timeout: 1s\n", 2, "3: --kill-timeout 1s: not a number" },
	{ WEB "  max-memory: x\n  n: 0\n", 2, "3: --max-memory x: " },
	{ WEB "  cwd: /nowhere\n", 2, "3: --cwd /nowhere: No such file" },
	{ WEB "  log-dir: /nowhere\n", 2, "3: --log-dir /nowhere: " },
	/* each is right, and both are not */
	{ WEB "  port: 8080\n  offset-port: 8080\n", 2, "1: " },
	{ WEB "  set: 1\n", 2, "3: set is a map: { KEY: VALUE }" },
	{ WEB "  set-weight: [1]\n", 2, "3: set-weight is a map: { WORKER: NUMBER }" },
	{ WEB "  set:\n    stall_m: 1\n", 2,
	  "4: stall_m: no such setting (did you mean \"stall_ms\"? lbctl help set lists" },
	{ WEB "  set: { banana: 1 }\n", 2,
	  "3: banana: no such setting; lbctl help set lists them" },
	{ WEB "  set: { stall_ms: x }\n", 2, "3: stall_ms: \"x\" is not a number" },
	{ WEB "  set: { stall_ms: [1] }\n", 2, "3: stall_ms is a text" },
	{ WEB "  set-weight:\n    0: 1\n    all: 1\n", 2, "5: all: not a worker's number" },
	{ WEB "  set-weight: { 0: 0 }\n", 2, "3: 0: not a weight" },
	{ WEB "  set-limit: { 0: -1 }\n", 2, "3: -1: not a limit" },
	{ WEB "a: &x 1\n", 2, "3: anchors (&) and aliases (*) are not taken" },
	{ WEB "web: {}\n", 2, "3: web is there already, in line 1" },
	{ WEB "  n: [\n", 2, "4: did not find expected node content" },
};

static void test_mistakes(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(mistakes); i++) {
		int status;
		_cleanup_free_ char *got = errors_of(mistakes[i].text, &status);
		const char *at = "lbctl: apply file.yaml:";

		if (status != mistakes[i].status || strncmp(got, at, strlen(at)) ||
		    strncmp(got + strlen(at), mistakes[i].want, strlen(mistakes[i].want)))
			fail_msg("row %zu: status %d \"%s\", want %d \"%s\"", i, status, got,
				 mistakes[i].status, mistakes[i].want);
		assert_int_equal(chdir(directory), 0);
	}
}

/* Each option of run but those that an entry says otherwise, with some value that it takes. */
static void test_each_option_is_a_key(void **state)
{
	static const struct {
		const char *option, *value;
	} values[] = {
		{ "n", "3" },
		{ "policy", "rr" },
		{ "port", "8080" },
		{ "offset-port", "9229" },
		{ "listen", ":8081" },
		{ "stop-signal", "INT" },
		{ "kill-mode", "group" },
		{ "user", "root" },
		{ "group", "root" },
		{ "cwd", "/" },
		{ "env-file", "/x" },
		{ "instance-var", "I" },
		{ "log-dir", "/var/log" },
		{ "stop-exit-codes", "0,3" },
		{ "max-memory", "300M" },
		{ "reload-signal", "HUP" },
	};
	static const struct cmd_option options[] = { RUN_OPTIONS, { NULL, NULL, NULL } };
	struct cmd cmd = { .command = &cmd_apply };
	char text[256];

	(void)state;
	for (size_t i = 0; options[i].name; i++) {
		const char *value = options[i].value ? "1000" : "true";
		struct services services;

		if (!strcmp(options[i].name, "name") || !strcmp(options[i].name, "f"))
			continue;
		for (size_t j = 0; j < ARRAY_SIZE(values); j++) {
			if (!strcmp(options[i].name, values[j].option))
				value = values[j].value;
		}
		snprintf(text, sizeof(text), WEB "%s  %s: %s\n",
			 strcmp(options[i].name, "reload-signal") ? "" : "  forks: true\n",
			 options[i].name, value);
		write_file(text);
		if (services_read(&cmd, "file.yaml", run_options_parse, &services))
			fail_msg("%s: %s is not taken", options[i].name, value);
		assert_string_equal(services.entries[0].cmd.values[i],
				    options[i].value ? value : "");
		services_free(&services);
	}
}

static char *joined(const char *const *words)
{
	char *text = calloc(1, 1024);

	for (; *words; words++) {
		strcat(text, *words);
		strcat(text, "|");
	}
	return text;
}

/* The command line that the keeper gets, and what is read out of it again. */
static void test_command_line(void **state)
{
	struct cmd cmd = { .command = &cmd_apply };
	_cleanup_free_ char *text = NULL;
	char want[2 * PATH_MAX];
	struct services services;
	struct kept *kept;

	(void)state;
	write_file("web:\n  command: [true, -n, 'a b', '--']\n  n: 2\n  port: [8080, udp/53]\n"
		   "  user: root\n  wait-ready: true\n  allow-join: false\n  cwd: sub\n");
	mkdir("sub", 0755);
	assert_int_equal(services_read(&cmd, "file.yaml", run_options_parse, &services), 0);
	kept = kept_new(&services.entries[0].cmd);
	assert_int_equal(kept_find_paths(&services.entries[0].cmd, kept), 0);
	assert_int_equal(kept_set_command_line(&services.entries[0].cmd, "web", kept), 0);
	text = joined(kept->argv);
	snprintf(want, sizeof(want),
		 "run|--name|web|-n|2|--port|8080,udp/53|--wait-ready|--user|root|--cwd|%s/sub|"
		 "--no-new-privileges|--|%s|-n|a b|--|",
		 directory, kept->command);
	assert_string_equal(text, want);
	assert_string_equal(kept_value(kept->argv, "n"), "2");
	assert_string_equal(kept_value(kept->argv, "wait-ready"), "");
	assert_string_equal(kept_value(kept->argv, "no-new-privileges"), "");
	assert_null(kept_value(kept->argv, "allow-join"));
	assert_null(kept_value(kept->argv, "policy"));
	assert_string_equal(kept_command(kept->argv)[1], "-n");
	kept_free(kept);
	services_free(&services);
	rmdir("sub");
}

/* A value may look like an option, or like the end of them. */
static void test_values_are_no_options(void **state)
{
	static const char *const argv[] = { "run",	 "--name", "web", "--cwd", "--",
					    "--log-dir", "--n",	   "-n",  "3",	   "--",
					    "cmd",	 "-n",	   NULL };
	static const char *const cut[] = { "run", "--name", "web", "-n", NULL };

	(void)state;
	assert_string_equal(kept_value(argv, "cwd"), "--");
	assert_string_equal(kept_value(argv, "n"), "3");
	assert_string_equal(kept_command(argv)[0], "cmd");
	assert_null(kept_value(cut, "n"));
	assert_null(*kept_command(cut));
	assert_null(*kept_command(&cut[4]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_each_option_is_a_key),
		cmocka_unit_test(test_command_line),
		cmocka_unit_test(test_values_are_no_options),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
