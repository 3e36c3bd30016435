// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See help_text.h. */
#include "cmd/help_text.h"

#include <stdio.h>
#include <string.h>

#include "cmd/fold.h"

#define HELP_INDENT 25	/* where the meaning of an option begins */
#define USAGE_OPTIONS 3 /* the most that a usage line names */

const struct cmd_option options_common[] = {
	{ "json", NULL, "print JSON instead of text" },
	{ "dry-run", NULL, "say what would be done and do nothing" },
	{ "help", NULL, "show this help" },
	{ NULL, NULL, NULL },
};

bool options_takes_common(const struct command *command, const char *name)
{
	return strcmp(name, "dry-run") || command->kind == VERB;
}

const char *option_dashes(const struct cmd_option *option)
{
	return option->name[1] ? "--" : "-";
}

static bool is_in(const char *args, const struct cmd_option *option)
{
	char word[40];
	const char *at;

	snprintf(word, sizeof(word), "%s%s", option_dashes(option), option->name);
	at = strstr(args, word);
	return at && strcspn(at, " |]") == strlen(word);
}

const char *help_usage(const struct command *command, char out[HELP_USAGE_BYTES])
{
	const struct cmd_option *options = command->options;
	size_t len = 0, more = 0;

	for (size_t i = 0; options && options[i].name; i++)
		more += !is_in(command->args, &options[i]);
	if (more > USAGE_OPTIONS)
		len = snprintf(out, HELP_USAGE_BYTES, "[OPTIONS]%s", *command->args ? " " : "");
	len += snprintf(out + len, HELP_USAGE_BYTES - len, "%s", command->args);
	for (size_t i = 0; more && more <= USAGE_OPTIONS && options[i].name; i++) {
		const char *value = options[i].value;

		if (is_in(command->args, &options[i]) || len >= HELP_USAGE_BYTES)
			continue;
		len += snprintf(out + len, HELP_USAGE_BYTES - len, "%s[%s%s%s%s]", len ? " " : "",
				option_dashes(&options[i]), options[i].name, value ? " " : "",
				value ? value : "");
	}
	return out;
}

static void print_options(const struct cmd_option *options, const struct command *command)
{
	char left[64], line[512];

	for (size_t i = 0; options && options[i].name; i++) {
		if (!options_takes_common(command, options[i].name))
			continue;
		snprintf(left, sizeof(left), "%s%s%s%s", option_dashes(&options[i]),
			 options[i].name, options[i].value ? " " : "",
			 options[i].value ? options[i].value : "");
		snprintf(line, sizeof(line), "  %-22s %s", left, options[i].help);
		fold_print(stdout, line, HELP_INDENT, FOLD_COLUMNS);
	}
}

/* Of "  key   what it means" where the meaning begins, else where the line does. */
static size_t indent_of(const char *line)
{
	size_t at = strspn(line, " "), key = strcspn(line + at, " ");
	size_t gap = strspn(line + at + key, " ");

	return at && gap > 1 ? at + key + gap : at;
}

static void print_details(const char *text)
{
	char line[1024];
	size_t len;

	for (; *text; text += len + (text[len] == '\n')) {
		len = strcspn(text, "\n");
		snprintf(line, sizeof(line), "%.*s", (int)len, text);
		fold_print(stdout, line, indent_of(line), FOLD_COLUMNS);
	}
}

void help_print(const struct command *command)
{
	char usage[HELP_USAGE_BYTES];

	help_usage(command, usage);
	printf("usage: lbctl %s%s%s\n\n", command->name, *usage ? " " : "", usage);
	print_details(command->summary);
	if (command->details) {
		putchar('\n');
		print_details(command->details);
	}
	printf("\noptions:\n");
	print_options(command->options, command);
	print_options(options_common, command);
	if (command->print_more)
		command->print_more();
}
