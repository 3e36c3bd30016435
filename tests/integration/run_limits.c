// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * lbctl run in a world that lacks something: descriptors, room for logs, cgroups, capabilities,
 * and the terminal that it was started from.
 */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/events.h"
#include "harness/processes.h"
#include "harness/runs.h"
#include "harness/world.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#define WORKERS 4
#define LOGS HARNESS_DIR "/logs"
#define RUN_DEMO run_demo(), "--no-reuseport", "--listen", ":8080"

static struct run run;
static struct clients clients;

static void expect_equal_shares(size_t n, unsigned int each)
{
	lbctl_ok("set-policy", "web", "rr", NULL);
	clients_run(&clients, (struct client_plan){ .connections = n * each, .at_once = 8 });
	for (size_t i = 0; i < n; i++)
		assert_int_equal(clients_of(&clients, i), each);
}

/* --- descriptors --- */

static struct rlimit files;

static void limit_files(void)
{
	setrlimit(RLIMIT_NOFILE, &files);
}

static void start_with_files(rlim_t soft, rlim_t hard)
{
	files = (struct rlimit){ .rlim_cur = soft, .rlim_max = hard };
	run_prepare = limit_files;
	run_start(&run, "web", "-n", "20", "--max-restarts", "1", "--", RUN_DEMO, NULL);
}

/* lbctl raises its own limit and not that of the workers. */
static void test_soft_limit_of_files(void **state)
{
	static pid_t pids[20];
	struct rlimit got;

	(void)state;
	start_with_files(64, 4096);
	run_pids(&run, pids, ARRAY_SIZE(pids));
	for (size_t i = 0; i < ARRAY_SIZE(pids); i++) {
		assert_int_equal(prlimit(pids[i], RLIMIT_NOFILE, NULL, &got), 0);
		assert_int_equal(got.rlim_cur, 64);
		assert_int_equal(got.rlim_max, 4096);
	}
	expect_equal_shares(ARRAY_SIZE(pids), 2);
	run_stop(&run);
}

/* 1. There are not enough for 20: said; those that run serve  2. two are enough for all */
static void test_hard_limit_of_files(void **state)
{
	(void)state;
	start_with_files(146, 146);
	wait_until(run_events(&run, "no-start", NULL) > 1, RUN_MS);
	clients_run(&clients, (struct client_plan){ .connections = 40, .at_once = 8 });
	lbctl_expect(1, "too many open files", "scale", "web", "21", NULL);
	lbctl_ok("scale", "web", "2", NULL);
	run_expect_up(&run, 2);
	expect_equal_shares(2, 10);
	lbctl_ok("reload", "web", NULL);
	expect_equal_shares(2, 10);
	run_stop(&run);
}

/* --- logs --- */

static void start_with_logs(const char *workers)
{
	run_start(&run, "web", "-n", workers, "--log-dir", LOGS, "--", RUN_DEMO, NULL);
	run_expect_events(&run, atoi(workers), "online", NULL);
}

static void fill_disk(void)
{
	int fd = open(LOGS "/fill", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	static const char bytes[4096];

	assert_true(fd >= 0);
	while (write(fd, bytes, sizeof(bytes)) > 0)
		continue;
	assert_int_equal(errno, ENOSPC);
	close(fd);
}

/*
 * 1. room for two logs of three: the third worker is up too, and why it has none is said
 * 2. no room for another byte: a reload works, all serve
 */
static void test_no_room_for_logs(void **state)
{
	char *log;

	(void)state;
	assert_int_equal(mkdir(LOGS, 0755), 0);
	assert_int_equal(mount("tmpfs", LOGS, "tmpfs", 0, "size=64k,nr_inodes=4"), 0);
	file_write(LOGS "/fill", "");
	start_with_logs("3");
	run_expect_lines(&run, "No space left on device; its output goes here", 1);
	log = file_read(access(LOGS "/web-0.log", F_OK) ? LOGS "/web-1.log" : LOGS "/web-0.log");
	assert_non_null(strstr(log, ":8080"));
	free(log);
	fill_disk();
	lbctl_ok("reload", "web", NULL);
	expect_equal_shares(3, 10);
	run_stop(&run);
	assert_int_equal(umount2(LOGS, 0), 0);
	rmdir(LOGS);
}

/* The folder of the logs goes away and a worker crashes: it is started again. */
static void test_folder_of_logs_is_removed(void **state)
{
	pid_t pids[WORKERS];

	(void)state;
	assert_int_equal(mkdir(LOGS, 0755), 0);
	start_with_logs("4");
	run_pids(&run, pids, WORKERS);
	command_ok("rm", "-r", LOGS, NULL);
	kill(pids[1], SIGKILL);
	wait_until(!process_lives(pids[1]), RUN_MS);
	run_pids(&run, pids, WORKERS);
	run_expect_lines(&run, "No such file or directory; its output goes here", 1);
	expect_equal_shares(WORKERS, 10);
	run_stop(&run);
}

/* --- cgroups, capabilities --- */

static void expect_not_able(const char *words)
{
	lbctl_expect(4, words, "run", "--name", "web", "-n", "2", "--", RUN_DEMO, NULL);
	run_expect_nothing_left();
}

static void test_cgroups_are_read_only(void **state)
{
	const unsigned long flags = MS_REMOUNT | MS_BIND;

	(void)state;
	assert_int_equal(mount(NULL, CGROUPS, NULL, flags | MS_RDONLY, NULL), 0);
	expect_not_able("it is mounted read-only; mount it read-write");
	assert_int_equal(mount(NULL, CGROUPS, NULL, flags, NULL), 0);
}

static void test_no_cgroups(void **state)
{
	(void)state;
	assert_int_equal(umount2(CGROUPS, 0), 0);
	expect_not_able("no cgroup v2: mount one");
	assert_int_equal(mount("cgroup2", CGROUPS, "cgroup2", 0, NULL), 0);
}

static void drop_capabilities(void)
{
	static const int needed[] = { CAP_BPF, CAP_SYS_ADMIN, CAP_NET_ADMIN, CAP_PERFMON };

	for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
		prctl(PR_CAPBSET_DROP, needed[i]);
}

static void test_no_capability_for_bpf(void **state)
{
	(void)state;
	run_prepare = drop_capabilities;
	expect_not_able("CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON are needed");
}

/* --- the terminal --- */

/* Says something for every request; Python fails the request if it can't. */
static const char talks[] = "import os, socket\n"
			    "s = socket.socket()\n"
			    "s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"
			    "s.bind(('', 8080))\n"
			    "s.listen(100)\n"
			    "while True:\n"
			    "    c = s.accept()[0]\n"
			    "    c.recv(1000)\n"
			    "    try:\n"
			    "        print('a request', flush=True)\n"
			    "        c.send(b'HTTP/1.0 200 OK\\r\\nX-Worker: %s\\r\\n\\r\\n' %\n"
			    "               os.environ['LBCTL_WORKER'].encode())\n"
			    "    except OSError:\n"
			    "        pass\n"
			    "    c.close()\n";

static char terminal[64]; /* its path */

/* The session of a terminal that stops who writes in the background, as workers are there. */
static void enter_terminal(void)
{
	struct termios mode;
	int fd;

	setsid();
	fd = open(terminal, O_RDWR);
	tcgetattr(fd, &mode);
	mode.c_lflag |= TOSTOP;
	tcsetattr(fd, TCSANOW, &mode);
	for (int i = 0; i < 3; i++)
		dup2(fd, i);
	close(fd);
}

/* Returns the other end, whose close() is the end of the terminal. */
static int start_in_terminal(const char *option, const char *value)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

	assert_true(master >= 0);
	assert_int_equal(unlockpt(master), 0);
	assert_int_equal(ptsname_r(master, terminal, sizeof(terminal)), 0);
	file_write(HARNESS_DIR "/talks.py", talks);
	run_prepare = enter_terminal;
	run_start(&run, "web", "-n", "4", option, value, "--", "python3", HARNESS_DIR "/talks.py",
		  NULL);
	run_expect_up(&run, WORKERS);
	/* that is no reload here */
	assert_int_equal(kill(run.pid, SIGHUP), 0);
	run_expect_events(&run, 1, "hangup", NULL);
	run_expect_events(&run, 0, "begin", NULL);
	return master;
}

static bool has_no_output(pid_t pid)
{
	char path[64], target[64] = "";

	snprintf(path, sizeof(path), "/proc/%d/fd/1", pid);
	return readlink(path, target, sizeof(target) - 1) > 0 && !strcmp(target, "/dev/null");
}

/*
 * 1. the terminal goes: each worker gets a successor that can write; nobody fails from then on
 * 2. without a terminal SIGHUP is a reload
 */
static void test_terminal_goes(void **state)
{
	pid_t before[WORKERS], after[WORKERS];
	int master;

	(void)state;
	master = start_in_terminal("--kill-timeout", "5000");
	run_pids(&run, before, WORKERS);
	expect_equal_shares(WORKERS, 2);
	close(master);
	run_expect_events(&run, 2, "hangup", NULL);
	for (int i = 0; i < WORKERS; i++)
		wait_until(!process_lives(before[i]), RUN_MS);
	run_pids(&run, after, WORKERS);
	for (int i = 0; i < WORKERS; i++)
		assert_true(has_no_output(after[i]));
	expect_equal_shares(WORKERS, 10);
	assert_int_equal(kill(run.pid, SIGHUP), 0);
	for (int i = 0; i < WORKERS; i++)
		wait_until(!process_lives(after[i]), RUN_MS);
	run_pids(&run, after, WORKERS);
	run_expect_events(&run, 2, "hangup", NULL);
	run_stop(&run);
}

/* Who has a log has no need of a new process. */
static void test_terminal_goes_and_there_are_logs(void **state)
{
	pid_t before[WORKERS], after[WORKERS];
	int master;

	(void)state;
	assert_int_equal(mkdir(LOGS, 0755), 0);
	master = start_in_terminal("--log-dir", LOGS);
	run_pids(&run, before, WORKERS);
	close(master);
	run_expect_events(&run, 2, "hangup", NULL);
	expect_equal_shares(WORKERS, 10);
	run_pids(&run, after, WORKERS);
	assert_memory_equal(before, after, sizeof(before));
	run_stop(&run);
}

static uint64_t capabilities(pid_t pid, const char *set)
{
	char path[64], key[16], *status;
	uint64_t value;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	snprintf(key, sizeof(key), "\n%s:", set);
	status = file_read(path);
	assert_non_null(strstr(status, key));
	value = strtoull(strstr(status, key) + strlen(key), NULL, 16);
	free(status);
	return value;
}

#define BIT(name) (1ULL << CAP_##name)

/*
 * 1. a keeper that is root, and its workers are not, has those of its table, and none to load
 *    kernel modules, change the clock or talk raw packets; they have none
 * 2. workers that are root have what lbctl was started with
 */
static void test_keeper_has_few_capabilities(void **state)
{
	const uint64_t all = capabilities(getpid(), "CapBnd"),
		       most = BIT(CHOWN) | BIT(DAC_OVERRIDE) | BIT(DAC_READ_SEARCH) | BIT(FOWNER) |
			      BIT(KILL) | BIT(SETGID) | BIT(SETUID) | BIT(NET_BIND_SERVICE) |
			      BIT(NET_ADMIN) | BIT(SYS_PTRACE) | BIT(SYS_ADMIN) | BIT(SYS_NICE) |
			      BIT(SYS_RESOURCE) | BIT(PERFMON) | BIT(BPF);
	pid_t pids[2];

	(void)state;
	run_start(&run, "web", "-n", "2", "--", RUN_DEMO, NULL);
	run_pids(&run, pids, 2);
	assert_int_equal(capabilities(pids[1], "CapEff"), all);
	run_stop(&run);
	run_start(&run, "web", "-n", "2", "--user", "nobody", "--", RUN_DEMO, NULL);
	run_pids(&run, pids, 2);
	assert_int_equal(capabilities(run.pid, "CapPrm"), all & most);
	assert_int_equal(capabilities(run.pid, "CapEff"), all & most);
	assert_int_equal(capabilities(pids[0], "CapPrm"), 0);
	assert_int_equal(capabilities(pids[0], "CapBnd"), all);
	assert_int_equal(capabilities(pids[0], "NoNewPrivs"), 0);
	run_stop(&run);
}

/* Asked for, it holds for workers of any user and not for the keeper, which starts others. */
static void test_no_new_privileges(void **state)
{
	pid_t pids[2];

	(void)state;
	run_start(&run, "web", "-n", "2", "--no-new-privileges", "--", RUN_DEMO, NULL);
	run_pids(&run, pids, 2);
	assert_int_equal(capabilities(pids[1], "NoNewPrivs"), 1);
	assert_int_equal(capabilities(run.pid, "NoNewPrivs"), 0);
	run_stop(&run);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_soft_limit_of_files),
		runs_test(test_hard_limit_of_files),
		runs_test(test_no_room_for_logs),
		runs_test(test_folder_of_logs_is_removed),
		runs_test(test_cgroups_are_read_only),
		runs_test(test_no_cgroups),
		runs_test(test_no_capability_for_bpf),
		runs_test(test_terminal_goes),
		runs_test(test_terminal_goes_and_there_are_logs),
		runs_test(test_keeper_has_few_capabilities),
		runs_test(test_no_new_privileges),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
