// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What lbctl must refuse: with the right exit status, one line on stderr that names what is wrong
 * and what to do, and with nothing changed.
 */
#include "harness/commands.h"
#include "harness/maps.h"
#include "harness/pins.h"
#include "harness/servers.h"
#include "harness/show.h"
#include "harness/world.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif
#define NAME_63 "a23456789012345678901234567890123456789012345678901234567890123"

enum port {
	PORT_WEB = 8080,   /* steered by service web */
	PORT_PLAIN = 8081, /* no SO_REUSEPORT */
	PORT_MPTCP = 8082,
	PORT_SHARED = 8083, /* one socket, two processes */
	PORT_EBPF = 8084,   /* a foreign program steers it */
	PORT_CBPF = 8085,   /* the same, a classic one */
	PORT_SOCKMAP = 8086,
	PORT_FREE = 8087, /* a group that could be attached */
	PORT_NOBODY = 8088,
};

struct row {
	const char *args[8];
	int status;
	const char *words[3]; /* all on stderr */
};

static struct demo demos[5];
static int sockets[16], nr_sockets;

static int listen_on(uint16_t port, int protocol)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, protocol), one = 1;

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 16), 0);
	sockets[nr_sockets++] = fd;
	return fd;
}

static void share_with_a_child(int port)
{
	listen_on(port, 0);
	if (!fork()) {
		pause();
		_exit(0);
	}
}

static void steer_by_ebpf(int port)
{
	const struct bpf_insn pass[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 1 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int program = bpf_prog_load(BPF_PROG_TYPE_SK_REUSEPORT, "foreign", "GPL", pass, 2, NULL);
	int fd = listen_on(port, 0);

	listen_on(port, 0);
	assert_true(program >= 0);
	assert_int_equal(
		setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, &program, sizeof(program)), 0);
	close(program);
}

static void steer_by_cbpf(int port)
{
	struct sock_filter first = { BPF_RET | BPF_K, 0, 0, 0 };
	const struct sock_fprog program = { 1, &first };
	int fd = listen_on(port, 0);

	listen_on(port, 0);
	assert_int_equal(
		setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof(program)), 0);
}

/* The map lives as long as one of `sockets` keeps its descriptor. */
static void put_into_sockmap(int port)
{
	int map = bpf_map_create(BPF_MAP_TYPE_SOCKMAP, "foreign", 4, 4, 1, NULL);
	uint64_t fd = listen_on(port, 0);
	uint32_t zero = 0;

	listen_on(port, 0);
	assert_true(map >= 0);
	assert_int_equal(bpf_map_update_elem(map, &zero, &fd, BPF_ANY), 0);
	sockets[nr_sockets++] = map;
}

static int set_up(void **state)
{
	(void)state;
	nr_sockets = 0;
	demo_start(&demos[0], 0, "--listen", ":8080", NULL);
	demo_start(&demos[1], 1, "--listen", ":8080", NULL);
	demo_start(&demos[2], 0, "--listen", ":8081", "--no-reuseport", NULL);
	demo_start(&demos[3], 0, "--listen", ":8087", NULL);
	demo_start(&demos[4], 1, "--listen", ":8087", NULL);
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	share_with_a_child(PORT_SHARED);
	steer_by_ebpf(PORT_EBPF);
	steer_by_cbpf(PORT_CBPF);
	put_into_sockmap(PORT_SOCKMAP);
	return 0;
}

static int tear_down(void **state)
{
	while (nr_sockets)
		close(sockets[--nr_sockets]);
	return harness_reset(state);
}

/* What no refused command may change: all pins, and the whole configuration of web. */
struct picture {
	char *pins;
	struct lb_config config;
};

static void picture_take(struct picture *picture)
{
	int fd = map_open("web", "lb_config");
	uint32_t zero = 0;

	assert_int_equal(bpf_map_lookup_elem(fd, &zero, &picture->config), 0);
	close(fd);
	picture->pins = pins_list();
}

/* Has anything changed since? Takes a new picture in its place. */
static bool picture_changed(struct picture *picture)
{
	struct picture now;
	bool changed;

	picture_take(&now);
	changed = strcmp(now.pins, picture->pins) ||
		  memcmp(&now.config, &picture->config, sizeof(now.config));
	free(picture->pins);
	*picture = now;
	return changed;
}

static bool is_as_wanted(const struct row *row, const struct output *output)
{
	const char *newline = strchr(output->err, '\n');

	if (output->status != row->status || !newline || newline[1])
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(row->words) && row->words[i]; i++) {
		if (!strstr(output->err, row->words[i]))
			return false;
	}
	return true;
}

static void print_row(const struct row *row, const struct output *output)
{
	print_error("lbctl");
	for (size_t i = 0; row->args[i]; i++)
		print_error(" '%s'", row->args[i]);
	print_error("\n  got  %d: %s%s", output->status, output->err, *output->err ? "" : "\n");
	print_error("  want %d:", row->status);
	for (size_t i = 0; i < ARRAY_SIZE(row->words) && row->words[i]; i++)
		print_error(" \"%s\"", row->words[i]);
	print_error(" in one line\n");
}

/* Runs every row and tells all that are wrong; nothing may have changed after any of them. */
static void expect_refused(const struct row *rows, size_t n)
{
	struct picture picture;
	unsigned int wrong = 0;

	picture_take(&picture);
	for (size_t i = 0; i < n; i++) {
		const char *const *a = rows[i].args;
		struct output output;
		bool changed;

		lbctl_run(&output, a[0], a[1], a[2], a[3], a[4], a[5], a[6], NULL);
		changed = picture_changed(&picture);
		if (changed || !is_as_wanted(&rows[i], &output)) {
			print_row(&rows[i], &output);
			wrong++;
		}
		if (changed)
			print_error("  it changed pins or the configuration of web\n");
		output_free(&output);
	}
	free(picture.pins);
	if (wrong)
		fail_msg("%u of %zu command lines were not refused as they should be", wrong, n);
}

static void test_what_cannot_be_steered(void **state)
{
	static const struct row rows[] = {
		{ { "attach", ":8088" }, 1, { ":8088", "listen" } },
		{ { "attach", ":8081" }, 1, { ":8081", "SO_REUSEPORT" } },
		{ { "attach", ":8083" }, 1, { ":8083", "one socket", "2 processes" } },
		{ { "attach", ":8084" }, 1, { ":8084", "BPF program", "--replace" } },
		{ { "attach", ":8085" }, 1, { ":8085", "BPF program", "--replace" } },
		{ { "attach", ":8086" }, 1, { ":8086", "SOCKMAP" } },
		{ { "attach", "--name", "other", ":8080" }, 1, { ":8080", "web" } },
		{ { "attach", "--name", "other", "--replace", ":8080" }, 1, { ":8080", "web" } },
		{ { "attach", "--name", "other", ":8087", ":8080" }, 1, { ":8080", "web" } },
		{ { "attach", "--name", "other", ":8087", ":8088" }, 1, { ":8088" } },
		{ { "attach", "--pid", "999999", ":8087" }, 1, { "999999" } },
	};

	(void)state;
	expect_refused(rows, ARRAY_SIZE(rows));
}

static void test_mptcp(void **state)
{
	static const struct row refused = { { "attach", ":8082" }, 4, { ":8082", "MPTCP" } };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP);

	(void)state;
	if (fd < 0) {
		print_message("this kernel has no MPTCP\n");
		skip();
	}
	close(fd);
	listen_on(PORT_MPTCP, IPPROTO_MPTCP);
	listen_on(PORT_MPTCP, IPPROTO_MPTCP);
	expect_refused(&refused, 1);
}

static void test_addresses(void **state)
{
	static const struct row rows[] = {
		{ { "attach", "/run/g.sock" }, 2, { "/run/g.sock", "Unix socket", "TCP port" } },
		{ { "attach", "unix:/run/g.sock" }, 2, { "unix:/run/g.sock" } },
		{ { "attach", ":443/udp" }, 2, { ":443/udp", "not an address", "udp/:443" } },
		{ { "attach", "80abc" }, 2, { "80abc" } },
		{ { "attach", ":0" }, 2, { ":0" } },
		{ { "attach", "0" }, 2, { "0" } },
		{ { "attach", ":65536" }, 2, { "65536", "65535" } },
		{ { "attach", "18446744073709559696" }, 2, { "65535" } },
		{ { "attach", "-8080" }, 2, { "8080" } },
		{ { "attach", ":+8080" }, 2, { "+8080" } },
		{ { "attach", ": 8080" }, 2, { " 8080" } },
		{ { "attach", ":0x1f90" }, 2, { "0x1f90" } },
		{ { "attach", "" }, 2, { "" } },
		{ { "attach", ":" }, 2, { ":" } },
		{ { "attach", "::1:8080" }, 2, { "::1:8080" } },
		{ { "attach", "[::1:8080" }, 2, { "[::1:8080" } },
		{ { "attach", "[::1]8080" }, 2, { "[::1]8080" } },
		{ { "attach", "[127.0.0.1]:8080" }, 2, { "[127.0.0.1]:8080" } },
		{ { "attach", "1.2.3:8080" }, 2, { "1.2.3:8080" } },
		{ { "attach", "256.0.0.1:8080" }, 2, { "256.0.0.1:8080" } },
		{ { "attach", "127.0.0.1:8080:1" }, 2, { "127.0.0.1:8080:1" } },
		{ { "attach" }, 2, { "attach" } },
	};

	(void)state;
	expect_refused(rows, ARRAY_SIZE(rows));
}

static void test_names(void **state)
{
	static const struct row rows[] = {
		{ { "attach", "--name", "", ":8087" }, 2, { "name" } },
		{ { "attach", "--name", ".", ":8087" }, 2, { "\".\"", "name" } },
		{ { "attach", "--name", "..", ":8087" }, 2, { "\"..\"", "name" } },
		{ { "attach", "--name", "../web", ":8087" }, 2, { "../web", "name" } },
		{ { "attach", "--name", "a/b", ":8087" }, 2, { "a/b", "name" } },
		{ { "attach", "--name", "a.b", ":8087" }, 2, { "a.b", "name" } },
		{ { "attach", "--name", "1web", ":8087" }, 2, { "1web", "letter" } },
		{ { "attach", "--name", "_web", ":8087" }, 2, { "_web", "letter" } },
		{ { "attach", "--name", "web\n", ":8087" }, 2, { "name" } },
		{ { "attach", "--name", NAME_63 "4", ":8087" }, 2, { "63" } },
		{ { "show", "../web" }, 2, { "../web" } },
		{ { "detach", "a/b" }, 2, { "a/b" } },
		{ { "drain", NAME_63 "4", "1" }, 2, { "63" } },
	};

	(void)state;
	expect_refused(rows, ARRAY_SIZE(rows));
}

static void test_unknown(void **state)
{
	static const struct row rows[] = {
		{ { "atttach", ":8080" }, 2, { "atttach", "\"attach\"" } },
		{ { "frobnicate" }, 2, { "frobnicate", "help" } },
		{ { "--frobnicate" }, 2, { "frobnicate" } },
		{ { "show", "--frobnicate", "web" }, 2, { "frobnicate" } },
		{ { "show", "web", "more" }, 2, { "more" } },
		{ { "set-policy", "web", "rrr" }, 2, { "rrr", "\"rr\"" } },
		{ { "set-policy", "web", "least-lod" }, 2, { "least-lod", "\"least-load\"" } },
		{ { "set-policy", "web", "" }, 2, { "policy" } },
		{ { "set-policy" }, 2, { "set-policy" } },
		{ { "attach", "--policy", "fair", ":8087" }, 2, { "fair", "policies" } },
		{ { "attach", "--group", "no-such-group", ":8087" }, 2, { "no-such-group" } },
		{ { "drain", "wbe", "1" }, 3, { "wbe", "no such service", "\"web\"" } },
		{ { "show", "wbe" }, 3, { "wbe", "no such service", "\"web\"" } },
		{ { "stats", "wbe" }, 3, { "wbe", "no such service" } },
		{ { "set-policy", "wbe", "rr" }, 3, { "wbe", "no such service" } },
		{ { "detach", "wbe" }, 3, { "wbe", "no such service" } },
		{ { "set", "web", "stale=1" }, 2, { "stale", "stale_ms" } },
		{ { "set", "web", "stale_ms=-1" }, 2, { "stale_ms", "-1" } },
		{ { "set", "web", "stale_ms=1s" }, 2, { "stale_ms", "1s" } },
		{ { "set", "web", "stale_ms=" }, 2, { "stale_ms" } },
		{ { "set", "web", "stale_ms" }, 2, { "stale_ms" } },
		{ { "set", "web", "stale_ms=5", "x=1" }, 2, { "x" } },
		{ { "set", "web", "hash_prefix4=0" }, 2, { "hash_prefix4", "1 to 32" } },
		{ { "set", "web", "hash_prefix4=33" }, 2, { "hash_prefix4", "33" } },
		{ { "set", "web", "hash_prefix6=129" }, 2, { "hash_prefix6", "1 to 128" } },
		{ { "set", "web", "hash_prefix=24" }, 2, { "hash_prefix4" } },
		{ { "set", "web", "limit=1000001" }, 2, { "limit", "0 to 1000000" } },
		{ { "set", "web", "limit=-1" }, 2, { "limit", "-1" } },
		{ { "set", "web", "flow_ms=1000" }, 1, { "flow_ms", "web is TCP" } },
	};

	(void)state;
	expect_refused(rows, ARRAY_SIZE(rows));
}

static void test_workers_and_weights(void **state)
{
	static const struct row rows[] = {
		{ { "set-weight", "web", "0", "0" }, 2, { "weight", "1", "256" } },
		{ { "set-weight", "web", "0", "257" }, 2, { "257", "256" } },
		{ { "set-weight", "web", "0", "-1" }, 2, { "-1" } },
		{ { "set-weight", "web", "0", "2x" }, 2, { "2x" } },
		{ { "set-weight", "web", "0", "1.5" }, 2, { "1.5" } },
		{ { "set-weight", "web", "0", "4294967297" }, 2, { "256" } },
		{ { "set-weight", "web", "0" }, 2, { "set-weight" } },
		{ { "set-weight", "web", "2", "1" }, 3, { "2", "worker" } },
		{ { "set-weight", "web", "1024", "1" }, 2, { "1024", "worker" } },
		{ { "set-limit", "web", "0", "1000001" }, 2, { "1000001", "1000000" } },
		{ { "set-limit", "web", "0", "-1" }, 2, { "-1", "limit" } },
		{ { "set-limit", "web", "0" }, 2, { "set-limit" } },
		{ { "set-limit", "web", "2", "1" }, 3, { "2", "worker" } },
		{ { "drain", "web", "2" }, 3, { "2", "worker" } },
		{ { "drain", "web", "-1" }, 2, { "-1" } },
		{ { "drain", "web", "one" }, 2, { "one", "worker" } },
		{ { "drain", "web", "" }, 2, { "worker" } },
		{ { "drain", "web" }, 2, { "drain" } },
		{ { "drain", "web", "0", "--wait", "x" }, 2, { "--wait", "x" } },
		{ { "drain", "web", "0", "--wait" }, 2, { "--wait" } },
		{ { "resume", "web", "1023" }, 3, { "1023", "worker" } },
	};

	(void)state;
	expect_refused(rows, ARRAY_SIZE(rows));
}

/* Two services and no NAME: which one is not guessed. */
static void test_no_name_with_two_services(void **state)
{
	static const struct row rows[] = {
		{ { "show" }, 2, { "web", "two" } },
		{ { "stats" }, 2, { "web", "two" } },
		{ { "set-policy", "rr" }, 2, { "web" } },
		{ { "drain", "0" }, 2, { "web" } },
		{ { "resume", "0" }, 2, { "web" } },
		{ { "detach" }, 2, { "web", "two" } },
		{ { "set-weight", "0", "2" }, 2, { "web" } },
		{ { "set", "stale_ms=5" }, 2, { "web" } },
		/* one address of each: neither service is changed, no third one is made */
		{ { "attach", ":8080", ":8087" }, 1, { "steers" } },
	};

	(void)state;
	lbctl_ok("attach", "--name", "two", ":8087", NULL);
	expect_refused(rows, ARRAY_SIZE(rows));
}

/* Detach twice: 3, and so is anything about a service that is gone; the longest name works. */
static void test_names_that_work(void **state)
{
	struct output output;

	(void)state;
	lbctl_ok("attach", "--name", NAME_63, ":8087", NULL);
	lbctl_ok("show", NAME_63, NULL);
	lbctl_ok("detach", NAME_63, NULL);
	lbctl_run(&output, "detach", NAME_63, NULL);
	assert_int_equal(output.status, 3);
	output_free(&output);
}

/* --replace takes a foreign program's group over for good. */
static void test_replace(void **state)
{
	static struct show show;

	(void)state;
	lbctl_ok("attach", "--name", "mine", "--replace", ":8084", NULL);
	show_read("mine", &show);
	assert_int_equal(show.nr_workers, 2);
	lbctl_ok("attach", "--name", "mine", ":8084", NULL);
	lbctl_ok("detach", "mine", NULL);
}

#define bad_test(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		bad_test(test_what_cannot_be_steered),
		bad_test(test_mptcp),
		bad_test(test_addresses),
		bad_test(test_names),
		bad_test(test_unknown),
		bad_test(test_workers_and_weights),
		bad_test(test_no_name_with_two_services),
		bad_test(test_names_that_work),
		bad_test(test_replace),
	};

	(void)argc;
	return harness_run(argv[0], tests);
}
