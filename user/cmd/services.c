// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See services.h. */
#include "cmd/services.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/suggest.h"
#include "base/workdir.h"
#include "cmd/cmd_set.h"
#include "cmd/program.h"

/* With one of these a shell would do something that we don't. */
#define SHELL_LETTERS "\"'\\$|&;<>`"

/* Of run's options those that an entry says in another way. */
static const char *const no_keys[] = { "name", "f" };

static const char *const commands[] = { "set", "set-weight", "set-limit" };
#define COMMANDS_COUNT (sizeof(commands) / sizeof(commands[0]))

/* Messages are about this line from now on. */
static void at_line(struct cmd *cmd, const struct services *services, unsigned int line)
{
	snprintf(cmd->object, sizeof(cmd->object), "%.200s:%u", services->shown, line);
}

/* --- one key --- */

static int find_option(const char *key)
{
	for (size_t i = 0; i < sizeof(no_keys) / sizeof(no_keys[0]); i++) {
		if (!strcmp(key, no_keys[i]))
			return -1;
	}
	for (int i = 0; cmd_run.options[i].name; i++) {
		if (!strcmp(key, cmd_run.options[i].name))
			return i;
	}
	return -1;
}

static int unknown_key(const struct cmd *cmd, const char *key)
{
	const char *names[CMD_MAX_OPTIONS + COMMANDS_COUNT + 1], *nearest;
	size_t n = 0;

	for (size_t i = 0; cmd_run.options[i].name; i++) {
		if (find_option(cmd_run.options[i].name) >= 0)
			names[n++] = cmd_run.options[i].name;
	}
	for (size_t i = 0; i < COMMANDS_COUNT; i++)
		names[n++] = commands[i];
	names[n++] = "command";
	if (!strcmp(key, "name"))
		return cmd_fail(cmd, EXIT_USAGE, "name: the entry's own name is the service's");
	nearest = suggest(key, names, n);
	if (nearest)
		return cmd_fail(cmd, EXIT_USAGE, "%.80s: no such key (did you mean \"%s\"?)", key,
				nearest);
	return cmd_fail(cmd, EXIT_USAGE,
			"%.80s: no such key; they are command, the options of lbctl run, set, "
			"set-weight and set-limit",
			key);
}

/* [8080, 8081] is what --port 8080,8081 is. */
static int join_list(struct cmd *cmd, size_t which, const struct yamlfile_node *list)
{
	const char *comma = "";
	size_t size;
	FILE *out = open_memstream(&cmd->joined[which], &size);

	if (!out)
		return cmd_fail(cmd, EXIT_FAILED, "out of memory");
	for (const struct yamlfile_node *at = list->first; at; at = at->next) {
		fprintf(out, "%s%s", comma, at->text ? at->text : "");
		comma = ",";
	}
	fclose(out);
	cmd->values[which] = cmd->joined[which];
	return EXIT_DONE;
}

static int take_option(struct cmd *cmd, size_t which, const struct yamlfile_node *node)
{
	const struct cmd_option *option = &cmd_run.options[which];

	if (!option->value) {
		if (node->text && !strcmp(node->text, "true"))
			cmd->values[which] = "";
		else if (!node->text || strcmp(node->text, "false"))
			return cmd_fail(cmd, EXIT_USAGE, "%s is true or false", option->name);
		return EXIT_DONE;
	}
	if (node->kind == YAMLFILE_LIST && node->first && strstr(option->value, "[,"))
		return join_list(cmd, which, node);
	if (!node->text || !*node->text)
		return cmd_fail(cmd, EXIT_USAGE, "%s needs a value: %s", option->name,
				option->value);
	cmd->values[which] = node->text;
	return EXIT_DONE;
}

/* Words of a text, which is changed. */
static int split_command(struct cmd *cmd, char *text)
{
	char *rest = text, *word;

	if (text[strcspn(text, SHELL_LETTERS)])
		return cmd_fail(cmd, EXIT_USAGE,
				"command: no shell reads it, so \"%c\" has no meaning here; write "
				"it as a list of words, [sh, -c, ...] for a shell",
				text[strcspn(text, SHELL_LETTERS)]);
	cmd->args = calloc(strlen(text) / 2 + 2, sizeof(*cmd->args));
	if (!cmd->args)
		return cmd_fail(cmd, EXIT_FAILED, "out of memory");
	while ((word = strsep(&rest, " \t\n"))) {
		if (*word)
			cmd->args[cmd->nr_args++] = word;
	}
	return EXIT_DONE;
}

static int take_command(struct cmd *cmd, const struct yamlfile_node *node)
{
	size_t n = 0;
	int status = EXIT_DONE;

	for (const struct yamlfile_node *at = node->first; at; at = at->next, n++) {
		if (node->kind == YAMLFILE_MAP || !at->text)
			return cmd_fail(cmd, EXIT_USAGE, "command is a text or a list of words");
	}
	if (node->text) {
		status = split_command(cmd, node->text);
	} else {
		cmd->args = calloc(n + 1, sizeof(*cmd->args));
		if (!cmd->args)
			return cmd_fail(cmd, EXIT_FAILED, "out of memory");
		for (const struct yamlfile_node *at = node->first; at; at = at->next)
			cmd->args[cmd->nr_args++] = at->text;
	}
	if (!status && (!cmd->nr_args || !*cmd->args[0]))
		status = cmd_fail(cmd, EXIT_USAGE, "command is empty");
	return status;
}

static int check_setting(const struct cmd *cmd, const struct service_setting *setting)
{
	uint32_t worker, weight;
	uint64_t limit;

	if (!strcmp(setting->command, "set"))
		return cmd_set_check(cmd, setting->word);
	if (parse_worker(setting->key, &worker) || worker == LB_ALL_WORKERS)
		return cmd_fail(cmd, EXIT_USAGE, "%.40s: not a worker's number", setting->key);
	if (!strcmp(setting->command, "set-weight") && parse_weight(setting->value, &weight))
		return cmd_fail(cmd, EXIT_USAGE, "%.40s: not a weight, a number from 1 to %d",
				setting->value, LB_MAX_WEIGHT);
	if (!strcmp(setting->command, "set-limit") &&
	    parse_u64(setting->value, 0, LB_MAX_LIMIT, &limit))
		return cmd_fail(cmd, EXIT_USAGE, "%.40s: not a limit, a number from 0 to %d",
				setting->value, LB_MAX_LIMIT);
	return EXIT_DONE;
}

/* set: { stall_ms: 50 }, set-weight: { 0: 3 } */
static int take_settings(const struct services *services, struct service_entry *entry,
			 const char *command, const struct yamlfile_node *map)
{
	int status = EXIT_DONE;

	if (map->kind != YAMLFILE_MAP)
		return cmd_fail(&entry->cmd, EXIT_USAGE, "%s is a map: %s", command,
				strcmp(command, "set") ? "{ WORKER: NUMBER }" : "{ KEY: VALUE }");
	for (const struct yamlfile_node *at = map->first; !status && at; at = at->next) {
		struct service_setting *more = reallocarray(entry->settings, entry->nr_settings + 1,
							    sizeof(*entry->settings));

		at_line(&entry->cmd, services, at->line);
		if (!more)
			return cmd_fail(&entry->cmd, EXIT_FAILED, "out of memory");
		entry->settings = more;
		more += entry->nr_settings++;
		*more = (struct service_setting){ command, at->key, at->text, "" };
		if (!at->text)
			return cmd_fail(&entry->cmd, EXIT_USAGE, "%.80s is a text", at->key);
		if (snprintf(more->word, sizeof(more->word), "%s=%s", at->key, at->text) >=
		    (int)sizeof(more->word))
			return cmd_fail(&entry->cmd, EXIT_USAGE, "%.40s: too long", at->key);
		status = check_setting(&entry->cmd, more);
	}
	return status;
}

static int take_key(const struct services *services, struct service_entry *entry,
		    const struct yamlfile_node *node)
{
	int which = find_option(node->key);

	if (which >= 0)
		return take_option(&entry->cmd, which, node);
	if (!strcmp(node->key, "command"))
		return take_command(&entry->cmd, node);
	for (size_t i = 0; i < COMMANDS_COUNT; i++) {
		if (!strcmp(node->key, commands[i]))
			return take_settings(services, entry, commands[i], node);
	}
	return unknown_key(&entry->cmd, node->key);
}

/* --- one entry --- */

/*
 * Each option by itself, so that what is wrong is told with its line, then all: what does not go
 * together.
 */
static int check_options(const struct services *services, struct service_entry *entry,
			 const struct yamlfile_node *map)
{
	struct cmd *cmd = &entry->cmd, one;
	struct keeper_options ignored;
	int status = EXIT_DONE;

	for (const struct yamlfile_node *at = map->first; !status && at; at = at->next) {
		int which = find_option(at->key);

		if (which < 0)
			continue;
		one = *cmd;
		memset(one.values, 0, sizeof(one.values));
		one.values[which] = cmd->values[which];
		/* whose rights it is looked at with, and what it is an option of */
		if ((cmd_value(cmd, "user") && !strcmp(at->key, "log-dir")) ||
		    !strcmp(at->key, "reload-signal"))
			memcpy(one.values, cmd->values, sizeof(one.values));
		at_line(&one, services, at->line);
		ignored = (struct keeper_options){ 0 };
		status = services->parse(&one, &ignored);
	}
	at_line(cmd, services, map->line);
	return status ? status : services->parse(cmd, &entry->options);
}

static int read_entry(struct services *services, struct service_entry *entry,
		      const struct yamlfile_node *node)
{
	struct cmd *cmd = &entry->cmd;
	int status = EXIT_DONE;

	cmd->command = &services->command;
	at_line(cmd, services, node->line);
	if (parse_name(node->key))
		return cmd_fail(cmd, EXIT_USAGE, "%.80s: not a service name: %s", node->key,
				parse_name_rule());
	strcpy(entry->name, node->key);
	if (node->kind != YAMLFILE_MAP)
		return cmd_fail(cmd, EXIT_USAGE, "%s: a service is a map, and has a command",
				entry->name);
	for (const struct yamlfile_node *at = node->first; !status && at; at = at->next) {
		at_line(cmd, services, at->line);
		status = take_key(services, entry, at);
	}
	if (status)
		return status;
	at_line(cmd, services, node->line);
	if (!cmd->nr_args)
		return cmd_fail(cmd, EXIT_USAGE, "%s: has no command", entry->name);
	entry->options = (struct keeper_options){ .argv = cmd->args, .rescue = true };
	status = check_options(services, entry, node);
	if (!status)
		status = program_check_script(cmd);
	strcpy(entry->options.name, entry->name);
	return status;
}

/* --- the file --- */

static int read_bytes(const struct cmd *cmd, struct services *services, size_t *n)
{
	_cleanup_close_ int fd = open(services->file, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	ssize_t got = -1;

	if (fd < 0 || fstat(fd, &st))
		return cmd_fail(cmd, EXIT_FAILED, "%s: %s", services->shown, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return cmd_fail(cmd, EXIT_FAILED, "%s: not a file", services->shown);
	services->bytes = malloc(YAMLFILE_MOST_BYTES + 1);
	/* one more than it may have is enough to be refused */
	for (*n = 0; services->bytes && *n <= YAMLFILE_MOST_BYTES; *n += got) {
		got = read(fd, services->bytes + *n, YAMLFILE_MOST_BYTES + 1 - *n);
		if (got <= 0)
			break;
	}
	return got < 0 ? cmd_fail(cmd, EXIT_FAILED, "%s: %s", services->shown, strerror(errno)) :
			 EXIT_DONE;
}

static int parse_bytes_of(const struct cmd *cmd, struct services *services, size_t n)
{
	struct yamlfile_trouble trouble;
	struct cmd at = { .command = cmd->command };
	int err = yamlfile_parse(services->bytes, n, &services->root, &trouble);

	if (err == -EBADMSG) {
		at_line(&at, services, trouble.line);
		return cmd_fail(&at, EXIT_USAGE, "%s", trouble.text);
	}
	if (err)
		return cmd_fail(cmd, EXIT_FAILED, "out of memory");
	if (services->root && services->root->kind != YAMLFILE_MAP) {
		at_line(&at, services, services->root->line);
		return cmd_fail(&at, EXIT_USAGE, "a file of services is a map, NAME: { ... }");
	}
	return EXIT_DONE;
}

/* As a shell's cd does it, so that links in the path are kept. */
static int enter(const struct cmd *cmd, struct services *services)
{
	char here[PATH_MAX], directory[PATH_MAX], *slash;

	if (workdir_name(here) || workdir_join(services->file, here, services->shown))
		return cmd_fail(cmd, EXIT_FAILED, "%s: too long", services->shown);
	strcpy(directory, services->file);
	slash = strrchr(directory, '/');
	slash[slash == directory] = '\0';
	if (chdir(directory))
		return cmd_fail(cmd, EXIT_FAILED, "%s: %s", directory, strerror(errno));
	setenv("PWD", directory, 1);
	return EXIT_DONE;
}

static int parse_all(const struct cmd *cmd, struct services *services, size_t n)
{
	int status = parse_bytes_of(cmd, services, n);
	const struct yamlfile_node *at = status || !services->root ? NULL : services->root->first;
	size_t count = 0;

	for (const struct yamlfile_node *one = at; one; one = one->next)
		count++;
	services->entries = calloc(count + 1, sizeof(*services->entries));
	if (!services->entries)
		return cmd_fail(cmd, EXIT_FAILED, "out of memory");
	services->nr_entries = count;
	for (size_t i = 0; !status && i < count; i++, at = at->next)
		status = read_entry(services, &services->entries[i], at);
	return status;
}

static void begin(const struct cmd *cmd, const char *file, run_parse_fn parse,
		  struct services *services)
{
	*services = (struct services){ .shown = file, .command = *cmd->command, .parse = parse };
	services->command.options = cmd_run.options;
}

int services_parse(const struct cmd *cmd, char *bytes, size_t n, run_parse_fn parse,
		   struct services *services)
{
	begin(cmd, "file", parse, services);
	services->bytes = bytes;
	return parse_all(cmd, services, n);
}

int services_read(const struct cmd *cmd, const char *file, run_parse_fn parse,
		  struct services *services)
{
	size_t n = 0;
	int status;

	begin(cmd, file, parse, services);
	status = enter(cmd, services);
	if (!status)
		status = read_bytes(cmd, services, &n);
	return status ? status : parse_all(cmd, services, n);
}

void services_free(struct services *services)
{
	for (size_t i = 0; i < services->nr_entries; i++) {
		struct service_entry *entry = &services->entries[i];

		for (size_t j = 0; j < CMD_MAX_OPTIONS; j++)
			free(entry->cmd.joined[j]);
		free(entry->cmd.args);
		free(entry->settings);
	}
	free(services->entries);
	free(services->bytes);
	yamlfile_free(services->root);
}

struct service_entry *services_find(struct services *services, const char *name)
{
	for (size_t i = 0; i < services->nr_entries; i++) {
		if (!strcmp(services->entries[i].name, name))
			return &services->entries[i];
	}
	return NULL;
}

static int choose(const struct cmd *cmd, struct services *services, const char *name,
		  struct service_entry **entry)
{
	*entry = name			   ? services_find(services, name) :
		 services->nr_entries == 1 ? &services->entries[0] :
					     NULL;
	if (*entry)
		return EXIT_DONE;
	if (name)
		return cmd_fail(cmd, EXIT_NOT_FOUND, "%s has no service %.80s", services->shown,
				name);
	return cmd_fail(cmd, EXIT_USAGE, "%s has %zu services; name one: lbctl %s -f %s NAME",
			services->shown, services->nr_entries, cmd->command->name, services->shown);
}

int services_take(const struct cmd *cmd, run_parse_fn parse, struct services *services,
		  struct service_entry **entry)
{
	const struct cmd_option *given = cmd->command->options;
	int status;

	*services = (struct services){ 0 };
	for (size_t i = 0; given[i].name; i++) {
		if (cmd->values[i] && strcmp(given[i].name, "f"))
			return cmd_fail(cmd, EXIT_USAGE,
					"with -f all options are the file's: leave %s%s out",
					given[i].name[1] ? "--" : "-", given[i].name);
	}
	if (cmd->nr_args > 1)
		return cmd_fail(cmd, EXIT_USAGE,
				"with -f the command is the file's: \"%.80s\" is one too many",
				cmd->args[1]);
	status = services_read(cmd, cmd_value(cmd, "f"), parse, services);
	return status ? status : choose(cmd, services, cmd->nr_args ? cmd->args[0] : NULL, entry);
}

void services_set_workers(struct service_entry *entry, uint32_t workers)
{
	snprintf(entry->workers, sizeof(entry->workers), "%u", workers);
	entry->options.workers = workers;
	entry->cmd.values[find_option("n")] = entry->workers;
}

char **services_argv(struct service_entry *entry, const char *command, const char *option)
{
	const struct cmd *cmd = &entry->cmd;
	char **argv = calloc(cmd->nr_args + 2 * CMD_MAX_OPTIONS + 8, sizeof(*argv));
	int n = 0;

	if (!argv)
		return NULL;
	argv[n++] = (char *)"lbctl";
	argv[n++] = (char *)command;
	if (option)
		argv[n++] = (char *)option;
	argv[n++] = (char *)"--name";
	argv[n++] = entry->name;
	for (size_t i = 0; cmd_run.options[i].name; i++) {
		if (!cmd->values[i])
			continue;
		snprintf(entry->dashed[i], sizeof(entry->dashed[i]), "%s%s",
			 cmd_run.options[i].name[1] ? "--" : "-", cmd_run.options[i].name);
		argv[n++] = entry->dashed[i];
		if (cmd_run.options[i].value)
			argv[n++] = (char *)cmd->values[i];
	}
	argv[n++] = (char *)"--";
	for (int i = 0; i < cmd->nr_args; i++)
		argv[n++] = cmd->args[i];
	return argv;
}
