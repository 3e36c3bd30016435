// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Words of other tools are answered with commands and options that there are; options are found
 * however they are written.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "check.h"
#include "cmd/cmd.h"
#include "cmd/words.h"

const struct command *const cmd_table[] = {
#define X(name) &cmd_##name,
	COMMANDS(X)
#undef X
		NULL,
};

/* --- what is answered --- */

static bool has_option(const struct command *command, const char *name, size_t len)
{
	for (size_t i = 0; command->options && command->options[i].name; i++) {
		if (strlen(command->options[i].name) == len &&
		    !strncmp(command->options[i].name, name, len))
			return true;
	}
	return len == 4 && !strncmp(name, "json", len);
}

/* Each "lbctl COMMAND ... --option" in the text, up to the next sentence, exists. */
static void check_mentions(const char *word, const char *text)
{
	const char *at = text;
	unsigned int mentions = 0;

	while ((at = strstr(at, "lbctl "))) {
		const struct command *command;
		char name[32];

		at += strlen("lbctl ");
		snprintf(name, sizeof(name), "%.*s", (int)strcspn(at, " ,;'"), at);
		command = cmd_find(name);
		if (!command || strcmp(command->name, name))
			fail_msg("%s: \"%s\" names lbctl %s, which there is not", word, text, name);
		for (const char *o = at; o < at + strcspn(at, ",;"); o++) {
			size_t len = strspn(o, "-"),
			       n = strspn(o + len, "abcdefghijklmnopqrstuvwxyz-");

			if ((len == 1 || len == 2) && o[-1] == ' ' && n && (len == 1) == (n == 1) &&
			    !has_option(command, o + len, n))
				fail_msg("%s: \"%s\": %s has no such option", word, text, name);
		}
		mentions++;
	}
	if (!mentions)
		fail_msg("%s: \"%s\" names no command", word, text);
}

static void test_words(void **state)
{
	static const char *const wanted[] = { "start",	"ps",	    "tail",	"monit", "delete",
					      "kill",	"describe", "dash",	"save",	 "startup",
					      "env",	"id",	    "restart",	"stop",	 "ls",
					      "status", "-v",	    "--version" };
	const char *words[WORDS_MOST];
	size_t n = words_list(words);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		if (!words_answer(wanted[i]) && !cmd_find(wanted[i]))
			fail_msg("%s is neither answered nor a command", wanted[i]);
	}
	for (size_t i = 0; i < n; i++) {
		check_mentions(words[i], words_answer(words[i]));
		if (cmd_find(words[i]))
			fail_msg("%s is a command, so nobody reads the answer", words[i]);
		for (size_t j = 0; j < i; j++) {
			if (!strcmp(words[i], words[j]))
				fail_msg("%s stands there twice", words[i]);
		}
	}
}

/* --- the command line --- */

/* Runs lbctl with these arguments, separated by spaces; returns what it printed on both outputs. */
static char *output_of(const char *line, int *status)
{
	_cleanup_free_ char *copy = strdup(line);
	char *argv[16] = { "lbctl" }, *at = copy, *word, *text = calloc(1, 16384);
	int argc = 1, saved_out = dup(1), saved_err = dup(2), pipe_fds[2];
	ssize_t n;

	while ((word = strsep(&at, " ")) && argc < 15)
		argv[argc++] = word;
	assert_int_equal(pipe(pipe_fds), 0);
	fflush(NULL);
	dup2(pipe_fds[1], 1);
	dup2(pipe_fds[1], 2);
	*status = cmd_main(argc, argv);
	fflush(NULL);
	dup2(saved_out, 1);
	dup2(saved_err, 2);
	close(saved_out);
	close(saved_err);
	close(pipe_fds[1]);
	n = read(pipe_fds[0], text, 16383);
	assert_true(n >= 0);
	close(pipe_fds[0]);
	return text;
}

struct line {
	const char *line;
	int status;
	const char *words, *never; /* in what is printed, and not */
};

static void check_lines(const struct line *lines, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int status;
		_cleanup_free_ char *got = output_of(lines[i].line, &status);

		if (status != lines[i].status || !strstr(got, lines[i].words) ||
		    (lines[i].never && strstr(got, lines[i].never)))
			fail_msg("lbctl %s: status %d: %s", lines[i].line, status, got);
	}
}

static void test_unknown_commands(void **state)
{
	static const struct line lines[] = {
		{ "start", 2, "lbctl: start: no such command; lbctl run -n 4 -- CMD", NULL },
		{ "start app.js", 2, "lbctl run -- node app.js starts it", NULL },
		{ "start server.py -i 4", 2, "lbctl run -- python3 server.py", NULL },
		{ "start app", 2, "lbctl run -n 4 -- CMD", "app starts" },
		{ "monit", 2, "lbctl top shows services", "did you mean" },
		{ "Monit", 2, "lbctl top shows services", "did you mean" },
		{ "tops", 2, "did you mean \"top\"?", "stop" },
		{ "log", 2, "lbctl logs NAME", NULL },
		{ "lgos", 2, "did you mean \"logs\"?", NULL },
		{ "kill web", 2, "lbctl stop NAME", NULL },
		{ "stopo", 2, "did you mean \"stop\"?", NULL },
		{ "atttach", 2, "did you mean \"attach\"?", NULL },
		{ "help monit", 2, "lbctl top shows services", "did you mean" },
		{ "help frobnicate", 2, "lbctl help lists all", NULL },
		{ "-v", 0, "lbctl ", NULL },
		{ "--version", 0, "lbctl ", NULL },
		{ "-V", 0, "lbctl ", NULL },
	};

	(void)state;
	check_lines(lines, ARRAY_SIZE(lines));
}

static void test_options(void **state)
{
	static const struct line lines[] = {
		{ "run --dry-run -n4 cat", 0, "would run 4 workers of cat", NULL },
		{ "run --dry-run -n 4 cat", 0, "would run 4 workers of cat", NULL },
		{ "run --dry-run -n=4 cat", 0, "would run 4 workers of cat", NULL },
		{ "run --dry-run --name web -n12 -- cat -n4", 0, "would run 12 workers", NULL },
		{ "run --dry-run -nmax cat", 0, "of cat as service cat", NULL },
		{ "run -nmany cat", 2, "-n many: not a number from 1 to 1024, nor max", NULL },
		{ "run -n", 2, "-n needs a value: -n N|max", NULL },
		{ "run -name web cat", 2, "did you mean --name?", NULL },
		{ "run -name=web cat", 2, "did you mean --name?", NULL },
		{ "run --n=4 cat", 2, "unknown option --n=4", NULL },
		{ "run --wait-ready=1 cat", 2, "--wait-ready takes no value", NULL },
		{ "run --name", 2, "--name needs a value: --name NAME", NULL },
		{ "run -d cat", 2, "lbctl apply FILE", NULL },
		{ "run --daemon cat", 2, "lbctl unit", NULL },
		{ "run -i 4 cat", 2, "lbctl run -n 4", NULL },
		{ "run -4 cat", 2, "unknown option -4", NULL },
		{ "run --listen :1 --port 2 cat", 2, "--port does not go with --listen", NULL },
		{ "run --listen :1 --offset-port 2 cat", 2, "--offset-port does not go", NULL },
		{ "drain web -1", 2, "-1: not a worker", NULL },
		{ "drain web", 2, "which worker? usage: lbctl drain [NAME] WORKER", NULL },
		{ "restart web", 2, "which worker? usage: lbctl restart [NAME] WORKER", NULL },
		{ "rescue web", 2, "which worker? usage: lbctl rescue [NAME] WORKER", NULL },
		{ "signal web HUP", 2, "which worker? usage: lbctl signal [NAME] WORKER", NULL },
		{ "send web {}", 2, "which worker? usage: lbctl send [NAME] WORKER", NULL },
		{ "restart x! 0", 2, "x!: not a service name", NULL },
	};

	(void)state;
	check_lines(lines, ARRAY_SIZE(lines));
}

/* --- 80 columns --- */

static void check_width(const char *line)
{
	int status;
	_cleanup_free_ char *text = output_of(line, &status);
	char *at = text, *one;

	while ((one = strsep(&at, "\n"))) {
		if (strlen(one) > 80)
			fail_msg("lbctl %s: %zu columns: %s", line, strlen(one), one);
		if (strchr(one, '\\'))
			fail_msg("lbctl %s: a backslash: %s", line, one);
	}
}

static void test_help_fits(void **state)
{
	char line[64];

	(void)state;
	check_width("help");
	for (size_t i = 0; cmd_table[i]; i++) {
		snprintf(line, sizeof(line), "help %s", cmd_table[i]->name);
		check_width(line);
	}
}

/* --- scripts --- */

static const struct {
	const char *name, *text;
	int mode;
	int status; /* of `lbctl run --dry-run NAME` and of `lbctl unit NAME` where it is not 0 */
	const char *words;
} scripts[] = {
	{ "app.js", "x", 0644, 127, "try: lbctl run -- node app.js" },
	{ "./app.js", "x", 0644, 126, "try: lbctl run -- node ./app.js" },
	{ "./app.js", "x", 0755, 126, "try: lbctl run -- node ./app.js" },
	{ "./app.js", "#!/usr/bin/env node\n", 0755, 0, "of ./app.js as service app" },
	{ "./app.mjs", "x", 0644, 126, "node ./app.mjs" },
	{ "./a.b.py", "x", 0644, 126, "python3 ./a.b.py" },
	{ "./app.rb", "x", 0644, 126, "ruby ./app.rb" },
	{ "./app.sh", "x", 0644, 126, "sh ./app.sh" },
	{ "./app.sh", "x", 0755, 0, "of ./app.sh as service app" },
	{ "./app.jar", "PK", 0644, 126, "java -jar ./app.jar" },
	{ "./server", "x", 0644, 0, "of ./server as service server" },
	{ "./app.conf", "x", 0644, 0, "of ./app.conf as service app" },
};

static void test_scripts(void **state)
{
	char directory[] = "/tmp/lbctl-test-words-XXXXXX";

	(void)state;
	assert_non_null(mkdtemp(directory));
	assert_int_equal(chdir(directory), 0);
	for (size_t i = 0; i < ARRAY_SIZE(scripts); i++) {
		struct line line = { .status = scripts[i].status, .words = scripts[i].words };
		FILE *file = fopen(scripts[i].name, "we");
		char text[64];

		assert_non_null(file);
		fputs(scripts[i].text, file);
		fclose(file);
		assert_int_equal(chmod(scripts[i].name, scripts[i].mode), 0);
		snprintf(text, sizeof(text), "run --dry-run %s", scripts[i].name);
		line.line = text;
		check_lines(&line, 1);
		if (scripts[i].status) {
			snprintf(text, sizeof(text), "unit %s", scripts[i].name);
			line.words = "is a script and can't be started by itself";
			check_lines(&line, 1);
		}
		unlink(scripts[i].name);
	}
	assert_int_equal(chdir("/"), 0);
	rmdir(directory);
}

/* A script that is not there is a command that is not found. */
static void test_no_script(void **state)
{
	static const struct line line = { "unit nothing.js", 127, "command not found", NULL };

	(void)state;
	check_lines(&line, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),	cmocka_unit_test(test_unknown_commands),
		cmocka_unit_test(test_options), cmocka_unit_test(test_help_fits),
		cmocka_unit_test(test_scripts), cmocka_unit_test(test_no_script),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
