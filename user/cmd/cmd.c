// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See cmd.h. */
#include "cmd/cmd.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/suggest.h"
#include "base/text.h"
#include "cmd/help_text.h"
#include "cmd/words.h"
#include "service/rescue.h"

static const struct {
	const char *alias;
	const char *name;
} aliases[] = {
	{ "ls", "list" },	    { "status", "show" }, { "--help", "help" }, { "-h", "help" },
	{ "--version", "version" }, { "-V", "version" },  { "-v", "version" },
};

const struct command *cmd_find(const char *name)
{
	for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++) {
		if (!strcmp(name, aliases[i].alias))
			name = aliases[i].name;
	}
	for (size_t i = 0; cmd_table[i]; i++) {
		if (!strcmp(name, cmd_table[i]->name))
			return cmd_table[i];
	}
	return NULL;
}

/* "set-policy rx: rx: no such policy" names it twice: the object ends with the token already. */
static const char *without_echo(const char *object, const char *text)
{
	const char *space = strrchr(object, ' ');
	const char *last = space ? space + 1 : object;
	size_t len = strlen(last);

	if (len && !strncmp(text, last, len) && !strncmp(text + len, ": ", 2))
		return text + len + 2;
	return text;
}

int cmd_fail(const struct cmd *cmd, enum exit_status status, const char *format, ...)
{
	char text[1024], object[2 * sizeof(cmd->object)];
	va_list args;

	fflush(stdout);
	va_start(args, format);
	text_vformat(text, sizeof(text), format, args);
	va_end(args);
	text_format(object, sizeof(object), "%s", cmd->object);
	fprintf(stderr, "lbctl: ");
	if (cmd->command)
		fprintf(stderr, "%s%s%s: ", cmd->command->name, *object ? " " : "", object);
	fprintf(stderr, "%s\n", without_echo(object, text));
	return status;
}

int cmd_trouble(const struct cmd *cmd, const struct trouble *trouble)
{
	return cmd_fail(cmd, trouble->status, "%s", trouble->text);
}

const char *cmd_value(const struct cmd *cmd, const char *option)
{
	const struct cmd_option *options = cmd->command->options;

	for (size_t i = 0; options && options[i].name; i++) {
		if (!strcmp(options[i].name, option))
			return cmd->values[i];
	}
	return NULL;
}

static int unknown_option(struct cmd *cmd, const char *text)
{
	const struct cmd_option *options = cmd->command->options;
	const char *names[CMD_MAX_OPTIONS + 4], *nearest, *answer;
	const char *start = text + strspn(text, "-");
	char name[64];
	size_t n = 0;

	snprintf(name, sizeof(name), "%.*s", (int)strcspn(start, "="), start);
	answer = words_option_answer(cmd->command->name, name);
	if (answer)
		return cmd_fail(cmd, EXIT_USAGE, "unknown option %s; %s", text, answer);
	for (size_t i = 0; options && options[i].name; i++)
		names[n++] = options[i].name;
	for (size_t i = 0; options_common[i].name; i++) {
		if (options_takes_common(cmd->command, options_common[i].name))
			names[n++] = options_common[i].name;
	}
	nearest = suggest(name, names, n);
	if (nearest)
		return cmd_fail(cmd, EXIT_USAGE, "unknown option %s (did you mean --%s?)", text,
				nearest);
	return cmd_fail(cmd, EXIT_USAGE, "unknown option %s; lbctl help %s lists them", text,
			cmd->command->name);
}

/* Of an option that was given before the last value counts; a list has them all. */
static int set_value(struct cmd *cmd, size_t which, const char *value)
{
	const struct cmd_option *option = &cmd->command->options[which];
	char *joined;

	if (!cmd->values[which] || !option->value || !strstr(option->value, "[,")) {
		cmd->values[which] = value ? value : "";
		return EXIT_DONE;
	}
	if (asprintf(&joined, "%s,%s", cmd->values[which], value) < 0)
		return cmd_fail(cmd, EXIT_FAILED, "out of memory");
	free(cmd->joined[which]);
	cmd->values[which] = cmd->joined[which] = joined;
	return EXIT_DONE;
}

static bool is_named(const struct cmd_option *option, const char *name, size_t len)
{
	return strlen(option->name) == len && !strncmp(option->name, name, len);
}

/*
 * Which of the command's own options this is, or -1: --name, --name=VALUE, -n, -nVALUE, -n=VALUE.
 * *value is what stands in the same word, or NULL.
 */
static int find_option(const struct cmd_option *options, const char *text, const char **value)
{
	const char *name = text + 1 + (text[1] == '-');
	size_t len = strcspn(name, "=");
	int letter = -1;

	for (int i = 0; options && options[i].name; i++) {
		bool is_long = options[i].name[1];

		if (is_long && is_named(&options[i], name, len)) {
			*value = name[len] ? name + len + 1 : NULL;
			/* one dash is for one letter: -name is a slip, and not -n with a value */
			return text[1] == '-' ? i : -1;
		}
		if (!is_long && text[1] == *options[i].name)
			letter = i;
	}
	if (letter >= 0)
		*value = text[2] ? text + 2 + (text[2] == '=') : NULL;
	return letter;
}

/* An option of the command's own: `text` is what was written, `next` the next argument. */
static int take_option(struct cmd *cmd, const char *text, const char *next, int *used)
{
	const char *value = NULL;
	int which = find_option(cmd->command->options, text, &value);
	const struct cmd_option *option;

	if (which < 0)
		return unknown_option(cmd, text);
	option = &cmd->command->options[which];
	if (!option->value && value)
		return cmd_fail(cmd, EXIT_USAGE, "%s%s takes no value", option_dashes(option),
				option->name);
	if (option->value && !value) {
		value = next;
		*used = 1;
	}
	if (option->value && !value)
		return cmd_fail(cmd, EXIT_USAGE, "%s%s needs a value: %s%s %s",
				option_dashes(option), option->name, option_dashes(option),
				option->name, option->value);
	return set_value(cmd, which, value);
}

/* Is it an argument, and no option? A number with a sign is one; a command's name is none. */
static bool is_argument(const struct cmd *cmd, const char *text)
{
	if (*text != '-' || !text[1])
		return true;
	return !cmd->command->takes_command && text[1 + strspn(text + 1, "0123456789")] == '\0';
}

static int parse_options(struct cmd *cmd, int argc, char **argv, bool *help)
{
	bool only_args = false;
	int status, used;

	for (int i = 0; i < argc; i++) {
		if (only_args || is_argument(cmd, argv[i])) {
			cmd->args[cmd->nr_args++] = argv[i];
			only_args |= cmd->command->takes_command;
		} else if (!strcmp(argv[i], "--")) {
			only_args = true;
		} else if (!strcmp(argv[i], "--json")) {
			cmd->json = true;
		} else if (!strcmp(argv[i], "--dry-run") && cmd->command->kind == VERB) {
			cmd->dry_run = true;
		} else if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
			*help = true;
		} else {
			used = 0;
			status =
				take_option(cmd, argv[i], i + 1 < argc ? argv[i + 1] : NULL, &used);
			if (status)
				return status;
			i += used;
		}
	}
	return EXIT_DONE;
}

int cmd_unknown(const struct cmd *cmd, const char *name, const char *script)
{
	const char *names[64 + WORDS_MOST], *nearest, *answer, *program;
	size_t n = 0;

	for (; cmd_table[n]; n++)
		names[n] = cmd_table[n]->name;
	n += words_list(&names[n]);
	answer = words_answer(name);
	nearest = answer ? NULL : suggest(name, names, n);
	if (nearest)
		answer = words_answer(nearest);
	program = script && answer ? words_interpreter(script) : NULL;
	if (program && !strncmp(answer, "lbctl run ", strlen("lbctl run ")))
		return cmd_fail(cmd, EXIT_USAGE,
				"%s: no such command; lbctl run -- %s %s starts it, one worker for "
				"each CPU",
				name, program, script);
	if (answer)
		return cmd_fail(cmd, EXIT_USAGE, "%s: no such command; %s", name, answer);
	if (nearest)
		return cmd_fail(cmd, EXIT_USAGE,
				"%s: no such command (did you mean \"%s\"? lbctl help lists all)",
				name, nearest);
	return cmd_fail(cmd, EXIT_USAGE, "%s: no such command; lbctl help lists all", name);
}

static int check_count(const struct cmd *cmd)
{
	char usage[HELP_USAGE_BYTES];

	if (cmd->nr_args < cmd->command->min_args)
		return cmd_fail(cmd, EXIT_USAGE, "too few arguments; usage: lbctl %s %s",
				cmd->command->name, help_usage(cmd->command, usage));
	if (cmd->nr_args > cmd->command->max_args)
		return cmd_fail(cmd, EXIT_USAGE, "\"%.80s\" is one too many; usage: lbctl %s %s",
				cmd->args[cmd->command->max_args], cmd->command->name,
				help_usage(cmd->command, usage));
	return EXIT_DONE;
}

static void free_joined(struct cmd *cmd)
{
	for (size_t i = 0; i < CMD_MAX_OPTIONS; i++)
		free(cmd->joined[i]);
}

int cmd_check_words(const struct command *command, int argc, char **argv,
		    int (*check)(struct cmd *cmd, void *arg), void *arg)
{
	_cleanup_free_ char **args = calloc(argc + 1, sizeof(*args));
	struct cmd cmd = { .command = command, .args = args };
	bool help = false;
	int status;

	if (!args)
		return cmd_fail(&cmd, EXIT_FAILED, "out of memory");
	status = parse_options(&cmd, argc, argv, &help);
	if (!status && help)
		status = cmd_fail(&cmd, EXIT_USAGE, "--help does nothing else");
	if (!status)
		status = check_count(&cmd);
	if (!status)
		status = check(&cmd, arg);
	free_joined(&cmd);
	return status;
}

static void describe_object(struct cmd *cmd)
{
	size_t len = 0;

	for (int i = 0; i < cmd->nr_args && len < sizeof(cmd->object); i++)
		len += snprintf(cmd->object + len, sizeof(cmd->object) - len, "%s%s", i ? " " : "",
				cmd->args[i]);
}

int cmd_main(int argc, char **argv)
{
	_cleanup_free_ char **args = calloc(argc + 1, sizeof(*args));
	struct cmd cmd = { .args = args };
	bool help = false;
	int status;

	if (!args)
		return cmd_fail(&cmd, EXIT_FAILED, "out of memory");
	if (argc < 2) {
		fprintf(stderr, "usage: lbctl COMMAND [ARGS]; lbctl help lists the commands\n");
		return EXIT_USAGE;
	}
	cmd.command = cmd_find(argv[1]);
	if (!cmd.command)
		return cmd_unknown(&cmd, argv[1], argc > 2 ? argv[2] : NULL);
	status = parse_options(&cmd, argc - 2, argv + 2, &help);
	if (!status && help) {
		help_print(cmd.command);
	} else if (!status) {
		status = check_count(&cmd);
		describe_object(&cmd);
		if (!status)
			status = cmd.command->run(&cmd);
	}
	free_joined(&cmd);
	if (fflush(stdout) && !status)
		status = EXIT_FAILED;
	return status;
}

static int only_service(struct cmd *cmd, char name[LB_NAME_MAX + 1])
{
	_cleanup_free_ char(*names)[LB_NAME_MAX + 1] = NULL;
	struct trouble trouble;
	char list[160] = "", usage[HELP_USAGE_BYTES];
	size_t n, len = 0;
	int err;

	err = state_names(&names, &n);
	if (err == -ENODEV || (!err && !n))
		return cmd_fail(cmd, EXIT_NOT_FOUND,
				"there is no service; lbctl run -- CMD starts one, lbctl attach "
				"ADDR takes a running server over");
	if (err) {
		state_trouble(&trouble, "", err);
		return cmd_trouble(cmd, &trouble);
	}
	if (n == 1) {
		strcpy(name, names[0]);
		return EXIT_DONE;
	}
	for (size_t i = 0; i < n && len < sizeof(list) - 70; i++)
		len += sprintf(list + len, "%s%s", i ? ", " : "", names[i]);
	return cmd_fail(cmd, EXIT_USAGE, "which service? there are %zu (%s): lbctl %s %s", n, list,
			cmd->command->name, help_usage(cmd->command, usage));
}

int cmd_take_name(struct cmd *cmd, int needed, char name[LB_NAME_MAX + 1])
{
	if (cmd->nr_args <= needed)
		return only_service(cmd, name);
	if (parse_name(cmd->args[0]))
		return cmd_fail(cmd, EXIT_USAGE, "%.80s: not a service name: %s", cmd->args[0],
				parse_name_rule());
	strcpy(name, cmd->args[0]);
	cmd->args++;
	cmd->nr_args--;
	return EXIT_DONE;
}

int cmd_open_service(struct cmd *cmd, int needed, enum state_mode mode, struct state *state)
{
	char name[LB_NAME_MAX + 1];
	struct trouble trouble;
	int status, err;

	status = cmd_take_name(cmd, needed, name);
	if (status)
		return status;
	err = state_open(state, name, mode);
	if (!err && mode == STATE_LOCK)
		rescue_repair(state);
	if (!err)
		return EXIT_DONE;
	state_trouble(&trouble, name, err);
	return cmd_trouble(cmd, &trouble);
}

int cmd_print_json(json_t *value)
{
	int err = value ? json_dumpf(value, stdout, JSON_INDENT(1)) : -1;

	if (!value)
		fprintf(stderr, "lbctl: out of memory\n");
	else
		putchar('\n');
	json_decref(value);
	return err ? EXIT_FAILED : EXIT_DONE;
}
