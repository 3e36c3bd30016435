// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The most workers a service can have, and many services. How long attach takes is only printed. */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/maps.h"
#include "harness/pins.h"
#include "harness/show.h"
#include "harness/world.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define SERVICES 64
#define FIRST_PORT 9000

static struct clients clients;
static struct show show;

static int listen_on(uint16_t port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 64)) {
		perror("listen");
		_exit(1);
	}
	return fd;
}

/* Takes one connection and answers with the number of the listener. */
static void serve_one(int listen_fd, int number)
{
	char request[256], answer[64];
	int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC), len;

	if (fd < 0)
		return;
	len = snprintf(answer, sizeof(answer), "HTTP/1.0 200 OK\r\nX-Worker: %d\r\n\r\n", number);
	if (recv(fd, request, sizeof(request), 0) > 0)
		send(fd, answer, len, MSG_NOSIGNAL);
	close(fd);
}

/*
 * One process that serves every listener: `each` of them on each of `ports` ports, numbered
 * 0 .. each - 1 per port in the order in which they were made.
 */
static void run_server(int ports, int each, int ready_fd)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC), fds[LB_MAX_WORKERS];
	struct epoll_event event = { .events = EPOLLIN };

	for (int i = 0; i < ports * each; i++) {
		fds[i] = listen_on(ports == 1 ? 8080 : FIRST_PORT + i / each);
		event.data.u32 = i;
		epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i], &event);
	}
	if (write(ready_fd, "", 1) != 1)
		_exit(1);
	while (epoll_wait(epoll, &event, 1, -1) == 1 || errno == EINTR)
		serve_one(fds[event.data.u32], event.data.u32 % each);
	_exit(1);
}

static void start_server(int ports, int each)
{
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		run_server(ports, each, ready[1]);
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
}

static uint32_t map_entries(const char *service, const char *name)
{
	struct bpf_map_info info = { 0 };
	uint32_t len = sizeof(info);
	int fd = map_open(service, name);

	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &len), 0);
	close(fd);
	return info.max_entries;
}

static size_t map_bytes(const char *service, const char *name)
{
	char path[64], *text, *line;
	int fd = map_open(service, name);
	size_t bytes;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	text = file_read(path);
	close(fd);
	line = strstr(text, "memlock:");
	bytes = line ? strtoull(line + strlen("memlock:"), NULL, 10) : 0;
	free(text);
	return bytes;
}

/* What the kernel says that its maps take, for one listener. */
static size_t service_bytes(const char *service)
{
	static const char *const maps[] = {
		"lb_config",
		"lb_workers",
		"lb_cookies",
		"lb_schedule",
		"lb_load",
		"lb_stats",
		"lb_counters",
		"lb_recent",
		"lb_migrated",
		"listener0/lb_sockets",
		"listener0/lb_queues",
		"listener0/lb_stalls",
	};
	size_t sum = 0;

	for (size_t i = 0; i < ARRAY_SIZE(maps); i++) {
		print_message("  %-22s %8zu\n", maps[i], map_bytes(service, maps[i]));
		sum += map_bytes(service, maps[i]);
	}
	return sum;
}

static uint64_t ms_since(uint64_t start_ns)
{
	return (now_ns() - start_ns) / 1000000;
}

/* 1. attach 1,024 listeners  2. 4,096 connections: 4 each  3. refresh and detach */
static void test_most_workers(void **state)
{
	uint64_t start_ns;

	(void)state;
	start_server(1, LB_MAX_WORKERS);
	start_ns = now_ns();
	lbctl_ok("attach", "--name", "web", "--policy", "rr", ":8080", NULL);
	print_message("attach of %d workers: %llu ms\n", LB_MAX_WORKERS,
		      (unsigned long long)ms_since(start_ns));
	clients_run(&clients, (struct client_plan){
				      .connections = 4096, .at_once = 16, .deadline_ms = 60000 });
	for (int i = 0; i < LB_MAX_WORKERS; i++)
		assert_int_equal(clients_of(&clients, i), 4);
	show_read("web", &show);
	assert_int_equal(show.nr_workers, LB_MAX_WORKERS);
	assert_int_equal(show.decisions, 4096);
	assert_int_equal(show.fallback, 0);
	for (int i = 0; i < LB_MAX_WORKERS; i++)
		assert_int_equal(show.worker[i].selected, 4);
	start_ns = now_ns();
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	print_message("refresh: %llu ms\n", (unsigned long long)ms_since(start_ns));
	lbctl_ok("detach", "web", NULL);
}

/*
 * 1. attach one listener: every map has its full size, and how many bytes that are is printed
 * 2. 1,023 more start to listen: each gets a slot and its share
 */
static void test_growth(void **state)
{
	static const char *const by_slot[] = { "lb_workers",
					       "lb_load",
					       "lb_stats",
					       "listener0/lb_sockets",
					       "listener0/lb_queues",
					       "listener0/lb_stalls" };
	struct lb_config *config;

	(void)state;
	start_server(1, 1);
	lbctl_ok("attach", "--name", "web", "--policy", "rr", ":8080", NULL);
	for (size_t i = 0; i < ARRAY_SIZE(by_slot); i++)
		assert_int_equal(map_entries("web", by_slot[i]), LB_ALL_SLOTS);
	assert_int_equal(map_entries("web", "lb_schedule"), 2 * LB_MAX_SCHEDULE);
	print_message("BPF memory of a service: %zu kB\n", service_bytes("web") / 1024);
	start_server(1, LB_MAX_WORKERS - 1);
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	clients_run(&clients, (struct client_plan){
				      .connections = 4096, .at_once = 16, .deadline_ms = 60000 });
	show_read("web", &show);
	assert_int_equal(show.nr_workers, LB_MAX_WORKERS);
	for (int i = 0; i < LB_MAX_WORKERS; i++)
		assert_int_equal(show.worker[i].selected, 4);
	config = map_mmap("web", "lb_config", sizeof(*config));
	assert_int_equal(config->used_slots, LB_MAX_WORKERS);
	munmap(config, sizeof(*config));
}

/* least-load over more slots than one scan sees: nobody gets more than one of 1,024. */
static void test_most_workers_by_load(void **state)
{
	struct lb_load *page;

	(void)state;
	start_server(1, LB_MAX_WORKERS);
	lbctl_ok("attach", "--name", "web", "--policy", "least-load", ":8080", NULL);
	lbctl_ok("set", "web", "stale_ms=60000", NULL);
	page = map_mmap("web", "lb_load", LB_MAX_WORKERS * sizeof(*page));
	for (int i = 0; i < LB_MAX_WORKERS; i++)
		page[i].reported_ns = now_ns();
	clients_run(&clients, (struct client_plan){ .connections = LB_MAX_WORKERS });
	for (int i = 0; i < LB_MAX_WORKERS; i++)
		assert_in_range(clients_of(&clients, i), 0, 2);
	munmap(page, LB_MAX_WORKERS * sizeof(*page));
}

/* One more than a service can hold is refused as a whole. */
static void test_one_worker_too_many(void **state)
{
	_cleanup_output_ struct output output;
	int one_more;

	(void)state;
	start_server(1, LB_MAX_WORKERS);
	one_more = listen_on(8080);
	lbctl_run(&output, "attach", "--name", "web", ":8080", NULL);
	close(one_more);
	assert_int_equal(output.status, 1);
	assert_non_null(strstr(output.err, "1024"));
	assert_true(pins_are_gone());
}

/* 64 services side by side: each exact on its own; detach --all leaves nothing. */
static void test_many_services(void **state)
{
	static const unsigned int want[] = { 4, 4 };
	const int services = scaled_load(SERVICES);
	uint64_t start_ns;
	json_t *list;

	(void)state;
	start_server(services, 2);
	start_ns = now_ns();
	for (int i = 0; i < services; i++) {
		char name[16], port[16];

		snprintf(name, sizeof(name), "s%d", i);
		snprintf(port, sizeof(port), ":%d", FIRST_PORT + i);
		lbctl_ok("attach", "--name", name, "--policy", "rr", port, NULL);
	}
	print_message("%d services attached in %llu ms\n", services,
		      (unsigned long long)ms_since(start_ns));
	list = lbctl_json("list", "--json", NULL);
	assert_int_equal(json_array_size(list), services);
	json_decref(list);
	for (int i = 0; i < services; i++) {
		clients_run(&clients,
			    (struct client_plan){ .port = FIRST_PORT + i, .connections = 8 });
		clients_expect(&clients, 2, want);
	}
	lbctl_ok("detach", "--all", NULL);
	assert_true(pins_are_gone());
	wait_until(pinned_objects_are_freed(), 5000);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		harness_test(test_most_workers),	 harness_test(test_growth),
		harness_test(test_most_workers_by_load), harness_test(test_one_worker_too_many),
		harness_test(test_many_services),
	};

	(void)argc;
	return harness_run(argv[0], tests);
}
