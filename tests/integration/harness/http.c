// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See http.h. */
#include "harness/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/processes.h"
#include "harness/world.h"

#define PATIENCE_S 20
#define MOST_BYTES (1 << 20)
#define MOST_ARGS 16
#define LOG HARNESS_DIR "/export.log"

static int connect_socket(int family, const void *at, socklen_t len)
{
	const struct timeval patience = { .tv_sec = PATIENCE_S };
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0), error;

	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (!connect(fd, at, len))
		return fd;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

int http_connect(void)
{
	const struct sockaddr_in at = {
		.sin_family = AF_INET,
		.sin_port = htons(EXPORT_PORT),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};

	return connect_socket(AF_INET, &at, sizeof(at));
}

int http_connect_unix(void)
{
	const struct sockaddr_un at = { .sun_family = AF_UNIX, .sun_path = EXPORT_SOCKET };

	return connect_socket(AF_UNIX, &at, sizeof(at));
}

void http_free(struct http *http)
{
	free(http->text);
	*http = (struct http){ 0 };
}

void http_send(struct http *http, int fd, const void *bytes, size_t n)
{
	size_t got = 0;
	ssize_t now;
	char *end;

	*http = (struct http){ .text = calloc(1, MOST_BYTES) };
	assert_non_null(http->text);
	assert_true(fd >= 0);
	/* who is refused early may hang up while we send */
	while (n && (now = send(fd, bytes, n, MSG_NOSIGNAL)) > 0) {
		bytes = (const char *)bytes + now;
		n -= now;
	}
	while (got < MOST_BYTES - 1 &&
	       (now = recv(fd, http->text + got, MOST_BYTES - 1 - got, 0)) > 0)
		got += now;
	close(fd);
	sscanf(http->text, "HTTP/1.%*d %d", &http->status);
	http->head = http->text;
	end = strstr(http->text, "\r\n\r\n");
	http->body = end ? end + 4 : "";
	if (end)
		end[2] = '\0';
}

void http_ask(struct http *http, const char *method, const char *path, const char *headers,
	      const char *body)
{
	char *request;
	int len = asprintf(&request,
			   "%s %s HTTP/1.1\r\nHost: localhost:9190\r\nConnection: close\r\n"
			   "Content-Length: %zu\r\n%s\r\n%s",
			   method, path, body ? strlen(body) : 0, headers, body ? body : "");

	assert_true(len > 0);
	http_send(http, http_connect(), request, len);
	free(request);
}

void http_get(struct http *http, const char *path)
{
	http_ask(http, "GET", path, "", NULL);
	if (http->status != 200)
		fail_msg("%s: %d: %s", path, http->status, http->body);
}

static void become(char *const argv[])
{
	int log = open(LOG, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0644);

	dup2(log, STDOUT_FILENO);
	dup2(log, STDERR_FILENO);
	execv(argv[0], argv);
	_exit(127);
}

static bool answers(void)
{
	static const char request[] = "GET /api/about HTTP/1.1\r\nHost: localhost\r\n"
				      "Connection: close\r\n\r\n";
	_cleanup_http_ struct http http = { 0 };
	int fd = http_connect();

	if (fd < 0)
		fd = http_connect_unix();
	if (fd >= 0)
		http_send(&http, fd, request, sizeof(request) - 1);
	return http.status == 200;
}

void export_start(struct export *export, ...)
{
	const char *argv[MOST_ARGS + 3] = { strdup(harness_build_path("lbctl")), "export" };
	size_t n = 2;
	va_list args;

	va_start(args, export);
	while ((argv[n] = va_arg(args, const char *)) && n < MOST_ARGS)
		n++;
	va_end(args);
	export->pid = fork();
	assert_true(export->pid >= 0);
	if (!export->pid)
		become((char *const *)argv);
	wait_until(answers() || !process_lives(export->pid), 20000);
	if (!process_lives(export->pid) || waitpid(export->pid, NULL, WNOHANG))
		fail_msg("lbctl export has ended: %s", file_read(LOG));
	assert_int_equal(processes_children(export->pid, &export->web, 1), 1);
	free((char *)argv[0]);
}

void export_stop(struct export *export)
{
	int status;

	assert_int_equal(kill(export->pid, SIGTERM), 0);
	assert_int_equal(waitpid(export->pid, &status, 0), export->pid);
	assert_int_equal(status, 0);
	assert_false(process_lives(export->web));
}
