// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See peer.h: the life of one peer. */
#include "peer.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cmd.h"
#include "host/cgroup.h"
#include "load.h"

#define FIRST_PORT 8000
#define PORTS_PER_PEER 8 /* HAProxy's servers have ports of their own */
#define LAST_PORT 19000
#define START_MS 20000
#define WARM_UP_S 0.3
#define WARM_UP_USERS 16
#define CALL_TIMEOUT_MS 30000
#define ASK_MS 1000
#define WARM_UP_REQUESTS 3000
#define WARM_UP_ROUNDS 5 /* are enough: a slow worker, or a peer that keeps some idle */

static void set_number(const char *name, unsigned long value)
{
	char text[24];

	snprintf(text, sizeof(text), "%lu", value);
	setenv(name, text, 1);
}

static void set_environment(const struct peer_run *run)
{
	const struct world *world = run->world;

	set_number("BENCH_PORT", run->port);
	set_number("BENCH_WORKERS", run->service.workers);
	set_number("BENCH_WORK_US", run->service.work_us);
	set_number("BENCH_SLOW_US", run->service.slow_us);
	setenv("BENCH_DIR", run->dir, 1);
	setenv("BENCH_BUILD", world->build, 1);
	setenv("BENCH_TOOLS", world->tools, 1);
	setenv("BENCH_NODE", run->peers->node, 1);
	setenv("BENCH_PM2", run->peers->pm2, 1);
	setenv("BENCH_POLICY", run->peer->policy, 1);
}

static int write_file(const char *dir, const char *name, const char *text)
{
	_cleanup_close_ int fd = -1;
	char path[PATH_MAX + 32];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd >= 0 && write(fd, text, strlen(text)) > 0 ? 0 : -errno;
}

/* In the child: moves into the cgroup, turns output to the peer's log, becomes the script. */
static void become_script(const struct peer_run *run, const char *function, const char *arg)
{
	char script[PATH_MAX + 32], log[PATH_MAX];
	int fd;

	snprintf(script, sizeof(script), "%s/peers/peer.sh", run->world->tools);
	snprintf(log, sizeof(log), "%s/log", run->dir);
	fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0644);
	if (write_file(run->cgroup, "cgroup.procs", "0") || fd < 0)
		_exit(126);
	dup2(fd, 1);
	dup2(fd, 2);
	close(fd);
	fd = open("/dev/null", O_RDONLY);
	dup2(fd, 0);
	setsid();
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	set_environment(run);
	execl(script, "peer.sh", run->peer->script, function, arg, NULL);
	_exit(127);
}

static pid_t spawn(const struct peer_run *run, const char *function, const char *arg)
{
	pid_t pid = fork();

	if (!pid)
		become_script(run, function, arg);
	return pid < 0 ? -errno : pid;
}

static int set_up(struct peer_run *run)
{
	static uint16_t next_port = FIRST_PORT;
	static unsigned int number;
	char name[24];
	int fd;

	/* not the port of the one before: what it left in TIME_WAIT is its own */
	run->port = next_port;
	next_port += PORTS_PER_PEER;
	if (next_port >= LAST_PORT)
		next_port = FIRST_PORT;
	snprintf(name, sizeof(name), "/%u", ++number);
	snprintf(run->dir, sizeof(run->dir), WORLD_DIR "%s", name);
	if (mkdir(run->dir, 0755))
		return -errno;
	snprintf(run->cgroup, sizeof(run->cgroup), "%.*s%s", PATH_MAX - 32, run->world->cgroup,
		 name);
	fd = cgroup_make(run->world->cgroup, name + 1);
	if (fd < 0) {
		run->cgroup[0] = '\0';
		return fd;
	}
	close(fd);
	return 0;
}

/* Takes out what colours a terminal: ESC [ numbers letter. */
static void drop_colours(char *text)
{
	char *to = text;

	for (const char *from = text; *from;) {
		if (from[0] == '\033' && from[1] == '[') {
			from += 2 + strspn(from + 2, "0123456789;");
			from += *from != '\0';
		} else {
			*to++ = *from++;
		}
	}
	*to = '\0';
}

void peer_last_words(const struct peer_run *run, char *out, size_t size)
{
	_cleanup_fclose_ FILE *file = NULL;
	char path[PATH_MAX], line[256];

	*out = '\0';
	snprintf(path, sizeof(path), "%s/log", run->dir);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		drop_colours(line);
		if (*line)
			snprintf(out, size, "%s", line);
	}
}

static bool has_ended(const struct peer_run *run)
{
	siginfo_t info = { 0 };

	return !waitid(P_PID, run->pid, &info, WEXITED | WNOHANG | WNOWAIT) && info.si_pid;
}

/* See lib.sh. */
static bool asks_to_wait(const struct peer_run *run)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/wait", run->dir);
	return !access(path, F_OK);
}

struct warm_up {
	struct load_result result;
	unsigned int rounds;   /* answered without a failure, so far */
	uint64_t transactions; /* in them */
};

/*
 * One round of load. Returns 0 when it is enough: every worker has answered, or at least nobody
 * failed for some rounds, and a JIT compiler has had something to work on.
 */
static int warm_up(const struct peer_run *run, struct warm_up *state)
{
	const struct load_plan plan = {
		.targets = &run->targets,
		.users = WARM_UP_USERS,
		.seconds = WARM_UP_S,
		.timeout_ms = ASK_MS,
		.worker_header = "X-Worker",
	};
	const struct load_result *result = &state->result;
	int err = load_run(&plan, &state->result);

	if (err)
		return err;
	if (result->figures.failed || !result->figures.transactions)
		return -EAGAIN;
	state->transactions += result->figures.transactions;
	if (++state->rounds >= WARM_UP_ROUNDS)
		return 0;
	return result->nr_workers >= run->service.workers &&
			       state->transactions >= WARM_UP_REQUESTS ?
		       0 :
		       -EAGAIN;
}

static int wait_ready(const struct peer_run *run, struct trouble *trouble)
{
	_cleanup_free_ struct warm_up *state = calloc(1, sizeof(*state));
	char words[200];
	int err = state ? -EAGAIN : -ENOMEM;

	for (int ms = 0; ms < START_MS && err == -EAGAIN && !cmd_stop; ms += 20) {
		if (has_ended(run))
			break;
		if (peer_ask_pid(run) > 0 && !asks_to_wait(run)) {
			err = warm_up(run, state);
			ms += WARM_UP_S * 1000;
		} else {
			usleep(20000);
		}
	}
	if (!err)
		return EXIT_DONE;
	peer_last_words(run, words, sizeof(words));
	return trouble_set(trouble, EXIT_FAILED, "%s does not serve: %s%s%s", run->peer->name,
			   err == -EAGAIN ? "it ended, or did not answer in time" : strerror(-err),
			   *words ? "; it said last: " : "", words);
}

int peer_start(struct peer_run *run, const struct peers *peers, const struct peer *peer,
	       const struct world *world, const struct peer_service *service,
	       struct trouble *trouble)
{
	char url[64];
	int err, status;

	*run = (struct peer_run){
		.peers = peers,
		.peer = peer,
		.world = world,
		.service = *service,
	};
	err = set_up(run);
	if (!err) {
		run->pid = spawn(run, "start", NULL);
		err = run->pid < 0 ? run->pid : 0;
	}
	if (err)
		return trouble_set(trouble, EXIT_FAILED, "can't start %s: %s", peer->name,
				   strerror(-err));
	snprintf(url, sizeof(url), "127.0.0.1:%u/", run->port);
	status = targets_add(&run->targets, url, false, trouble);
	return status ? status : wait_ready(run, trouble);
}

/* Everything in the cgroup, our own zombies with it: as pid 1 we inherit them. */
static void end_all(const struct peer_run *run)
{
	const char *name = strrchr(run->cgroup, '/') + 1;

	if (write_file(run->cgroup, "cgroup.kill", "1"))
		kill(run->pid, SIGKILL);
	for (int ms = 0; ms < CALL_TIMEOUT_MS; ms += 5) {
		while (waitpid(-1, NULL, WNOHANG) > 0)
			continue;
		if (cgroup_remove(run->world->cgroup, name) != -EBUSY)
			return;
		usleep(5000);
		write_file(run->cgroup, "cgroup.kill", "1");
	}
}

static void remove_tree(const char *dir)
{
	pid_t pid = fork();

	if (!pid) {
		execlp("rm", "rm", "-rf", "--", dir, NULL);
		_exit(127);
	}
	if (pid > 0)
		waitpid(pid, NULL, 0);
}

void peer_stop(struct peer_run *run)
{
	if (!run->peer)
		return;
	if (run->cgroup[0]) {
		/* only those that leave something outside of their cgroup have a stop() */
		if (run->peer->ours)
			peer_call(run, "stop", NULL);
		end_all(run);
	}
	remove_tree(run->dir);
	targets_free(&run->targets);
	run->peer = NULL;
}

int peer_call(const struct peer_run *run, const char *function, const char *arg)
{
	pid_t pid = spawn(run, function, arg);
	int status;

	if (pid < 0)
		return pid;
	for (int ms = 0; ms < CALL_TIMEOUT_MS; ms += 5) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
		usleep(5000);
	}
	kill(-pid, SIGKILL);
	waitpid(pid, &status, 0);
	return -ETIMEDOUT;
}

uint64_t peer_cpu_us(const struct peer_run *run)
{
	_cleanup_fclose_ FILE *file = NULL;
	char path[PATH_MAX + 16];
	unsigned long long us = 0;

	snprintf(path, sizeof(path), "%s/cpu.stat", run->cgroup);
	file = fopen(path, "re");
	return file && fscanf(file, "usage_usec %llu", &us) == 1 ? us : 0;
}

/* One request, blocking. Returns the bytes of the answer, or -errno. */
static int ask(const struct peer_run *run, char *answer, size_t size)
{
	const struct target *target = &run->targets.all[0];
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const struct timeval timeout = { ASK_MS / 1000, ASK_MS % 1000 * 1000 };
	size_t used = 0;
	ssize_t got = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) ||
	    connect(fd, (const struct sockaddr *)&target->addr, target->addr_len) ||
	    send(fd, target->request, target->request_bytes, MSG_NOSIGNAL) < 0)
		return -errno;
	while (used < size - 1 && (got = recv(fd, answer + used, size - 1 - used, 0)) > 0)
		used += got;
	answer[used] = '\0';
	return got < 0 ? -errno : (int)used;
}

pid_t peer_ask_pid(const struct peer_run *run)
{
	char answer[1024];
	const char *found;
	int got = ask(run, answer, sizeof(answer));

	if (got < 0)
		return got;
	found = strstr(answer, "\r\n\r\nworker ");
	found = found ? strstr(found, " pid ") : NULL;
	return found && atoi(found + 5) > 0 ? atoi(found + 5) : -EBADMSG;
}

int64_t peer_ask_lost(const struct peer_run *run)
{
	_cleanup_fclose_ FILE *file = NULL;
	char path[PATH_MAX];
	unsigned long lost;

	if (!run->peer->can_count_lost || peer_call(run, "lost", NULL))
		return -1;
	snprintf(path, sizeof(path), "%s/lost", run->dir);
	file = fopen(path, "re");
	return file && fscanf(file, "%lu", &lost) == 1 ? (int64_t)lost : -1;
}
