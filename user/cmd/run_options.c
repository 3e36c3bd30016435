// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See run_options.h. */
#include "cmd/run_options.h"

#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/cleanup.h"
#include "base/envfile.h"
#include "base/workdir.h"
#include "host/cgroup.h"
#include "host/trusted_path.h"
#include "keeper/port_rules.h"

#define DEFAULT_READY_TIMEOUT_MS 10000
#define DEFAULT_RESTART_DELAY_MS 100
#define DEFAULT_MAX_RESTARTS 16

static void last_part(const char *path, char out[LB_NAME_MAX + 1])
{
	const char *slash = strrchr(path, '/');
	size_t n = 0;

	for (const char *c = slash ? slash + 1 : path; *c && *c != '.' && n < LB_NAME_MAX; c++)
		out[n++] = *c;
	out[n] = '\0';
}

/* The script that an interpreter is given, else the command: `node app.js` is "app". */
static void default_name(char *const *argv, char out[LB_NAME_MAX + 1])
{
	struct stat st;

	for (int i = 1; i < 4 && argv[i]; i++) {
		if (argv[i][0] == '-' || stat(argv[i], &st) || !S_ISREG(st.st_mode))
			continue;
		last_part(argv[i], out);
		if (!parse_name(out))
			return;
	}
	last_part(argv[0], out);
	if (parse_name(out))
		strcpy(out, "app");
}

static int parse_workers(const struct cmd *cmd, const char *text, uint32_t *workers)
{
	uint64_t number;

	*workers = cgroup_cpus();
	if (!text || !strcmp(text, "max"))
		return EXIT_DONE;
	if (parse_u64(text, 1, LB_MAX_WORKERS, &number))
		return cmd_fail(cmd, EXIT_USAGE, "-n %.20s: not a number from 1 to %d, nor max",
				text, LB_MAX_WORKERS);
	*workers = number;
	return EXIT_DONE;
}

/* "tcp/" or "udp/" in front, TCP without; *port becomes what follows. */
static enum lb_bind_proto port_proto(const char *text, const char **port)
{
	bool tcp = !strncmp(text, "tcp/", 4), udp = !strncmp(text, "udp/", 4);

	*port = text + (tcp || udp ? 4 : 0);
	return udp ? LB_BIND_UDP : LB_BIND_TCP;
}

/* "8080" or "8080,udp/9090" into a list of ports for each protocol. */
static int parse_ports(const struct cmd *cmd, const char *option,
		       struct lb_ports lists[LB_BIND_PROTOS])
{
	const char *text = cmd_value(cmd, option), *number;
	struct lb_ports *list;
	uint64_t port;
	char one[16];
	size_t len;

	for (; text && *text; text += len + (text[len] == ',')) {
		len = strcspn(text, ",");
		snprintf(one, sizeof(one), "%.*s", (int)len, text);
		list = &lists[port_proto(one, &number)];
		if (len >= sizeof(one) || parse_u64(number, 1, 65535, &port))
			return cmd_fail(cmd, EXIT_USAGE,
					"--%s %.40s: not a port; a port is 1 to 65535, of UDP "
					"udp/1 to udp/65535",
					option, cmd_value(cmd, option));
		if (list->count == LB_MAX_PORTS)
			return cmd_fail(cmd, EXIT_USAGE, "--%s: at most %d ports", option,
					LB_MAX_PORTS);
		list->port[list->count++] = port;
	}
	return EXIT_DONE;
}

static int check_ports(const struct cmd *cmd, const struct keeper_options *options)
{
	const char *port = cmd_value(cmd, "port") ? "port" : "offset-port";
	char why[PORT_RULES_BYTES];

	if (cmd_value(cmd, "listen") && cmd_value(cmd, port))
		return cmd_fail(cmd, EXIT_USAGE,
				"--%s does not go with --listen: lbctl makes the sockets then, and "
				"shares nothing that a worker binds",
				port);
	if (port_rules_check(&options->rules, options->workers, why))
		return cmd_fail(cmd, EXIT_USAGE, "%s", why);
	return EXIT_DONE;
}

static void add_listen(struct keeper_options *options, const struct addr *addr, uint8_t family,
		       const uint8_t *bytes)
{
	struct listen_at *at = &options->listens[options->nr_listens++];

	at->proto = addr->proto;
	at->family = family;
	at->port = addr->port;
	if (bytes)
		memcpy(at->addr, bytes, sizeof(at->addr));
}

/* A bare port means both families, as servers bind them. */
static int parse_listens(const struct cmd *cmd, struct keeper_options *options)
{
	const char *given = cmd_value(cmd, "listen"), *one, *why;
	_cleanup_free_ char *list = given ? strdup(given) : NULL;
	char *rest = list;
	struct addr addr;

	if (given && !list)
		return cmd_fail(cmd, EXIT_FAILED, "out of memory");
	while ((one = strsep(&rest, ","))) {
		if (addr_parse(one, &addr, &why))
			return cmd_fail(cmd, EXIT_USAGE, "--listen %.80s: %s", one, why);
		if (options->nr_listens + (addr.any ? 2 : addr.nr_hosts) > LB_MAX_LISTENERS)
			return cmd_fail(cmd, EXIT_USAGE, "--listen: at most %d addresses",
					LB_MAX_LISTENERS);
		if (addr.any) {
			add_listen(options, &addr, AF_INET, NULL);
			add_listen(options, &addr, AF_INET6, NULL);
		}
		for (size_t i = 0; i < addr.nr_hosts; i++)
			add_listen(options, &addr, addr.hosts[i].family, addr.hosts[i].bytes);
	}
	return EXIT_DONE;
}

static int parse_limit(const struct cmd *cmd, const char *option, uint64_t most, uint64_t fallback,
		       uint64_t *value)
{
	const char *text = cmd_value(cmd, option);

	*value = fallback;
	if (text && parse_u64(text, 0, most, value))
		return cmd_fail(cmd, EXIT_USAGE, "--%s %.20s: not a number from 0 to %lu", option,
				text, (unsigned long)most);
	return EXIT_DONE;
}

static int parse_owner(const struct cmd *cmd, struct keeper_options *options)
{
	int status = cmd_parse_group(cmd, &options->group);

	if (status)
		return status;
	options->user = cmd_value(cmd, "user");
	options->no_new_privileges = cmd_value(cmd, "no-new-privileges");
	if (options->user && !getpwnam(options->user))
		return cmd_fail(cmd, EXIT_USAGE, "--user %.40s: no such user", options->user);
	return EXIT_DONE;
}

/* The directory by the name that is looked up at each start, and what is read there. */
static int parse_place(const struct cmd *cmd, struct keeper_options *options)
{
	const char *dir = cmd_value(cmd, "cwd");
	char here[PATH_MAX];
	struct stat st;

	options->env_file = cmd_value(cmd, "env-file");
	options->needs_cwd = dir;
	if (workdir_name(here))
		*here = '\0';
	if (!dir)
		strcpy(options->cwd, here);
	else if (workdir_join(options->cwd, here, dir))
		return cmd_fail(cmd, EXIT_USAGE, "--cwd %.100s: too long", dir);
	else if (stat(options->cwd, &st))
		return cmd_fail(cmd, EXIT_USAGE, "--cwd %.100s: %s", dir, strerror(errno));
	else if (!S_ISDIR(st.st_mode))
		return cmd_fail(cmd, EXIT_USAGE, "--cwd %.100s: not a directory", dir);
	return EXIT_DONE;
}

static int parse_instance_var(const struct cmd *cmd, struct keeper_options *options)
{
	const char *name = cmd_value(cmd, "instance-var");

	options->instance_var = name ? name : "NODE_APP_INSTANCE";
	if (name && !strcmp(name, "none"))
		options->instance_var = NULL;
	else if (name && !strncmp(name, "LBCTL_", strlen("LBCTL_")))
		return cmd_fail(
			cmd, EXIT_USAGE,
			"--instance-var %.40s: names that begin with LBCTL_ are lbctl's own; "
			"workers have LBCTL_WORKER in any case",
			name);
	else if (name && !envfile_is_name(name))
		return cmd_fail(cmd, EXIT_USAGE,
				"--instance-var %.40s: not the name of a variable (nor none)",
				name);
	return EXIT_DONE;
}

static int parse_timeouts(const struct cmd *cmd, struct keeper_options *options)
{
	uint64_t restarts = 0;
	const struct {
		const char *option;
		uint64_t most, fallback, *value;
	} rows[] = {
		{ "drain-timeout", PARSE_MAX_MS, KEEPER_DRAIN_TIMEOUT_MS,
		  &options->drain_timeout_ms },
		{ "kill-timeout", PARSE_MAX_MS, KEEPER_KILL_TIMEOUT_MS, &options->kill_timeout_ms },
		{ "ready-timeout", PARSE_MAX_MS, DEFAULT_READY_TIMEOUT_MS,
		  &options->ready_timeout_ms },
		{ "ready-after", PARSE_MAX_MS, KEEPER_READY_AFTER_MS, &options->ready_after_ms },
		{ "watchdog-ms", PARSE_MAX_MS, 0, &options->watchdog_ms },
		{ "restart-delay", PARSE_MAX_MS, DEFAULT_RESTART_DELAY_MS,
		  &options->restart_delay_ms },
		{ "max-restarts", 1000000, DEFAULT_MAX_RESTARTS, &restarts },
	};
	int status = EXIT_DONE;

	for (size_t i = 0; !status && i < sizeof(rows) / sizeof(rows[0]); i++)
		status = parse_limit(cmd, rows[i].option, rows[i].most, rows[i].fallback,
				     rows[i].value);
	options->max_restarts = restarts;
	return status;
}

static int parse_memory(const struct cmd *cmd, struct keeper_options *options)
{
	const char *text = cmd_value(cmd, "max-memory");

	if (text && parse_bytes(text, &options->max_memory))
		return cmd_fail(cmd, EXIT_USAGE,
				"--max-memory %.40s: not a number of bytes, nor one with K, M or G "
				"behind it: 300M",
				text);
	return EXIT_DONE;
}

static int parse_exit_codes(const struct cmd *cmd, struct keeper_options *options)
{
	const char *text = cmd_value(cmd, "stop-exit-codes");

	if (text && exit_codes_parse(text, &options->stop_exit_codes))
		return cmd_fail(cmd, EXIT_USAGE,
				"--stop-exit-codes %.40s: not exit statuses, which are numbers "
				"from 0 to %d: 0,3",
				text, EXIT_CODES_MOST);
	return EXIT_DONE;
}

static int parse_stop(const struct cmd *cmd, struct keeper_options *options)
{
	const char *number = cmd_value(cmd, "stop-signal"), *mode = cmd_value(cmd, "kill-mode");
	int known = stop_signal_of(cmd->args[0]), parsed;

	options->stop_signal_known = !number && known;
	parsed = number ? stop_signal_parse(number) : known ? known : SIGTERM;
	if (parsed < 0)
		return cmd_fail(cmd, EXIT_USAGE,
				"--stop-signal %.20s: not a signal that ends a program; it is a "
				"name (QUIT) or a number (3)",
				number);
	options->stop_signal = parsed;
	parsed = mode ? kill_mode_parse(mode) : KILL_MIXED;
	if (parsed < 0)
		return cmd_fail(cmd, EXIT_USAGE, "--kill-mode %.20s: not mixed, group or process",
				mode);
	options->kill_mode = parsed;
	return EXIT_DONE;
}

/* What is for several workers that lbctl starts, or for sockets that it makes. */
static int check_forks(const struct cmd *cmd, struct keeper_options *options)
{
	static const char *const others[] = { "n", "listen", "offset-port" };
	const char *dashes;

	if (options->rules.shared[LB_BIND_UDP].count)
		return cmd_fail(cmd, EXIT_USAGE,
				"--forks is for TCP; datagrams of a server that makes its workers "
				"itself are steered by lbctl watch udp/:PORT");
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		dashes = others[i][1] ? "--" : "-";
		if (cmd_value(cmd, others[i]))
			return cmd_fail(cmd, EXIT_USAGE,
					"%s%s does not go with --forks: the command makes its "
					"workers and their sockets itself, and has settings of "
					"its own for that",
					dashes, others[i]);
	}
	options->workers = 1;
	if (!cmd_value(cmd, "instance-var"))
		options->instance_var = NULL;
	return EXIT_DONE;
}

static int parse_forks(const struct cmd *cmd, struct keeper_options *options)
{
	const char *text = cmd_value(cmd, "reload-signal");

	options->forks = cmd_value(cmd, "forks");
	if (text && !options->forks)
		return cmd_fail(cmd, EXIT_USAGE,
				"--reload-signal is for a command that makes its workers itself: "
				"--forks");
	if (text && parse_signal(text, &options->reload_signal))
		return cmd_fail(cmd, EXIT_USAGE,
				"--reload-signal %.20s: not a signal; it is a name (HUP, USR2) or "
				"a number",
				text);
	return options->forks ? check_forks(cmd, options) : EXIT_DONE;
}

static int parse_name_option(const struct cmd *cmd, struct keeper_options *options)
{
	const char *name = cmd_value(cmd, "name");

	if (!name) {
		default_name(cmd->args, options->name);
		return EXIT_DONE;
	}
	if (parse_name(name))
		return cmd_fail(cmd, EXIT_USAGE, "--name \"%.80s\": %s", name, parse_name_rule());
	strcpy(options->name, name);
	return EXIT_DONE;
}

/* Before anything is started: log_open() looks at it each time. */
static int parse_log_dir(const struct cmd *cmd, struct keeper_options *options)
{
	char inside[PATH_MAX];

	options->log_dir = cmd_value(cmd, "log-dir");
	if (!options->log_dir)
		return EXIT_DONE;
	if (access(options->log_dir, W_OK | X_OK))
		return cmd_fail(cmd, EXIT_USAGE, "--log-dir %.100s: %s", options->log_dir,
				strerror(errno));
	snprintf(inside, sizeof(inside), "%s/", options->log_dir);
	if (!options->user && trusted_path(inside, NULL) == -EXDEV)
		return cmd_fail(cmd, EXIT_USAGE,
				"--log-dir %.100s: others than root can change where that leads; "
				"take one that only root can write to, or give --user",
				options->log_dir);
	return EXIT_DONE;
}

int run_options_parse(const struct cmd *cmd, struct keeper_options *options)
{
	const char *policy = cmd_value(cmd, "policy");
	int status = parse_name_option(cmd, options);

	if (!status)
		status = parse_workers(cmd, cmd_value(cmd, "n"), &options->workers);
	if (!status && policy)
		status = cmd_parse_policy(cmd, policy, &options->policy);
	if (!status)
		status = parse_ports(cmd, "port", options->rules.shared);
	if (!status)
		status = parse_ports(cmd, "offset-port", options->rules.offsets);
	if (!status)
		status = check_ports(cmd, options);
	if (!status)
		status = parse_listens(cmd, options);
	if (!status)
		status = parse_timeouts(cmd, options);
	if (!status)
		status = parse_memory(cmd, options);
	if (!status)
		status = parse_exit_codes(cmd, options);
	if (!status)
		status = parse_stop(cmd, options);
	if (!status)
		status = parse_owner(cmd, options);
	if (!status)
		status = parse_place(cmd, options);
	if (!status)
		status = parse_instance_var(cmd, options);
	if (!status)
		status = parse_forks(cmd, options);
	options->wait_ready = cmd_value(cmd, "wait-ready");
	options->allow_join = cmd_value(cmd, "allow-join");
	options->with_controller = cmd_value(cmd, "with-controller");
	return status ? status : parse_log_dir(cmd, options);
}
