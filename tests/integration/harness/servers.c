// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See servers.h. */
#include "harness/servers.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/clients.h"
#include "harness/processes.h"
#include "harness/world.h"

#define NGINX_CONF HARNESS_DIR "/nginx.conf"
#define NGINX_LOG HARNESS_DIR "/access.log"
#define NGINX_ERRORS HARNESS_DIR "/error.log"
#define READY_PATH HARNESS_DIR "/ready"
#define START_MS 10000

/* --- nginx --- */

static void write_nginx_conf(const char *listens)
{
	char *conf;

	assert_true(asprintf(&conf,
			     "daemon off; pid " HARNESS_DIR "/nginx.pid; user nobody nogroup;\n"
			     "error_log " NGINX_ERRORS "; worker_processes %d;\n"
			     "events { worker_connections 2048; }\n"
			     "http {\n"
			     "  log_format short '$pid $connection $status';\n"
			     "  access_log " NGINX_LOG " short;\n"
			     "  client_body_temp_path " HARNESS_DIR "/body;\n"
			     "  proxy_temp_path " HARNESS_DIR "/proxy;\n"
			     "  fastcgi_temp_path " HARNESS_DIR "/fastcgi;\n"
			     "  uwsgi_temp_path " HARNESS_DIR "/uwsgi;\n"
			     "  scgi_temp_path " HARNESS_DIR "/scgi;\n"
			     "  server { %s\n"
			     "    location / { add_header X-Worker $pid; return 200 'hello\\n'; }\n"
			     "  }\n"
			     "}\n",
			     NGINX_WORKERS, listens) > 0);
	file_write(NGINX_CONF, conf);
	free(conf);
}

static bool answers(const char *probe, uint16_t port)
{
	static struct clients clients;

	clients_begin(&clients,
		      (struct client_plan){
			      .to = probe, .port = port, .connections = 1, .deadline_ms = 1000 });
	clients_finish(&clients);
	return clients.answered == 1;
}

static pid_t spawn(const char *const argv[])
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid)
		return pid;
	dup2(STDERR_FILENO, STDOUT_FILENO);
	execvp(argv[0], (char *const *)argv);
	fprintf(stderr, "exec %s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

void nginx_start(struct nginx *nginx, const char *listens, const char *probe, uint16_t port)
{
	const char *argv[] = { "nginx", "-e", NGINX_ERRORS, "-c", NGINX_CONF, NULL };
	pid_t pids[NGINX_WORKERS];

	write_nginx_conf(listens);
	nginx->pid = spawn(argv);
	wait_until(answers(probe, port), START_MS);
	wait_until(nginx_workers(nginx, pids, NGINX_WORKERS) == NGINX_WORKERS, START_MS);
	nginx_log_mark(nginx);
}

void nginx_stop(struct nginx *nginx)
{
	assert_int_equal(kill(nginx->pid, SIGTERM), 0);
	wait_until(waitpid(nginx->pid, NULL, WNOHANG) == nginx->pid, START_MS);
	nginx->pid = 0;
}

/* A worker polls a listener of its own as soon as it serves: the new ones do. */
static bool all_are_new(const struct nginx *nginx, const pid_t *old)
{
	pid_t now[NGINX_WORKERS];

	if (nginx_workers(nginx, now, NGINX_WORKERS) != NGINX_WORKERS)
		return false;
	for (int i = 0; i < NGINX_WORKERS * NGINX_WORKERS; i++) {
		if (now[i / NGINX_WORKERS] == old[i % NGINX_WORKERS])
			return false;
	}
	return true;
}

void nginx_reload(const struct nginx *nginx)
{
	pid_t old[NGINX_WORKERS];

	assert_int_equal(nginx_workers(nginx, old, NGINX_WORKERS), NGINX_WORKERS);
	assert_int_equal(kill(nginx->pid, SIGHUP), 0);
	wait_until(all_are_new(nginx, old), START_MS);
}

size_t nginx_workers(const struct nginx *nginx, pid_t *pids, size_t max)
{
	return processes_children(nginx->pid, pids, max);
}

void nginx_log_mark(struct nginx *nginx)
{
	struct stat info;

	assert_int_equal(stat(NGINX_LOG, &info), 0);
	nginx->log_start = info.st_size;
}

size_t nginx_log_counts(const struct nginx *nginx, const pid_t *pids, unsigned int *counts,
			size_t n)
{
	char *log = file_read(NGINX_LOG), *line, *rest = log + nginx->log_start;
	size_t sum = 0;

	memset(counts, 0, n * sizeof(*counts));
	while ((line = strsep(&rest, "\n"))) {
		for (size_t i = 0; i < n; i++) {
			if (atoi(line) == pids[i]) {
				counts[i]++;
				sum++;
			}
		}
	}
	free(log);
	return sum;
}

/* --- demo workers --- */

/*
 * Where demo workers say that they are ready. A path, so that it works across network namespaces.
 */
static int ready_open(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = READY_PATH };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	unlink(READY_PATH);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(chmod(READY_PATH, 0777), 0); /* workers may be anybody */
	return fd;
}

static void ready_wait(int fd, pid_t pid)
{
	struct pollfd ready = { fd, POLLIN, 0 };
	char message[64] = "";

	if (poll(&ready, 1, scaled_ms(START_MS)) != 1 ||
	    read(fd, message, sizeof(message) - 1) <= 0 || strcmp(message, "READY=1"))
		fail_msg("demo worker (pid %d) is not ready; it said \"%s\"", pid, message);
	close(fd);
	unlink(READY_PATH);
}

static void demo_start_args(struct demo *demo, int worker, const char *const *args)
{
	const char *argv[DEMO_MAX_ARGS + 3] = { harness_build_path("lbctl-demo-worker"), "-q" };
	int ready = ready_open();
	char number[16];

	for (size_t i = 0; args[i]; i++) {
		assert_true(i < DEMO_MAX_ARGS);
		argv[i + 2] = args[i];
	}
	snprintf(number, sizeof(number), "%d", worker);
	if (worker >= 0)
		setenv("LBCTL_WORKER", number, 1);
	setenv("NOTIFY_SOCKET", READY_PATH, 1);
	*demo = (struct demo){ spawn(argv), worker };
	unsetenv("LBCTL_WORKER");
	unsetenv("NOTIFY_SOCKET");
	ready_wait(ready, demo->pid);
}

void demo_start(struct demo *demo, int worker, ...)
{
	const char *args[DEMO_MAX_ARGS];
	size_t n = 0;
	va_list list;

	va_start(list, worker);
	do {
		assert_true(n < DEMO_MAX_ARGS);
		args[n] = va_arg(list, const char *);
	} while (args[n++]);
	va_end(list);
	demo_start_args(demo, worker, args);
}

void demo_start_many(struct demo *demos, int n, const char *listen)
{
	const char *args[] = { "--listen", listen, NULL };

	for (int i = 0; i < n; i++)
		demo_start_args(&demos[i], i, args);
}

void demo_kill(struct demo *demo, int signal)
{
	assert_int_equal(kill(demo->pid, signal), 0);
	wait_until(waitpid(demo->pid, NULL, WNOHANG) == demo->pid, START_MS);
	demo->pid = 0;
}

bool has_node(void)
{
	return !system("node --version >" HARNESS_DIR "/node 2>&1");
}

void needs_node(void)
{
	if (!has_node())
		skip();
}

bool node_sets_reuseport(void)
{
	return !system("node -e 'const [a, b] = process.versions.node.split(\".\");"
		       "process.exit(a > 23 || a == 23 && b >= 1 || a == 22 && b >= 12 ? 0 : 1)'");
}
