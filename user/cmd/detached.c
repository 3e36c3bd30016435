// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See detached.h. */
#include "cmd/detached.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cmd/cmd_unit.h"
#include "keeper/control_client.h"
#include "keeper/log_end.h"
#include "keeper/run_files.h"

#define UNITS "/run/systemd/system"
#define LOG_DIR "/var/log/lbctl"
#define LOOK_MS 50
#define LEAVES_MS 30000 /* until a keeper that was told to leave has left */

/* --- systemd --- */

/* An instance of a template that there is not: lbctl-export.service and the like are others. */
static void unit_name(const char *name, char out[LB_NAME_MAX + 32])
{
	snprintf(out, LB_NAME_MAX + 32, "lbctl@%s.service", name);
}

static void unit_path(const char *name, char out[PATH_MAX])
{
	char unit[LB_NAME_MAX + 32];

	unit_name(name, unit);
	snprintf(out, PATH_MAX, UNITS "/%s", unit);
}

/* Returns its exit status. What it has to say it says itself. */
static int systemctl(const char *verb, const char *unit)
{
	int status = 0;
	pid_t pid = fork();

	if (!pid) {
		execlp("systemctl", "systemctl", verb, unit, NULL);
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	return pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static bool is_written(const char *path, const char *text, size_t len)
{
	_cleanup_free_ char *there = malloc(len + 1);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd >= 0 && there && read(fd, there, len + 1) == (ssize_t)len &&
	       !memcmp(there, text, len);
}

int detached_update(const struct service_entry *entry, const struct kept *kept)
{
	_cleanup_free_ char *text = NULL;
	char path[PATH_MAX];
	struct unit unit;
	size_t len;
	FILE *out;
	int status;

	if (sd_booted() <= 0)
		return EXIT_DONE;
	status = cmd_unit_of(&entry->cmd, &entry->options, kept, &unit);
	if (status)
		return status;
	unit_path(entry->name, path);
	out = open_memstream(&text, &len);
	if (!out)
		return cmd_fail(&entry->cmd, EXIT_FAILED, "out of memory");
	unit_print(out, &unit);
	fclose(out);
	if (is_written(path, text, len))
		return EXIT_DONE;
	out = fopen(path, "we");
	if (!out || fwrite(text, 1, len, out) != len || fclose(out))
		return cmd_fail(&entry->cmd, EXIT_FAILED, "%s: %s", path, strerror(errno));
	return systemctl("daemon-reload", NULL) ? EXIT_FAILED : EXIT_DONE;
}

static int start_unit(const struct service_entry *entry, const struct kept *kept)
{
	char unit[LB_NAME_MAX + 32];
	int status = detached_update(entry, kept);

	unit_name(entry->name, unit);
	if (status)
		return status;
	/* one that runs gets a new keeper for the same workers */
	if (!systemctl("restart", unit))
		return EXIT_DONE;
	return cmd_fail(&entry->cmd, EXIT_FAILED,
			"%s could not be started; journalctl -u %s says why", entry->name, unit);
}

void detached_forget(const char *name)
{
	char path[PATH_MAX];

	unit_path(name, path);
	if (sd_booted() > 0 && !unlink(path))
		systemctl("daemon-reload", NULL);
}

/* --- without it --- */

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The one that there is leaves its workers to the next one. */
static int dismiss(const struct service_entry *entry)
{
	uint64_t end_ms = now_ms() + LEAVES_MS;
	pid_t keeper = control_keeper(entry->name);

	if (!keeper)
		return EXIT_DONE;
	if (kill(keeper, SIGUSR2))
		return cmd_fail(&entry->cmd, EXIT_NOT_ABLE,
				"%s: can't tell its keeper to leave: %s", entry->name,
				strerror(errno));
	while (run_files_holder(entry->name)) {
		if (now_ms() > end_ms)
			return cmd_fail(&entry->cmd, EXIT_FAILED,
					"%s: its keeper (pid %d) does not leave", entry->name,
					keeper);
		usleep(LOOK_MS * 1000);
	}
	return EXIT_DONE;
}

/* Where it says READY=1, as to systemd. */
static int open_manager(const char *name, char path[RUN_FILES_PATH_BYTES])
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	run_files_path(name, "ready", path);
	if (strlen(path) >= sizeof(at.sun_path))
		return -ENAMETOOLONG;
	strcpy(at.sun_path, path);
	unlink(path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) || chmod(path, 0600))
		return -errno;
	return fd_steal(&fd);
}

static int open_log(const char *name, char path[PATH_MAX])
{
	int fd;

	if (mkdir(LOG_DIR, 0755) && errno != EEXIST)
		return -errno;
	/* no name has a dot, so no --log-dir has a worker's file of this name */
	snprintf(path, PATH_MAX, LOG_DIR "/%s.keeper.log", name);
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0640);
	return fd < 0 ? -errno : fd;
}

__attribute__((noreturn)) static void become_keeper(const struct kept *kept, int log,
						    const char *manager)
{
	_cleanup_free_ const char **argv = calloc(kept->argc + 2, sizeof(*argv));
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	setsid();
	if (!argv || null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(log, STDOUT_FILENO) < 0 ||
	    dup2(log, STDERR_FILENO) < 0)
		_exit(EXIT_FAILED);
	close_range(STDERR_FILENO + 1, ~0U, 0);
	unsetenv("WATCHDOG_USEC");
	setenv("NOTIFY_SOCKET", manager, 1);
	argv[0] = "lbctl";
	memcpy(argv + 1, kept->argv, kept->argc * sizeof(*argv));
	execv(kept->program, (char *const *)argv);
	_exit(EXIT_FAILED);
}

static bool has_said_ready(int manager, int wait_ms)
{
	struct pollfd poll_fd = { .fd = manager, .events = POLLIN };
	char text[1024];
	ssize_t n;

	if (poll(&poll_fd, 1, wait_ms) <= 0)
		return false;
	n = recv(manager, text, sizeof(text) - 1, MSG_DONTWAIT);
	text[n > 0 ? n : 0] = '\0';
	return !strcmp(text, "READY=1");
}

/* With the last line that it has said. */
static int did_not_start(const struct service_entry *entry, const char *log)
{
	char text[LOG_END_BYTES], *at;

	log_end_read(log, text);
	at = text + (log_end_lines(text, 1) - text);
	at[strcspn(at, "\n")] = '\0';
	return cmd_fail(&entry->cmd, EXIT_FAILED, "%s could not be started; %s ends: %s",
			entry->name, log, at);
}

static int await_ready(const struct service_entry *entry, int manager, pid_t pid, const char *log)
{
	const struct keeper_options *options = &entry->options;
	/* as long as a unit may take */
	uint64_t most_ms = 30000 + (options->workers + 1) * options->ready_timeout_ms;
	uint64_t end_ms = now_ms() + most_ms;

	while (!has_said_ready(manager, LOOK_MS)) {
		if (waitpid(pid, NULL, WNOHANG) == pid)
			return did_not_start(entry, log);
		if (now_ms() > end_ms)
			return cmd_fail(&entry->cmd, EXIT_FAILED,
					"%s: not all workers are online after %lu s; lbctl show %s "
					"has them, and %s what they say",
					entry->name, (unsigned long)most_ms / 1000, entry->name,
					log);
	}
	return EXIT_DONE;
}

static int start_process(const struct service_entry *entry, const struct kept *kept)
{
	char manager_path[RUN_FILES_PATH_BYTES], log_path[PATH_MAX] = LOG_DIR;
	_cleanup_close_ int manager = -1;
	_cleanup_close_ int log = open_log(entry->name, log_path);
	int status = dismiss(entry);
	pid_t pid;

	if (status)
		return status;
	if (log < 0)
		return cmd_fail(&entry->cmd, EXIT_FAILED, "%s: %s", log_path, strerror(-log));
	manager = open_manager(entry->name, manager_path);
	if (manager < 0)
		return cmd_fail(&entry->cmd, EXIT_FAILED, RUN_FILES_DIR ": %s", strerror(-manager));
	fflush(NULL);
	pid = fork();
	if (!pid)
		become_keeper(kept, log, manager_path);
	status = pid < 0 ? cmd_fail(&entry->cmd, EXIT_FAILED, "fork: %s", strerror(errno)) :
			   await_ready(entry, manager, pid, log_path);
	unlink(manager_path);
	return status;
}

int detached_start(const struct service_entry *entry, const struct kept *kept)
{
	return sd_booted() > 0 ? start_unit(entry, kept) : start_process(entry, kept);
}
