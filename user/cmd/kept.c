// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See kept.h. */
#include "cmd/kept.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/workdir.h"
#include "cmd/program.h"
#include "host/proc_file.h"

#define MOST_BYTES (2 << 20) /* as long as a command line may be by default */

struct kept *kept_new(const struct cmd *cmd)
{
	struct kept *kept = calloc(1, sizeof(*kept));

	if (!kept)
		return NULL;
	kept->argv = calloc(cmd->nr_args + 2 * CMD_MAX_OPTIONS + 8, sizeof(*kept->argv));
	if (kept->argv)
		return kept;
	free(kept);
	return NULL;
}

void kept_free(struct kept *kept)
{
	if (kept)
		free(kept->argv);
	free(kept);
}

void kept_add(struct kept *kept, const char *word)
{
	kept->argv[kept->argc++] = word;
}

int kept_find_paths(const struct cmd *cmd, struct kept *kept)
{
	ssize_t n = readlink("/proc/self/exe", kept->program, sizeof(kept->program) - 1);

	if (n < 0 || workdir_name(kept->directory) || !getcwd(kept->real, sizeof(kept->real)))
		return cmd_fail(cmd, EXIT_FAILED, "%s: %s",
				n < 0 ? "/proc/self/exe" : "the working directory",
				strerror(errno));
	kept->program[n] = '\0';
	if (access(kept->program, X_OK))
		return cmd_fail(cmd, EXIT_FAILED, "%s: is not there any more", kept->program);
	return EXIT_DONE;
}

static int find_command(const struct cmd *cmd, struct kept *kept)
{
	int err = program_find(cmd->args[0], kept->directory, kept->command);

	if (err == -ENOENT)
		return cmd_fail(cmd, PROGRAM_NOT_FOUND, "%s: command not found", cmd->args[0]);
	if (err)
		return cmd_fail(cmd, PROGRAM_NOT_EXECUTABLE, "%s: not executable", kept->command);
	return EXIT_DONE;
}

/* Those of RUN_OPTIONS that make no part of it. */
static bool is_left_out(const char *option)
{
	return !strcmp(option, "name");
}

static int add_options(const struct cmd *cmd, struct kept *kept)
{
	const struct cmd_option *options = cmd->command->options;

	for (size_t i = 0; options[i].name; i++) {
		const char *value = cmd->values[i];

		if (!value || is_left_out(options[i].name))
			continue;
		snprintf(kept->dashed[i], sizeof(kept->dashed[i]), "%s%s",
			 options[i].name[1] ? "--" : "-", options[i].name);
		kept_add(kept, kept->dashed[i]);
		if (!strcmp(options[i].name, "log-dir") || !strcmp(options[i].name, "cwd")) {
			char *path = *options[i].name == 'l' ? kept->log_dir : kept->cwd;

			if (workdir_join(path, kept->directory, value))
				return cmd_fail(cmd, EXIT_USAGE, "--%s: too long", options[i].name);
			value = path;
		}
		if (options[i].value)
			kept_add(kept, value);
	}
	if (cmd_value(cmd, "user") && !cmd_value(cmd, "no-new-privileges"))
		kept_add(kept, "--no-new-privileges");
	/* systemd enters what the link leads to when lbctl starts, workers what it leads to then */
	if (!cmd_value(cmd, "cwd") && strcmp(kept->directory, kept->real)) {
		kept_add(kept, "--cwd");
		kept_add(kept, kept->directory);
	}
	return EXIT_DONE;
}

int kept_set_command_line(const struct cmd *cmd, const char *name, struct kept *kept)
{
	int status = find_command(cmd, kept);

	if (status)
		return status;
	kept_add(kept, "run");
	kept_add(kept, "--name");
	kept_add(kept, name);
	status = add_options(cmd, kept);
	if (status)
		return status;
	kept_add(kept, "--");
	kept_add(kept, kept->command);
	for (int i = 1; i < cmd->nr_args; i++)
		kept_add(kept, cmd->args[i]);
	return EXIT_DONE;
}

/* The pointers first, then the words that they lead to. */
static char **split(const char *words, size_t n)
{
	size_t count = 0, at = 0;
	char **argv, *copy;

	for (size_t i = 0; i < n; i++)
		count += !words[i];
	argv = malloc((count + 1) * sizeof(*argv) + n);
	if (!argv)
		return NULL;
	copy = (char *)(argv + count + 1);
	memcpy(copy, words, n);
	for (size_t i = 0; i < count; i++) {
		argv[i] = copy + at;
		at += strlen(argv[i]) + 1;
	}
	argv[count] = NULL;
	return argv;
}

char **kept_read(pid_t pid)
{
	char *words = malloc(MOST_BYTES), **argv = NULL;
	ssize_t n = words ? proc_file_read(pid, "cmdline", words, MOST_BYTES) : -ENOMEM;
	const char *rest = n > 0 ? memchr(words, '\0', n) : NULL;

	if (rest && !words[n - 1])
		argv = split(rest + 1, words + n - rest - 1);
	free(words);
	return argv;
}

static const struct cmd_option *find_option(const char *word)
{
	for (size_t i = 0; cmd_run.options[i].name; i++) {
		size_t dashes = cmd_run.options[i].name[1] ? 2 : 1;

		if (strspn(word, "-") >= dashes && !strcmp(word + dashes, cmd_run.options[i].name))
			return &cmd_run.options[i];
	}
	return NULL;
}

/* As kept_set_command_line() writes them: a value is a word of its own. */
const char *kept_value(const char *const *argv, const char *option)
{
	for (argv += *argv != NULL; *argv && strcmp(*argv, "--"); argv++) {
		const struct cmd_option *row = find_option(*argv);
		const char *value = row && row->value ? *++argv : "";

		if (!value)
			return NULL;
		if (row && !strcmp(row->name, option))
			return value;
	}
	return NULL;
}

const char *const *kept_command(const char *const *argv)
{
	for (argv += *argv != NULL; *argv && strcmp(*argv, "--"); argv++) {
		const struct cmd_option *row = find_option(*argv);

		if (row && row->value && argv[1])
			argv++;
	}
	return *argv ? argv + 1 : argv;
}
