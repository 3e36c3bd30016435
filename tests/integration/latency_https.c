// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What latency=on takes for a request and for an answer, of servers that know nothing of it. */
#include "harness/commands.h"
#include "harness/measured.h"
#include "harness/runs.h"
#include "harness/servers.h"
#include "harness/world.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "lb_latency.h"
#include "service/latency.h"

#define MS 1000000ULL
#define KEY HARNESS_DIR "/key.pem"
#define CERTIFICATE HARNESS_DIR "/cert.pem"

static void make_certificate(void)
{
	command_ok("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
		   "-subj", "/CN=test", "-keyout", KEY, "-out", CERTIFICATE, NULL);
}

static const struct row {
	const char *name, *listen, *protocol;
	unsigned int connections, requests;
	const char *const argv[8];
} rows[] = {
	{ "TLS 1.3, a connection each",
	  "ssl",
	  "TLSv1.3",
	  20,
	  20,
	  { "curl", "-sk", "-H", "Connection: close", "https://127.0.0.1:8080/[1-20]" } },
	{ "TLS 1.3, kept",
	  "ssl",
	  "TLSv1.3",
	  1,
	  20,
	  { "curl", "-sk", "https://127.0.0.1:8080/[1-20]" } },
	{ "TLS 1.2, a connection each",
	  "ssl",
	  "TLSv1.2",
	  20,
	  20,
	  { "curl", "-sk", "-H", "Connection: close", "https://127.0.0.1:8080/[1-20]" } },
	{ "TLS 1.2, kept",
	  "ssl",
	  "TLSv1.2",
	  1,
	  20,
	  { "curl", "-sk", "https://127.0.0.1:8080/[1-20]" } },
	{ "no request at all",
	  "ssl",
	  "TLSv1.3",
	  1,
	  0,
	  { "openssl", "s_client", "-connect", "127.0.0.1:8080" } },
	{ "deferred, a connection each",
	  "deferred",
	  "TLSv1.3",
	  20,
	  20,
	  { "curl", "-s", "-H", "Connection: close", "http://127.0.0.1:8080/[1-20]" } },
	{ "deferred, kept",
	  "deferred",
	  "TLSv1.3",
	  1,
	  20,
	  { "curl", "-s", "http://127.0.0.1:8080/[1-20]" } },
	{ "deferred, TLS 1.3, kept",
	  "ssl deferred",
	  "TLSv1.3",
	  1,
	  20,
	  { "curl", "-sk", "https://127.0.0.1:8080/[1-20]" } },
};

static void expect_row(const struct row *row)
{
	struct nginx nginx;
	struct output output;
	char listens[512];

	snprintf(listens, sizeof(listens),
		 "listen 8080 reuseport %s; listen 8081 reuseport; "
		 "ssl_certificate " CERTIFICATE "; ssl_certificate_key " KEY "; ssl_protocols %s;",
		 row->listen, row->protocol);
	nginx_start(&nginx, listens, "127.0.0.1", 8081);
	lbctl_ok("attach", "--name", "web", "--policy", "rr", ":8080", NULL);
	lbctl_ok("set", "web", "latency=on", NULL);
	command_run(&output, row->argv, COMMAND_MS);
	if (output.status)
		fail_msg("%s: %s", row->name, output.err);
	output_free(&output);
	wait_until(MEASURED("web", lifetime) >= row->connections, RUN_MS);
	if (MEASURED("web", first_byte) != row->requests)
		fail_msg("%s: %lu answers, want %u", row->name,
			 (unsigned long)MEASURED("web", first_byte), row->requests);
	assert_int_equal(MEASURED("web", wait), row->connections);
	lbctl_ok("detach", "web", NULL);
	nginx_stop(&nginx);
}

/*
 * nginx by HTTPS: neither the handshake nor the tickets of TLS 1.3 pass for a request or an answer,
 * on connections for one request and on kept ones. A request, or a TLS hello, that comes with the
 * end of TCP's handshake (TCP_DEFER_ACCEPT) is found as well.
 */
static void test_requests_and_answers(void **state)
{
	(void)state;
	needs_latency();
	make_certificate();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		expect_row(&rows[i]);
}

/* --- flights that a server or client seldom has --- */

static struct run run;

/* The server is worker 0, and takes 50 ms for an answer. */
static void flights_start(char program[PATH_MAX])
{
	needs_latency();
	needs(bind_setsockopt);
	make_certificate();
	assert_non_null(
		realpath(harness_build_path("../tests/integration/tls_flights.py"), program));
	run_start(&run, "web", "-n", "1", "--", "python3", program, "serve", "8080", "50",
		  CERTIFICATE, KEY, NULL);
	run_expect_up(&run, 1);
	lbctl_ok("set", "web", "latency=on", NULL);
}

/*
 * A session of TLS 1.2 that is taken up again has one record of a handshake in the client's second
 * flight, which is sealed, and each value of its first byte is as likely: also that of a hello.
 */
static void test_sealed_like_a_hello(void **state)
{
	char program[PATH_MAX];

	(void)state;
	flights_start(program);
	command_ok("python3", program, "like_hello", "8080", NULL);
	wait_until(MEASURED("web", first_byte) == 1, RUN_MS);
	run_stop(&run);
}

/* Tickets that are sent after the request has come are no answer, however many there are. */
static void test_tickets_after_the_request(void **state)
{
	static struct lb_latency sums[MEASURED_WORKERS];
	char program[PATH_MAX];

	(void)state;
	flights_start(program);
	command_ok("python3", program, "at_once", "8080", "10", NULL);
	measured_expect("web", 10, 10);
	measured_read("web", sums);
	assert_true(latency_quantile(&sums[0].first_byte, 0) >= 50 * MS);
	run_stop(&run);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_requests_and_answers),
		runs_test(test_sealed_like_a_hello),
		runs_test(test_tickets_after_the_request),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
