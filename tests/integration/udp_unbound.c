// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* unbound under dnsperf: with threads that have a UDP socket each, and as N processes. */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/counters.h"
#include "harness/maps.h"
#include "harness/runs.h"
#include "harness/show.h"
#include "harness/world.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "host/sockdiag.h"

#define THREADS 4
#define PORT 5300
#define QUERIES 2000
#define CONF HARNESS_DIR "/unbound.conf"
#define NAMES HARNESS_DIR "/names"

static struct show show;

static size_t sockets(void)
{
	struct sockdiag_list list;
	size_t n;

	assert_int_equal(sockdiag_listeners(LB_PROTO_UDP, PORT, &list), 0);
	n = list.count;
	sockdiag_free(&list);
	return n;
}

static void write_files(const char *threads, const char *reuseport)
{
	char conf[1024];
	FILE *names;

	snprintf(
		conf, sizeof(conf),
		"server:\n num-threads: %s\n so-reuseport: %s\n interface: 127.0.0.1@5300\n"
		" do-daemonize: no\n do-tcp: no\n chroot: \"\"\n directory: \"\"\n username: \"\"\n"
		" pidfile: \"\"\n use-syslog: no\n module-config: \"iterator\"\n"
		" local-zone: \"test.\" static\n"
		" local-data: \"a.test. A 192.0.2.1\"\n"
		"remote-control:\n control-enable: no\n",
		threads, reuseport);
	file_write(CONF, conf);
	names = fopen(NAMES, "w");
	assert_non_null(names);
	for (int i = 0; i < QUERIES; i++)
		fputs("a.test A\n", names);
	fclose(names);
}

static void unbound_start(struct job *unbound)
{
	static const char *const argv[] = { "unbound", "-d", "-c", CONF, NULL };

	write_files("4", "yes");
	job_start(unbound, argv, 60000);
	wait_until(sockets() == THREADS, 10000);
	lbctl_ok("attach", "--name", "dns", "udp/:5300", NULL);
}

static void expect_none_lost(const struct output *output)
{
	if (output->status || !strstr(output->out, "Queries lost:         0 (0.00%)"))
		fail_msg("dnsperf: %s%s", output->out, output->err);
}

/* So many queries, one after another in a way, from each of `clients` sockets. */
static void query(const char *clients)
{
	const char *const argv[] = { "dnsperf", "-s", "127.0.0.1", "-p", "5300", "-d",	  NAMES,
				     "-n",	"1",  "-q",	   "20", "-c",	 clients, NULL };
	struct output output;

	command_run(&output, argv, 60000);
	expect_none_lost(&output);
	assert_non_null(strstr(output.out, "2000 (100.00%)"));
	output_free(&output);
}

/*
 * 1. rr: even to the datagram, 0 lost, whatever the clients
 * 2. flows: a client's queries stay with the thread that had its first
 */
static void test_dnsperf(void **state)
{
	struct job unbound;
	struct counters before;
	struct output output;

	(void)state;
	unbound_start(&unbound);
	show_read("dns", &show);
	assert_int_equal(show.nr_workers, THREADS);
	counters_read("dns", &before);
	query("1");
	query("8");
	counters_expect("dns", &before, .cursor = 4000, .selected = { 1000, 1000, 1000, 1000 });

	lbctl_ok("set", "dns", "flow_ms=600000", NULL);
	counters_read("dns", &before);
	query("8");
	counters_expect("dns", &before, .cursor = 8, .kept = 1992,
			.selected = { 500, 500, 500, 500 });
	kill(unbound.pid, SIGTERM);
	job_wait(&unbound, &output);
	output_free(&output);
}

/* Queries at a rate until it is told to end. */
static void stream_start(struct job *job)
{
	static const char *const argv[] = { "dnsperf", "-s",  "127.0.0.1", "-p", "5300",
					    "-d",      NAMES, "-l",	   "60", "-Q",
					    "300",     "-c",  "4",	   NULL };

	job_start(job, argv, 90000);
}

/*
 * One thread each, and without so-reuseport: four processes share a port that each binds for
 * itself.
 * 1. rr: even to the datagram
 * 2. a reload, 4 -> 6 -> 2, under a stream: 0 lost
 */
static void test_run(void **state)
{
	static struct run run;
	struct counters before;
	struct output output;
	struct job stream;

	(void)state;
	needs(bind_setsockopt);
	write_files("1", "no");
	run_start(&run, "dns", "-n", "4", "--port", "udp/5300", "--", "unbound", "-d", "-c", CONF,
		  NULL);
	run_expect_up(&run, 4);
	stalls_forgive();
	counters_read("dns", &before);
	query("1");
	query("8");
	counters_expect("dns", &before, .cursor = 4000, .selected = { 1000, 1000, 1000, 1000 });

	stream_start(&stream);
	lbctl_ok("reload", "dns", NULL);
	lbctl_ok("scale", "dns", "6", NULL);
	lbctl_ok("scale", "dns", "2", NULL);
	kill(stream.pid, SIGINT);
	job_wait(&stream, &output);
	expect_none_lost(&output);
	output_free(&output);
	run_stop(&run);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_dnsperf),
		runs_test(test_run),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
