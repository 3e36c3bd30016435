// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * COMING FROM PM2 and COMING FROM CLUSTER of lbctl-run(8): what each row of the page has for lbctl
 * is run as it stands there, and does what the row's other side did. tests/compat/pm2.sh has PM2.
 */
#include "harness/commands.h"
#include "harness/runs.h"
#include "harness/show.h"
#include "harness/world.h"
#include "host/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define APP_DIR HARNESS_DIR "/app"
#define OUTPUT HARNESS_DIR "/output" /* of the row's command, and of workers without a log */
#define LOG APP_DIR "/logs/app-3.log"
#define NOBODY 65534

/* What it does beside serving is said by the files beside it. */
static const char app_js[] =
	"const fs = require('fs'), http = require('http'), number = process.env.LBCTL_WORKER;\n"
	"const is = (name) => fs.existsSync(`${__dirname}/${name}`);\n"
	"console.log(`worker ${number} begins`);\n"
	"if (is('done')) process.exit(0);\n"
	"if (is('broken')) process.exit(1);\n"
	"const server = http.createServer((request, response) => response.end(number));\n"
	"const ready = () => { fs.writeFileSync(`${__dirname}/ready`, ''); process.send('ready'); };\n"
	"server.listen(8080, () => is('slow') && setTimeout(ready, 500));\n"
	"process.on('message', (message) => process.send({ got: message }));\n"
	"process.on('SIGUSR2', () => console.log(`worker ${number} has SIGUSR2`));\n"
	"for (const signal of ['SIGTERM', 'SIGINT'])\n"
	"  process.on(signal, () => {\n"
	"    console.log(`worker ${number} has ${signal}`);\n"
	"    if (!is('stubborn')) server.close(() => process.exit());\n"
	"  });\n";

static struct show show;
static pid_t before[LB_MAX_WORKERS];
static size_t nr_before;

/* --- what came of it --- */

static bool up(const char *service, size_t n)
{
	size_t count = 0;

	if (!show_try(service, &show))
		return false;
	for (size_t i = 0; i < show.nr_workers; i++)
		count += !strcmp(show.worker[i].state, "up");
	return count == n;
}

static bool has(const char *path, const char *words)
{
	char *text = access(path, F_OK) ? strdup("") : file_read(path);
	bool found = strstr(text, words);

	free(text);
	return found;
}

static bool told(const char *words)
{
	struct output output;
	bool found;

	/* those that were, without following */
	command_run(&output,
		    (const char *[]){ "timeout", "1", "lbctl", "events", "app", "--json", NULL },
		    COMMAND_MS);
	found = strstr(output.out, words);
	output_free(&output);
	return found;
}

/* How many of the workers that were there before have the same process. */
static size_t nr_same(void)
{
	size_t same = 0;

	for (size_t i = 0; i < nr_before && i < show.nr_workers; i++)
		same += show.worker[i].pid == before[i];
	return same;
}

static bool has_variable(const char *variable)
{
	char path[64], text[8192];
	int fd;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/environ", show.worker[2].pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = read(fd, text, sizeof(text));
	close(fd);
	return n > 0 && memmem(text, n, variable, strlen(variable) + 1);
}

static bool is_nobody(void)
{
	struct stat st;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d", show.worker[0].pid);
	return !stat(path, &st) && st.st_uid == NOBODY;
}

static bool is_emptied(void)
{
	struct stat st;

	return !stat(LOG, &st) && !st.st_size;
}

static bool is_gone(void)
{
	return !show_try("app", &show) && !count_entries(FILES_DIR, false);
}

/* It may not be online before it has said so. */
static bool was_ready_first(void)
{
	if (access(APP_DIR "/ready", F_OK))
		fail_msg("online before it was ready");
	return true;
}

static bool is_drained(void)
{
	return show_try("app", &show) && !strcmp(show.worker[0].state, "draining");
}

/* --- what is done to it --- */

static void touch(const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), APP_DIR "/%s", name);
	file_write(path, "");
}

static void be_slow(void)
{
	touch("slow");
}

static void be_done(void)
{
	touch("done");
}

static void be_broken(void)
{
	touch("broken");
}

static void send_message(void)
{
	lbctl_ok("send", "app", "0", "{\"do\":\"it\"}", NULL);
}

static void kill_one(void)
{
	kill(show.worker[0].pid, SIGKILL);
}

static void restart_one(void)
{
	lbctl_ok("restart", "app", "0", NULL);
}

static void restart_stubborn_one(void)
{
	touch("stubborn");
	restart_one();
	unlink(APP_DIR "/stubborn");
}

/* --- the rows --- */

/*
 * STARTS: the command begins a service and goes on with it; ENDS: with 0, and app runs; FOLLOWS:
 * goes on, and app runs; PRINTS: ends with 0, and nothing runs.
 */
enum kind { STARTS, ENDS, FOLLOWS, PRINTS };

static const struct check {
	const char *theirs;
	enum kind kind;
	void (*first)(void);
	void (*then)(void); /* once four workers of app are up */
	/* what is to be so, as far as it is not 0 */
	const char *up; /* the service, with so many workers up; of 0 one for each CPU */
	size_t workers;
	size_t others; /* so many of them have another process than before */
	const char *policy;
	const char *printed;  /* by the command, or the workers that it started */
	const char *told;     /* an event, in JSON */
	const char *variable; /* worker 2 has it */
	const char *logged;   /* worker 3 has written that to its log */
	bool (*also)(void);
} checks[] = {
	{ "pm2 start app.js -i 4", STARTS, .up = "app", .workers = 4 },
	{ "pm2 start app.js -i max", STARTS, .up = "app" },
	{ "pm2 start app.js --name web -i 2", STARTS, .up = "web", .workers = 2 },
	{ "pm2 start ecosystem.config.js", PRINTS, .up = "web", .workers = 2 },
	{ "pm2-runtime ecosystem.config.js", STARTS, .up = "web", .workers = 2 },
	{ "pm2 startup; pm2 save", PRINTS, .printed = "lbctl run --name app -n 4 -- " },
	{ "--wait-ready", STARTS, be_slow, .up = "app", .workers = 4, .also = was_ready_first },
	{ "--listen-timeout 100", STARTS, be_slow, .told = "\"event\":\"timeout\"" },
	{ "--kill-timeout 200", STARTS, NULL, restart_stubborn_one, .told = "\"event\":\"kill\"" },
	{ "PM2_KILL_SIGNAL=SIGINT", STARTS, NULL, restart_one, .printed = "worker 0 has SIGINT" },
	{ "--max-memory-restart 20M", STARTS, .told = "\"event\":\"memory\"" },
	{ "--restart-delay 50", STARTS, NULL, kill_one, .up = "app", .workers = 4, .others = 1 },
	{ "--max-restarts 3", STARTS, be_broken, .printed = "exited with status 1" },
	{ "--stop-exit-codes 0", STARTS, be_done, .printed = "exited with status 0" },
	{ "--uid nobody", STARTS, .up = "app", .workers = 4, .also = is_nobody },
	{ "instance_var: 'NUMBER'", STARTS, .up = "app", .workers = 4, .variable = "NUMBER=2" },
	{ "env: { FROM: 'file' }", STARTS, .up = "app", .workers = 4, .variable = "FROM=file" },
	{ "--output, --error, --log", STARTS, .logged = "worker 3 begins\n" },
	{ "pm2 ls", ENDS, .printed = "app" },
	{ "pm2 describe app", ENDS, .printed = "app  tcp" },
	{ "pm2 monit", FOLLOWS, .printed = "CONN/S" },
	{ "pm2 logs app", FOLLOWS, .printed = "3 | worker 3 begins\n" },
	{ "pm2 logs app --nostream --lines 20", ENDS, .printed = "3 | worker 3 begins\n" },
	{ "pm2 flush app", ENDS, .also = is_emptied },
	{ "pm2 scale app 6", ENDS, .up = "app", .workers = 6 },
	{ "pm2 scale app +1", ENDS, .up = "app", .workers = 5 },
	{ "pm2 reload app", ENDS, .up = "app", .workers = 4, .others = 4 },
	{ "pm2 restart app --update-env", ENDS, .up = "app", .workers = 4, .others = 4,
	  .variable = "VALUE=2" },
	{ "pm2 restart 2", ENDS, .up = "app", .workers = 4, .others = 1 },
	{ "pm2 sendSignal SIGUSR2 app", ENDS, .logged = "worker 3 has SIGUSR2\n" },
	{ "pm2 trigger app it", ENDS, .told = "\"got\":{\"do\":\"it\"}" },
	{ "pm2 delete app", ENDS, .also = is_gone },

	{ "cluster.fork(), four times", STARTS, .up = "app", .workers = 4 },
	{ "cluster.schedulingPolicy = cluster.SCHED_RR", STARTS, .up = "app", .workers = 4,
	  .policy = "rr" },
	{ "cluster.schedulingPolicy = cluster.SCHED_NONE", STARTS, .up = "app", .workers = 4,
	  .policy = "kernel" },
	{ "cluster.on('exit', () => cluster.fork())", STARTS, NULL, kill_one, .up = "app",
	  .workers = 4, .others = 1 },
	{ "cluster.on('listening', listener)", FOLLOWS, .printed = "is online\n" },
	{ "cluster.on('message', listener)", FOLLOWS, send_message,
	  .printed = "\"event\":\"message\"" },
	{ "cluster.workers[1].send({ do: 'it' })", ENDS, .told = "\"got\":{\"do\":\"it\"}" },
	{ "cluster.workers[4].process.kill('SIGUSR2')", ENDS, .logged = "worker 3 has SIGUSR2\n" },
	{ "cluster.workers[1].disconnect()", ENDS, .also = is_drained },
};

static bool came(const struct check *check)
{
	size_t workers = check->workers ? check->workers : cgroup_cpus();

	return (!check->up || up(check->up, workers)) &&
	       (!check->others || nr_before - nr_same() == check->others) &&
	       (!check->policy || !strcmp(show.policy, check->policy)) &&
	       (!check->printed || has(OUTPUT, check->printed)) &&
	       (!check->told || told(check->told)) &&
	       (!check->variable || has_variable(check->variable)) &&
	       (!check->logged || has(LOG, check->logged)) && (!check->also || check->also());
}

struct row {
	char theirs[128], ours[256];
};

static void unescape(const char *from, char *to, size_t size)
{
	static const struct {
		const char *escape;
		char letter;
	} escapes[] = { { "\\-", '-' }, { "\\(aq", '\'' }, { "\\(dq", '"' }, { "\\e", '\\' } };
	size_t n = 0;

	while (*from && *from != '\n' && n + 1 < size) {
		size_t len = 1;

		to[n] = *from;
		for (size_t i = 0; i < ARRAY_SIZE(escapes); i++) {
			if (!strncmp(from, escapes[i].escape, strlen(escapes[i].escape))) {
				to[n] = escapes[i].letter;
				len = strlen(escapes[i].escape);
			}
		}
		from += len;
		n++;
	}
	to[n] = '\0';
}

/* The rows of a section: .TP, then .B with what is known, then .B with lbctl's. */
static size_t read_rows(const char *section, struct row *rows, size_t most)
{
	char *page = file_read(harness_build_path("../user/man/lbctl-run.8")), *line, *rest;
	size_t n = 0;
	int part = 0;

	rest = strstr(page, section);
	assert_non_null(rest);
	strsep(&rest, "\n");
	while ((line = strsep(&rest, "\n")) && strncmp(line, ".SH ", 4)) {
		if (!strcmp(line, ".TP")) {
			assert_true(n < most);
			part = 1;
		} else if (part && !strncmp(line, ".B ", 3)) {
			unescape(line + 3, part == 1 ? rows[n].theirs : rows[n].ours,
				 part == 1 ? sizeof(rows->theirs) : sizeof(rows->ours));
			n += part == 2;
			part = part == 1 ? 2 : 0;
		}
	}
	free(page);
	return n;
}

/* --- one row --- */

static pid_t begin(const char *command)
{
	int out = open(OUTPUT, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
	pid_t pid = fork();

	if (!pid) {
		setpgid(0, 0);
		dup2(out, STDOUT_FILENO);
		dup2(out, STDERR_FILENO);
		execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(127);
	}
	assert_true(pid > 0);
	close(out);
	return pid;
}

static bool has_ended(pid_t *pid, int *status)
{
	if (*pid > 0 && waitpid(*pid, status, WNOHANG) == *pid)
		*pid = 0;
	return !*pid;
}

static void end_services(void)
{
	struct output output;

	command_run(&output,
		    (const char *[]){ "sh", "-c",
				      "for path in /run/lbctl/*.sock; do\n"
				      "  [ ! -e $path ] || lbctl stop $(basename $path .sock)\n"
				      "done",
				      NULL },
		    COMMAND_MS);
	output_free(&output);
	command_ok("rm", "-rf", APP_DIR "/logs", APP_DIR "/ready", APP_DIR "/slow", APP_DIR "/done",
		   APP_DIR "/broken", NULL);
	assert_return_code(mkdir(APP_DIR "/logs", 0777), errno);
}

static void start_app(void)
{
	static pid_t pid;
	int status;

	if (up("app", 4))
		return;
	end_services();
	has_ended(&pid, &status);
	pid = begin("exec lbctl run -n 4 --log-dir logs --ready-timeout 60000 -- node app.js");
	wait_until(up("app", 4), RUN_MS);
}

static void note_pids(void)
{
	nr_before = 0;
	if (!show_try("app", &show))
		return;
	for (; nr_before < show.nr_workers; nr_before++)
		before[nr_before] = show.worker[nr_before].pid;
}

static const struct check *find_check(const struct row *row)
{
	for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
		if (!strcmp(checks[i].theirs, row->theirs))
			return &checks[i];
	}
	fail_msg("nothing checks the row \"%s\"", row->theirs);
	return NULL;
}

static void check_row(const struct row *row)
{
	const struct check *check = find_check(row);
	bool ends = check->kind == ENDS || check->kind == PRINTS;
	uint64_t end_ns = now_ns() + scaled_ms(RUN_MS) * 1000000;
	int status = 0;
	pid_t pid;

	if (check->kind == ENDS || check->kind == FOLLOWS)
		start_app();
	else
		end_services();
	if (check->first)
		check->first();
	note_pids();
	pid = begin(row->ours);
	if (check->then) {
		wait_until(up("app", 4), RUN_MS);
		note_pids();
		check->then();
	}
	while ((ends && !has_ended(&pid, &status)) || !came(check)) {
		if (now_ns() > end_ns)
			fail_msg("%s: %s: not so; it said: %s", row->theirs, row->ours,
				 file_read(OUTPUT));
		harness_nap();
	}
	if (ends && status)
		fail_msg("%s: status %d: %s", row->ours, status, file_read(OUTPUT));
	if (check->kind == FOLLOWS)
		kill(-pid, SIGTERM);
	if (check->kind == STARTS)
		end_services();
	while (!has_ended(&pid, &status))
		harness_nap();
}

static void check_section(const char *section, size_t least)
{
	static struct row rows[ARRAY_SIZE(checks) + 1];
	char path[PATH_MAX * 2], *old = strdup(getenv("PATH"));
	size_t n = read_rows(section, rows, ARRAY_SIZE(rows));

	assert_in_range(n, least, ARRAY_SIZE(rows));
	snprintf(path, sizeof(path), "%s:%s", harness_build_path(""), old);
	setenv("PATH", path, 1);
	assert_true(!mkdir(APP_DIR, 0777) || errno == EEXIST);
	assert_return_code(chdir(APP_DIR), errno);
	file_write("app.js", app_js);
	file_write("web.env", "FROM=file\n");
	file_write("services.yaml", "web:\n  command: [node, app.js]\n  n: 2\n  log-dir: logs\n");
	for (size_t i = 0; i < n; i++)
		check_row(&rows[i]);
	end_services();
	assert_return_code(chdir("/"), errno);
	setenv("PATH", old, 1);
	free(old);
}

static void test_pm2(void **state)
{
	(void)state;
	check_section(".SH COMING FROM PM2", 32);
}

static void test_cluster(void **state)
{
	(void)state;
	check_section(".SH COMING FROM CLUSTER", 9);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_pm2),
		runs_test(test_cluster),
	};

	(void)argc;
	runs_enter(argv[0]);
	/* where a keeper of apply prints to, which is the host's else */
	if (mount("tmpfs", "/var/log", "tmpfs", 0, NULL))
		return 77;
	return cmocka_run_group_tests(tests, runs_begin, runs_check_clean);
}
