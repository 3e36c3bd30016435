// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Workers that hand their socket to the keeper: without privileges, unseen, again, by the wrong
 * user, with the wrong socket, with garbage; and when worker or keeper die. FUZZ_ROUNDS
 * (environment) is how many random messages are sent.
 */
#include "integration/harness/runs.c"

#include <arpa/inet.h>
#include <grp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "lbctl.h"
#include "send_fds.h"
#include "sockdiag.h"

#define WORKERS 4
#define SOCKET_PATH FILES_DIR "/web.sock"
#define NOBODY 65534
#define FUZZ_ROUNDS 1500

static struct demo demos[WORKERS];
static struct run run;
static struct show show;
static struct clients clients;
static struct books before;

/* --- parts --- */

static int begin(void **state)
{
	(void)state;
	setenv("LBCTL_SERVICE", "web", 1);
	/* so that the keeper alone can give a load page */
	setenv("LBCTL_BPF_DIR", "/nowhere", 1);
	return 0;
}

static int listen_at(const char *host, uint16_t port, const char *device)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	assert_int_equal(inet_pton(AF_INET, host, &at.sin_addr), 1);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)), 0);
	if (device)
		assert_int_equal(
			setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, strlen(device)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 64), 0);
	return fd;
}

/* A demo worker that joins and reports a load of its own: 10, 20, 30, 40. */
static void demo_join(int worker)
{
	demo_start(&demos[worker], worker, "--listen", ":8080", "--user", "nobody", "--join",
		   "--load", "10,20,30,40", NULL);
}

/* Worker 0 is attached, the service is watched, group nogroup may join. */
static void watch(const char *policy)
{
	demo_start(&demos[0], 0, "--listen", ":8080", NULL);
	lbctl_ok("attach", "--name", "web", "--policy", policy, ":8080", NULL);
	run_start_verb(&run, "web", "watch", "--group", "nogroup", "web", NULL);
	run_expect_lines(&run, "watching", 1);
	wait_until(!access(SOCKET_PATH, F_OK), RUN_MS);
}

/* The service goes on, and so the next test's service must not be this one. */
static void end_watch(void)
{
	kill(run.pid, SIGTERM);
	assert_int_equal(run_wait(&run), 0);
	lbctl_ok("detach", "web", NULL);
	assert_true(pins_are_gone());
}

static bool is_worker(uint32_t worker, const char *want)
{
	show_read("web", &show);
	return worker < show.nr_workers && !strcmp(show.worker[worker].state, want);
}

static size_t descriptors(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	return count_entries(path, false);
}

static size_t listening(void)
{
	struct sockdiag_list list;
	size_t n;

	assert_int_equal(sockdiag_listeners(IPPROTO_TCP, 8080, &list), 0);
	n = list.count;
	sockdiag_free(&list);
	return n;
}

/* Must fail, with this errno and these words. */
static void refuse(const char *name, int fd, int err, const char *words)
{
	struct lbctl_worker *handle = lbctl_worker_join(NULL, fd);

	if (handle)
		fail_msg("%s: joined as worker %d", name, lbctl_worker_number(handle));
	if (errno != err || !strstr(lbctl_join_error(), words))
		fail_msg("%s: errno %d, want %d with \"%s\"; it said: %s", name, errno, err, words,
			 lbctl_join_error());
}

static struct lbctl_worker *join(int fd)
{
	struct lbctl_worker *handle = lbctl_worker_join(NULL, fd);

	if (!handle)
		fail_msg("join: %s", lbctl_join_error());
	return handle;
}

/* In a child as this user and group, with one more group; 0 = joined, else errno. */
static int join_as(uid_t uid, gid_t gid, gid_t more, int fd)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (!child) {
		if (setgroups(1, &more) || setgid(gid) || setuid(uid))
			_exit(99);
		_exit(lbctl_worker_join(NULL, fd) ? 0 : errno);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WEXITSTATUS(status);
}

static int connect_control(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX, .sun_path = SOCKET_PATH };
	const struct timeval patience = { .tv_sec = 5 };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

/* The keeper may have hung up, or not have read for a while. */
static void send_with(int fd, const void *bytes, size_t len, const int *fds, size_t n)
{
	if (send_fds(fd, bytes, len, fds, n) < 0)
		assert_true(errno == EPIPE || errno == EAGAIN || errno == ECONNRESET);
}

/* The status of the answer to one packet with `n` descriptors; -1 = there is none. */
static int ask(const char *packet, const int *fds, size_t n)
{
	int fd = connect_control(), status = -1;
	char answer[4096];
	ssize_t len;
	json_t *json;

	send_with(fd, packet, strlen(packet), fds, n);
	len = recv(fd, answer, sizeof(answer), 0);
	close(fd);
	json = len > 0 ? json_loadb(answer, len, 0, NULL) : NULL;
	if (json)
		status = json_integer_value(json_object_get(json, "status"));
	json_decref(json);
	return status;
}

/* How many the keeper holds between two things that it does, once it has done everything once. */
static size_t keeper_descriptors(void)
{
	int fd = listen_at("0.0.0.0", 8080, NULL);
	size_t least = SIZE_MAX, n;

	lbctl_worker_close(join(fd));
	close(fd);
	for (int i = 0; i < 20; i++) {
		n = descriptors(run.pid);
		least = n < least ? n : least;
		harness_nap();
	}
	return least;
}

/* --- joining --- */

/*
 * 1. three workers of user nobody join a watched service, and get no load page but the keeper's
 * 2. they report; the least load gets the connections
 */
static void test_unprivileged_workers(void **state)
{
	struct lb_load *page;

	(void)state;
	watch("least-load");
	lbctl_ok("set", "web", "stale_ms=60000", NULL);
	for (int i = 1; i < WORKERS; i++)
		demo_join(i);
	page = map_mmap("web", "lb_load", WORKERS * sizeof(*page));
	for (int i = 1; i < WORKERS; i++) {
		assert_true(is_worker(i, "up"));
		wait_until(page[i].load == 10U * (i + 1), RUN_MS);
	}
	munmap(page, WORKERS * sizeof(*page));
	demo_kill(&demos[0], SIGTERM);
	/* now, not when the keeper looks next: the policy would send it one, to see what it does */
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	assert_true(is_worker(0, "down"));
	books_read("web", &before);
	clients_run(&clients, (struct client_plan){ .connections = 10 });
	clients_expect(&clients, WORKERS, (const unsigned int[]){ 0, 10, 0, 0 });
	books_expect("web", &before, .cursor = 10, .selected = { 0, 10 });
	end_watch();
}

/* The keeper where it sees no process but its own. */
static void watch_blindly(void)
{
	static const char *args[] = { "unshare",      "--pid", "--fork", "--kill-child",
				      "--mount-proc", NULL,    "watch",	 "--group",
				      "nogroup",      "web",   NULL };
	int log;

	args[5] = harness_build_path("lbctl");
	run.name = "web";
	snprintf(run.log, sizeof(run.log), HARNESS_DIR "/web.log");
	unlink(run.log);
	log = open(run.log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	run.pid = fork();
	assert_true(run.pid >= 0);
	if (!run.pid) {
		dup2(log, STDOUT_FILENO);
		dup2(log, STDERR_FILENO);
		execvp(args[0], (char *const *)args);
		_exit(127);
	}
	close(log);
	run_expect_lines(&run, "watching", 1);
	wait_until(!access(SOCKET_PATH, F_OK), RUN_MS);
}

/*
 * 1. workers in a pid namespace that the keeper can't see: it has nothing but what they send
 * 2. each is the worker that it asks to be; no two more of one number, none beyond the room
 * 3. all get their turn; one that dies leaves its queue to the others, for nobody holds it
 */
static void test_unseen_workers(void **state)
{
	int one, two;

	(void)state;
	demo_start(&demos[0], 0, "--listen", ":8080", NULL);
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	watch_blindly();
	for (int i = WORKERS - 1; i > 0; i--)
		demo_join(i);
	run_expect_lines(&run, "joined, listening on 0.0.0.0:8080", 3);
	for (int i = 1; i < WORKERS; i++) {
		char words[32];

		snprintf(words, sizeof(words), " worker %d (pid 0) joined", i);
		run_expect_lines(&run, words, 1);
	}
	books_read("web", &before);
	clients_run(&clients, (struct client_plan){ .connections = 40 });
	clients_expect(&clients, WORKERS, (const unsigned int[]){ 10, 10, 10, 10 });
	/* slots were given out in another order than numbers */
	books_expect("web", &before, .cursor = 40, .selected = { 10, 10, 10, 10 });

	setenv("LBCTL_WORKER", "3", 1);
	one = listen_at("0.0.0.0", 8080, NULL);
	two = listen_at("0.0.0.0", 8080, NULL);
	lbctl_worker_close(join(one));
	refuse("a third socket of worker 3", two, EBUSY, "2 sockets of worker 3");
	setenv("LBCTL_WORKER", "8", 1);
	refuse("no room", two, EINVAL, "room for 8 workers");
	unsetenv("LBCTL_WORKER");
	close(one);
	close(two);

	needs(migrate);
	kill(demos[3].pid, SIGSTOP);
	clients_begin(&clients, (struct client_plan){ .connections = 40, .at_once = 40 });
	clients_collect(&clients, 10);
	demo_kill(&demos[3], SIGKILL);
	clients_finish(&clients);
	assert_int_equal(clients.answered, 40);
	one = listen_at("0.0.0.0", 8080, "lo");
	refuse("a group of its own", one, EINVAL, "another reuseport group");
	close(one);
	kill(run.pid, SIGKILL); /* its child with it */
	assert_int_equal(run_wait(&run), 128 + SIGKILL);
}

static unsigned int of_worker(uint32_t worker)
{
	show_read("web", &show);
	return show.worker[worker].selected;
}

/*
 * 1. of four that joined, one dies: its queue goes to the others, it is down, its counts stay
 * 2. the next that joins is that worker again, and counts on
 */
static void test_worker_dies(void **state)
{
	(void)state;
	watch("rr");
	for (int i = 1; i < WORKERS; i++)
		demo_join(i);
	clients_run(&clients, (struct client_plan){ .connections = 40 });
	needs(migrate);
	kill(demos[2].pid, SIGSTOP);
	clients_begin(&clients, (struct client_plan){ .connections = 40, .at_once = 40 });
	clients_collect(&clients, 10);
	demo_kill(&demos[2], SIGKILL);
	clients_finish(&clients);
	assert_int_equal(clients.answered, 40);
	wait_until(is_worker(2, "down"), RUN_MS);
	assert_int_equal(of_worker(2), 20);
	demo_join(2);
	assert_true(is_worker(2, "up"));
	assert_int_equal(show.nr_workers, WORKERS);
	clients_run(&clients, (struct client_plan){ .connections = 40 });
	assert_int_equal(clients_of(&clients, 2), 10);
	assert_int_equal(of_worker(2), 30);
	end_watch();
}

/* A worker on two addresses joins with both sockets and is one worker. */
static void test_two_addresses(void **state)
{
	(void)state;
	demo_start(&demos[0], 0, "--listen", ":8080", "--listen", "[::]:8080", NULL);
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	run_start_verb(&run, "web", "watch", "web", NULL);
	run_expect_lines(&run, "watching", 1);
	wait_until(!access(SOCKET_PATH, F_OK), RUN_MS);
	demo_start(&demos[1], 1, "--listen", ":8080", "--listen", "[::]:8080", "--join", NULL);
	assert_true(is_worker(1, "up"));
	assert_int_equal(show.nr_workers, 2);
	clients_run(&clients, (struct client_plan){ .connections = 20 });
	clients_expect(&clients, 2, (const unsigned int[]){ 10, 10 });
	clients_run(&clients, (struct client_plan){ .to = "::1", .connections = 20 });
	clients_expect(&clients, 2, (const unsigned int[]){ 10, 10 });
	end_watch();
}

/* A hundred that start together and join at the same moment: none is sent away, each is one. */
static void test_many_at_once(void **state)
{
	const size_t many = 101;

	(void)state;
	demo_start(&demos[0], 0, "--listen", ":8080", NULL);
	lbctl_ok("attach", "--name", "web", "--max-workers", "128", ":8080", NULL);
	run_start_verb(&run, "web", "watch", "--group", "nogroup", "web", NULL);
	run_expect_lines(&run, "watching", 1);
	wait_until(!access(SOCKET_PATH, F_OK), RUN_MS);
	demo_start(&demos[1], 1, "-n", "100", "--listen", ":8080", "--user", "nobody", "--join",
		   NULL);
	show_read("web", &show);
	assert_int_equal(show.nr_workers, many);
	clients_run(&clients, (struct client_plan){ .connections = 2 * many });
	show_read("web", &show);
	for (size_t i = 0; i < many; i++)
		assert_int_equal(show.worker[i].selected, 2);
	demo_kill(&demos[1], SIGTERM);
	end_watch();
}

/* --- the keeper is stopped, dies --- */

/*
 * 1. a worker has joined; the keeper is killed: connections and reports go on
 * 2. the next keeper finds the socket where it was; joining again gives the same place
 */
static void test_keeper_dies(void **state)
{
	int fd = -1, slot, number;
	struct lbctl_worker *handle;
	struct lb_load *page;

	(void)state;
	watch("least-load");
	demo_join(1);
	fd = listen_at("0.0.0.0", 8080, NULL);
	handle = join(fd);
	slot = lbctl_worker_slot(handle);
	number = lbctl_worker_number(handle);
	assert_true(slot == 2 && number == 2);
	run_kill(&run);
	refuse("a dead keeper", fd, ECONNREFUSED, "is dead");
	page = map_mmap("web", "lb_load", WORKERS * sizeof(*page));
	lbctl_report_load(handle, 1000);
	assert_int_equal(page[slot].load, 1000);
	clients_run(&clients, (struct client_plan){ .connections = 5 });
	assert_int_equal(clients_of(&clients, -1), 0);

	run_start_again(&run);
	run_expect_lines(&run, "watching", 2);
	wait_until(is_worker(2, "up"), RUN_MS);
	lbctl_worker_close(handle);
	wait_until((handle = lbctl_worker_join(NULL, fd)), RUN_MS);
	assert_int_equal(lbctl_worker_slot(handle), slot);
	assert_int_equal(lbctl_worker_number(handle), number);
	lbctl_report_load(handle, 2000);
	assert_int_equal(page[slot].load, 2000);
	show_read("web", &show);
	assert_int_equal(show.nr_workers, 3);
	munmap(page, WORKERS * sizeof(*page));
	lbctl_worker_close(handle);
	close(fd);
	end_watch();
}

/* A keeper that does not answer is not sent the socket: it is gone when the worker closes it. */
static void test_keeper_is_stopped(void **state)
{
	int fd;

	(void)state;
	watch("rr");
	kill(run.pid, SIGSTOP);
	fd = listen_at("0.0.0.0", 8080, NULL);
	assert_int_equal(listening(), 2);
	refuse("a stopped keeper", fd, ETIMEDOUT, "did not answer");
	close(fd);
	assert_int_equal(listening(), 1);
	kill(run.pid, SIGCONT);
	end_watch();
}

/* The service is detached: the handle is nobody's. Attached again, it takes another join. */
static void test_detached_and_attached(void **state)
{
	int fd;
	struct lbctl_worker *handle;

	(void)state;
	watch("rr");
	fd = listen_at("0.0.0.0", 8080, NULL);
	handle = join(fd);
	kill(run.pid, SIGTERM);
	assert_int_equal(run_wait(&run), 0);
	refuse("no keeper", fd, ENOENT, "no keeper of web");
	lbctl_ok("detach", "web", NULL);
	assert_int_equal(lbctl_worker_slot(handle), -1);
	lbctl_worker_close(handle);
	close(fd);
}

/* --- lbctl run --- */

/* Workers of another user than lbctl's join and report; that user may do nothing else. */
static void test_workers_of_run(void **state)
{
	struct lb_load *page;
	pid_t pids[2], child;
	int status;

	(void)state;
	run_start(&run, "web", "-n", "2", "--user", "nobody", "--policy", "least-load", "--",
		  run_demo(), "-q", "--no-reuseport", "--listen", ":8080", "--join", "--load",
		  "10,20,30,40", NULL);
	run_expect_lines(&run, "is online", 2);
	run_expect_lines(&run, "listening on", 2);
	run_pids(&run, pids, 2);
	page = map_mmap("web", "lb_load", 2 * sizeof(*page));
	/* slots are given out in the order in which workers listen */
	wait_until(page[0].load + page[1].load == 30, RUN_MS);
	munmap(page, 2 * sizeof(*page));
	clients_run(&clients, (struct client_plan){ .connections = 10 });
	clients_expect(&clients, 2, (const unsigned int[]){ 10, 0 });
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		if (setgid(NOBODY) || setuid(NOBODY))
			_exit(99);
		_exit(ask("{\"verb\":\"stop\"}", NULL, 0) == 4 &&
				      ask("{\"verb\":\"hello\"}", NULL, 0) == 0 ?
			      0 :
			      1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	lbctl_ok("reload", "web", NULL);
	run_stop(&run);
}

/* To join says that it is ready, also where that is waited for. */
static void test_joining_is_ready(void **state)
{
	(void)state;
	run_start(&run, "web", "-n", "2", "--wait-ready", "--", "env", "-u", "NOTIFY_SOCKET",
		  run_demo(), "-q", "--no-reuseport", "--listen", ":8080", "--join", NULL);
	run_expect_lines(&run, "is online", 2);
	clients_run(&clients, (struct client_plan){ .connections = 20 });
	clients_expect(&clients, 2, (const unsigned int[]){ 10, 10 });
	run_stop(&run);
}

/*
 * 1. what run starts does not listen; processes elsewhere do, and come for its workers by name
 * 2. one that names none is refused, and one that names a worker that is not there
 * 3. the next controller knows whose they are
 */
static void test_workers_from_elsewhere(void **state)
{
	int fd;

	(void)state;
	run_start(&run, "web", "-n", "2", "--port", "8080", "--ready-timeout", "60000", "--",
		  "sleep", "1000", NULL);
	run_expect_lines(&run, "started, pid", 2);
	wait_until(!access(SOCKET_PATH, F_OK), RUN_MS);
	demo_start(&demos[1], 1, "--listen", ":8080", "--join", NULL);
	demo_start(&demos[0], 0, "--listen", ":8080", "--join", NULL);
	run_expect_lines(&run, "is online", 2);
	clients_run(&clients, (struct client_plan){ .connections = 20 });
	clients_expect(&clients, 2, (const unsigned int[]){ 10, 10 });
	fd = listen_at("0.0.0.0", 8080, NULL);
	refuse("no name", fd, EINVAL, "none of them");
	setenv("LBCTL_WORKER", "2", 1);
	refuse("a worker that is not there", fd, ENOENT, "no worker 2 of web runs");
	unsetenv("LBCTL_WORKER");
	close(fd);
	run_kill(&run);
	run_start_again(&run);
	run_expect_lines(&run, "2 living workers found", 1);
	run_expect_lines(&run, "is online", 4);
	clients_run(&clients, (struct client_plan){ .connections = 20 });
	clients_expect(&clients, 2, (const unsigned int[]){ 10, 10 });
	for (int i = 0; i < 2; i++)
		demo_kill(&demos[i], SIGTERM);
	run_stop(&run);
}

/* --- who may --- */

static void test_users(void **state)
{
	int fd;

	(void)state;
	watch("rr");
	fd = listen_at("0.0.0.0", 8080, NULL);
	assert_int_equal(join_as(1, 1, 1, fd), EACCES);
	assert_int_equal(join_as(NOBODY, NOBODY, NOBODY, fd), 0);
	assert_int_equal(join_as(1, 1, NOBODY, fd), 0);
	/* the file's mode is not the only guard */
	assert_int_equal(chmod(SOCKET_PATH, 0666), 0);
	assert_int_equal(join_as(1, 1, 1, fd), EPERM);
	assert_int_equal(join_as(NOBODY, 1, 1, fd), EPERM);
	assert_int_equal(seteuid(1), 0);
	refuse("another user", fd, EPERM, "user 1 is not admitted by the keeper of web");
	assert_int_equal(seteuid(0), 0);
	close(fd);
	end_watch();
}

/* --- wrong sockets, wrong words --- */

static int tcp_socket(int protocol, bool reuseport, uint16_t port, bool listens)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, protocol), one = 1;

	if (fd < 0)
		return -1;
	if (reuseport)
		assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	if (listens)
		assert_int_equal(listen(fd, 4), 0);
	return fd;
}

static int connected_socket(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(8080) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

static int foreign_socket(void)
{
	int back, fd;

	netns_add("far");
	back = netns_join("far");
	fd = listen_at("0.0.0.0", 8080, NULL);
	netns_leave(back);
	netns_delete("far");
	return fd;
}

static void test_wrong_sockets(void **state)
{
	static struct show after;
	size_t had;

	(void)state;
	watch("rr");
	had = keeper_descriptors();
	show_read("web", &show);
	books_read("web", &before);
	{
		const struct {
			const char *name;
			int fd;
			const char *words;
		} rows[] = {
			{ "UDP", socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "not a TCP" },
			{ "unix", socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "family" },
			{ "file", open("/dev/null", O_RDONLY | O_CLOEXEC), "not a socket" },
			{ "MPTCP", tcp_socket(262, true, 8083, true), "MPTCP" },
			{ "not listening", tcp_socket(0, true, 8080, false), "does not listen" },
			{ "other port", tcp_socket(0, true, 8081, true), "0.0.0.0:8081" },
			{ "no reuseport", tcp_socket(0, false, 8082, true), "SO_REUSEPORT" },
			{ "one address", listen_at("127.0.0.1", 8080, NULL), "127.0.0.1:8080" },
			{ "other netns", foreign_socket(), "another network namespace" },
		};

		for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
			if (rows[i].fd < 0 && !strcmp(rows[i].name, "MPTCP"))
				continue; /* this kernel has none */
			refuse(rows[i].name, rows[i].fd, EINVAL, rows[i].words);
			/* what the library does not send, the keeper refuses too */
			assert_int_equal(ask("{\"verb\":\"join\"}", &rows[i].fd, 1), 2);
			close(rows[i].fd);
		}
	}
	wait_until(descriptors(run.pid) <= had, RUN_MS);
	show_read("web", &after);
	assert_int_equal(after.nr_workers, show.nr_workers);
	assert_int_equal(after.unregistered, 0);
	books_expect("web", &before, .cursor = 0);
	clients_run(&clients, (struct client_plan){ .connections = 10 });
	clients_expect(&clients, 1, (const unsigned int[]){ 10 });
	end_watch();
}

/* As the next, with a connection in its queue: that a connected socket can be told from it. */
static void test_connected_socket(void **state)
{
	int fd;

	(void)state;
	watch("rr");
	fd = connected_socket();
	refuse("connected", fd, EINVAL, "does not listen");
	close(fd);
	end_watch();
}

static void test_wrong_messages(void **state)
{
	static const struct {
		const char *packet;
		size_t fds;
		int status;
	} rows[] = {
		{ "{\"verb\":\"join\"}", 0, 2 },
		{ "{\"verb\":\"join\"}", 2, 2 },
		{ "{\"verb\":\"join\"}", 8, 2 },
		{ "{\"verb\":\"join\"", 1, 2 },
		{ "{\"verb\":\"join\",\"worker\":-1}", 1, 2 },
		{ "{\"verb\":\"join\",\"worker\":1024}", 1, 2 },
		{ "{\"verb\":\"join\",\"worker\":4294967296}", 1, 2 },
		{ "{\"verb\":\"join\",\"worker\":\"1\"}", 1, 2 },
		{ "{\"verb\":\"join\",\"worker\":null}", 1, 2 },
		{ "{\"verb\":\"hello\"}", 1, 0 },
		{ "{\"verb\":\"events\"}", 1, 0 },
		{ "{\"verb\":\"scale\",\"workers\":1}", 1, 1 },
		{ "", 1, -1 },
		{ "x", 1, 2 },
		{ "{\"verb\":\"join\"}", 1, 0 },
	};
	int fds[8];
	size_t had;

	(void)state;
	watch("rr");
	fds[0] = listen_at("0.0.0.0", 8080, NULL);
	for (size_t i = 1; i < ARRAY_SIZE(fds); i++)
		fds[i] = fds[0];
	had = keeper_descriptors();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int got = ask(rows[i].packet, fds, rows[i].fds);

		if (got != rows[i].status)
			fail_msg("%s with %zu: status %d, want %d", rows[i].packet, rows[i].fds,
				 got, rows[i].status);
	}
	wait_until(descriptors(run.pid) <= had, RUN_MS);
	close(fds[0]);
	wait_until(listening() == 1, RUN_MS);
	end_watch();
}

/* Bytes and descriptors at random, of which some are right, from clients that may not read. */
static void test_random_messages(void **state)
{
	static const char *const seeds[] = {
		"{\"verb\":\"join\",\"worker\":3}",
		"{\"verb\":\"join\"}",
		"{\"verb\":\"hello\"}",
		"{\"verb\":\"events\"}",
		"{\"verb\":\"send\",\"worker\":1,\"message\":{}}",
		"[[[[[[[[[[\"",
	};
	const char *text = getenv("FUZZ_ROUNDS");
	int rounds = text && atoi(text) > 0 ? atoi(text) : FUZZ_ROUNDS;
	int pool[6], fds[8], talk[8];
	unsigned int seed = 71;
	char bytes[128];
	size_t had;

	(void)state;
	watch("rr");
	had = keeper_descriptors();
	pool[0] = listen_at("0.0.0.0", 8080, NULL);
	pool[1] = listen_at("0.0.0.0", 8081, NULL);
	pool[2] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	pool[3] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	pool[4] = connected_socket();
	pool[5] = connect_control(); /* a connection of its own, sent through itself */
	for (size_t i = 0; i < ARRAY_SIZE(talk); i++)
		talk[i] = connect_control();
	for (int round = 0; round < rounds; round++) {
		size_t which = rand_r(&seed) % ARRAY_SIZE(talk), len, n = rand_r(&seed) % 9;

		snprintf(bytes, sizeof(bytes), "%s", seeds[rand_r(&seed) % ARRAY_SIZE(seeds)]);
		len = strlen(bytes);
		if (rand_r(&seed) % 4 == 0)
			len = rand_r(&seed) % (len + 1);
		for (int change = rand_r(&seed) % 4; change > 1 && len; change--)
			bytes[rand_r(&seed) % len] = rand_r(&seed);
		for (size_t i = 0; i < n; i++)
			fds[i] = pool[rand_r(&seed) % ARRAY_SIZE(pool)];
		send_with(talk[which], bytes, len, fds, n > 2 && rand_r(&seed) % 2 ? 1 : n);
		if (rand_r(&seed) % 16 == 0) {
			close(talk[which]);
			talk[which] = connect_control();
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(talk); i++)
		close(talk[i]);
	for (size_t i = 0; i < ARRAY_SIZE(pool); i++)
		close(pool[i]);
	/* nothing is held: all its sockets are gone, and its descriptors as many as before */
	wait_until(listening() == 1, RUN_MS);
	wait_until(descriptors(run.pid) <= had, RUN_MS);
	demo_join(1);
	clients_run(&clients, (struct client_plan){ .connections = 20 });
	clients_expect(&clients, 2, (const unsigned int[]){ 10, 10 });
	end_watch();
}

/* --group mounted a bpffs among the files that are removed then. */
static int end(void **state)
{
	umount2(FILES_DIR "/bpf", MNT_DETACH);
	return runs_reset(state);
}

#define join_test(function) cmocka_unit_test_setup_teardown(function, begin, end)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		join_test(test_unprivileged_workers),
		join_test(test_unseen_workers),
		join_test(test_worker_dies),
		join_test(test_two_addresses),
		join_test(test_many_at_once),
		join_test(test_keeper_dies),
		join_test(test_keeper_is_stopped),
		join_test(test_detached_and_attached),
		join_test(test_workers_of_run),
		join_test(test_joining_is_ready),
		join_test(test_workers_from_elsewhere),
		join_test(test_users),
		join_test(test_wrong_sockets),
		join_test(test_connected_socket),
		join_test(test_wrong_messages),
		join_test(test_random_messages),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
