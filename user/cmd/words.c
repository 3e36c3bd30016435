// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See words.h. A test holds what is named here against the commands that there are. */
#include "cmd/words.h"

#include <string.h>

#define RUN "lbctl run -n 4 -- CMD starts 4 workers of a command as a service"
#define LOOK "lbctl list has the services, lbctl show NAME the workers of one"
#define FOLLOW                                                                                     \
	"lbctl top shows services and workers as they change, lbctl stats NAME --interval 1 rates"
#define BY_HTTP                                                                                    \
	"lbctl export answers http://127.0.0.1:9190/ with a page, and /metrics for Prometheus"
#define LOGS                                                                                       \
	"lbctl logs NAME shows what the workers print, lbctl events NAME tells what happens to them"
#define FLUSH                                                                                      \
	"with lbctl run --log-dir, truncate -s 0 DIR/NAME-*.log does it: workers write on from "   \
	"there"
#define END                                                                                        \
	"lbctl stop NAME ends a service of lbctl run with its workers, lbctl detach NAME gives "   \
	"one of lbctl attach back to the kernel"
#define SIGNAL "lbctl signal NAME WORKER SIGNAL sends a worker's process a signal"
#define BOOT                                                                                       \
	"lbctl unit -n 4 -- CMD prints a systemd unit that starts the service at boot and keeps "  \
	"it; lbctl apply FILE starts what a file describes"
#define RELOAD "lbctl reload NAME gives each worker a new process, one after the other"
#define OUT                                                                                        \
	"lbctl drain NAME WORKER gives a worker no new connection, lbctl resume NAME WORKER does " \
	"again"
#define PROCESS                                                                                    \
	"lbctl show NAME has each worker's process id, and /proc/PID/environ what it was started " \
	"with"
#define SEND "lbctl send NAME WORKER JSON sends a worker a message"
#define SETTINGS                                                                                    \
	"lbctl help set lists what can be set, lbctl set NAME KEY=VALUE sets it while the service " \
	"runs"
#define UNDO                                                                                       \
	"lbctl cancel NAME calls a reload off that is going on; after it, put the old version "    \
	"back and lbctl reload NAME"
#define HEALTH "lbctl doctor says what works on this host, lbctl show NAME how a service is"
#define NUMBER "lbctl scale NAME 4 makes it 4 workers"

static const struct {
	const char *word, *answer;
} answers[] = {
	/* PM2 */
	{ "start", RUN },
	{ "delete", END },
	{ "del", END },
	{ "describe", LOOK },
	{ "desc", LOOK },
	{ "jlist", "lbctl list --json has the services, lbctl show NAME --json the workers" },
	{ "prettylist", "lbctl list --json has the services, lbctl show NAME --json the workers" },
	{ "monit", FOLLOW },
	{ "dash", FOLLOW },
	{ "metrics", BY_HTTP },
	{ "prometheus", BY_HTTP },
	{ "dashboard", BY_HTTP },
	{ "plus", BY_HTTP },
	{ "log", LOGS },
	{ "flush", FLUSH },
	{ "reloadLogs", "with run --log-dir, lbctl reload NAME opens the files again" },
	{ "save", BOOT },
	{ "dump", BOOT },
	{ "startup", BOOT },
	{ "unstartup", BOOT },
	{ "resurrect", BOOT },
	{ "env", PROCESS },
	{ "id", PROCESS },
	{ "pid", PROCESS },
	{ "gracefulReload", RELOAD },
	{ "trigger", SEND },
	{ "conf", SETTINGS },
	{ "get", SETTINGS },
	/* systemctl, docker, kubectl, supervisorctl, apachectl */
	{ "up", RUN },
	{ "exec", RUN },
	{ "add", "lbctl attach ADDR takes a running server over; " RUN },
	{ "create", RUN },
	{ "cluster", RUN },
	{ "down", END },
	{ "rm", END },
	{ "remove", END },
	{ "quit", END },
	{ "shutdown", END },
	{ "kill", END "; " SIGNAL },
	{ "sendSignal", SIGNAL },
	{ "ps", LOOK },
	{ "info", LOOK },
	{ "inspect", LOOK },
	{ "services", LOOK },
	{ "workers", LOOK },
	{ "watchdog",
	  "lbctl run --watchdog-ms MS -- CMD ends a worker that is silent for so long" },
	{ "tail", LOGS },
	{ "journal", LOGS },
	{ "enable", BOOT },
	{ "install", BOOT },
	{ "graceful", RELOAD },
	{ "upgrade", RELOAD },
	{ "rollout", RELOAD },
	{ "abort", UNDO },
	{ "undo", UNDO },
	{ "rollback", UNDO },
	{ "pause", OUT },
	{ "disable", OUT },
	{ "ping", HEALTH },
	{ "health", HEALTH },
	{ "check", HEALTH },
	{ "replicas", NUMBER },
	/* lbctl's own words that are no commands */
	{ "policy", "lbctl set-policy NAME POLICY switches it, lbctl policies lists all" },
	{ "weight", "lbctl set-weight NAME WORKER WEIGHT sets it, lbctl show NAME has it" },
	{ "limit", "lbctl set NAME limit=N is for all workers, lbctl set-limit for one" },
};
#define ANSWERS (sizeof(answers) / sizeof(answers[0]))

_Static_assert(ANSWERS <= WORDS_MOST, "WORDS_MOST");

const char *words_answer(const char *word)
{
	for (size_t i = 0; i < ANSWERS; i++) {
		if (!strcmp(word, answers[i].word))
			return answers[i].answer;
	}
	return NULL;
}

size_t words_list(const char *words[WORDS_MOST])
{
	for (size_t i = 0; i < ANSWERS; i++)
		words[i] = answers[i].word;
	return ANSWERS;
}

#define STAYS                                                                                      \
	"lbctl run stays in the foreground; lbctl apply FILE starts in the background what a "     \
	"file describes, and lbctl unit -- CMD prints a systemd unit"
#define MANY "how many workers there are is said by -n: lbctl run -n 4 -- CMD"

static const struct {
	const char *command, *option, *answer;
} option_answers[] = {
	{ "run", "d", STAYS },
	{ "run", "daemon", STAYS },
	{ "run", "daemonize", STAYS },
	{ "run", "detach", STAYS },
	{ "run", "background", STAYS },
	{ "run", "i", MANY },
	{ "run", "instances", MANY },
	{ "run", "w", MANY },
	{ "run", "workers", MANY },
	{ "run", "p", "the port to share is said by --port: lbctl run --port 8080 -- CMD" },
	{ "run", "watch", "when files have changed, lbctl reload NAME starts the workers anew" },
};

const char *words_option_answer(const char *command, const char *option)
{
	for (size_t i = 0; i < sizeof(option_answers) / sizeof(option_answers[0]); i++) {
		if (!strcmp(command, option_answers[i].command) &&
		    !strcmp(option, option_answers[i].option))
			return option_answers[i].answer;
	}
	return NULL;
}

static const struct {
	const char *ending, *program;
} interpreters[] = {
	{ "js", "node" },    { "mjs", "node" },	     { "cjs", "node" },	    { "ts", "node" },
	{ "py", "python3" }, { "rb", "ruby" },	     { "pl", "perl" },	    { "php", "php" },
	{ "sh", "sh" },	     { "bash", "bash" },     { "lua", "lua" },	    { "tcl", "tclsh" },
	{ "exs", "elixir" }, { "jar", "java -jar" }, { "psgi", "plackup" },
};

const char *words_interpreter(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *dot = strrchr(slash ? slash : path, '.');

	for (size_t i = 0; dot && i < sizeof(interpreters) / sizeof(interpreters[0]); i++) {
		if (!strcmp(dot + 1, interpreters[i].ending))
			return interpreters[i].program;
	}
	return NULL;
}
