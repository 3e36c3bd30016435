/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What lb-bench reads: output of siege 4.0.7, wrk 4.1.0 and ab 2.3, and lists of services. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <stdbool.h>

/* a tool is one program and no library */
#include "../tools/bench/capture.c"
#include "../tools/bench/cmd.c"
#include "../tools/bench/served.c"
#include "../tools/bench/tool.c"

#define SIZE(array) (sizeof(array) / sizeof((array)[0]))

/* of client.c, which nothing else here needs */
uint64_t client_now_ns(void)
{
	return 0;
}

static const char ours[] = "{\n"
			   "  \"transactions\": 1660,\n"
			   "  \"availability\": 99.8,\n"
			   "  \"response_ms\": 12.08666,\n"
			   "  \"transaction_rate\": 1635.357,\n"
			   "  \"failed\": 3,\n"
			   "  \"percentiles_ms\": {\n"
			   "    \"p50\": 9.936895,\n"
			   "    \"p99\": 99.81133\n"
			   "  }\n"
			   "}\n";

static const char siege[] = "\n"
			    "{\t\"transactions\":\t\t\t        3077,\n"
			    "\t\"availability\":\t\t\t       75.01,\n"
			    "\t\"elapsed_time\":\t\t\t        0.97,\n"
			    "\t\"data_transferred\":\t\t        0.01,\n"
			    "\t\"response_time\":\t\t        0.00,\n"
			    "\t\"transaction_rate\":\t\t     3172.16,\n"
			    "\t\"throughput\":\t\t\t        0.01,\n"
			    "\t\"concurrency\":\t\t\t        7.79,\n"
			    "\t\"successful_transactions\":\t        3077,\n"
			    "\t\"failed_transactions\":\t\t        1025,\n"
			    "\t\"longest_transaction\":\t\t        0.02,\n"
			    "\t\"shortest_transaction\":\t\t        0.00\n"
			    "}\n";
static const char wrk[] = "Running 1s test @ http://127.0.0.1:8080/\n"
			  "  1 threads and 20 connections\n"
			  "  Thread Stats   Avg      Stdev     Max   +/- Stdev\n"
			  "    Latency     2.56ms    2.72ms  16.59ms   84.89%\n"
			  "    Req/Sec     5.12k     2.72k    8.29k    60.00%\n"
			  "  Latency Distribution\n"
			  "     50%    1.54ms\n"
			  "     75%    2.27ms\n"
			  "     90%    6.74ms\n"
			  "     99%   11.29s\n"
			  "  5201 requests in 1.05s, 669.36KB read\n"
			  "Requests/sec:   4952.03\n"
			  "Transfer/sec:    637.32KB\n";
static const char wrk_bad[] = "Running 1s test @ http://127.0.0.1:8080/\n"
			      "  1 threads and 8 connections\n"
			      "  Thread Stats   Avg      Stdev     Max   +/- Stdev\n"
			      "    Latency   477.00us    5.72ms  39.32ms   88.02%\n"
			      "    Req/Sec     2.34k     1.39k    4.96k    70.00%\n"
			      "  Latency Distribution\n"
			      "     50%  251.00us\n"
			      "     75%    5.45ms\n"
			      "     90%   11.89ms\n"
			      "     99%   28.32ms\n"
			      "  2365 requests in 1.01s, 233.84KB read\n"
			      "  Socket errors: connect 1, read 2, write 3, timeout 4\n"
			      "  Non-2xx or 3xx responses: 591\n"
			      "Requests/sec:   2337.79\n"
			      "Transfer/sec:    231.15KB\n";
static const char ab[] =
	"Percentage served,Time in ms\n"
	"0,1.890\n"
	"1,2.166\n"
	"50,5.123\n"
	"99,16.789\n"
	"This is ApacheBench, Version 2.3 <$Revision$>\n"
	"Copyright 1996 Adam Twiss, Zeus Technology Ltd, http://www.zeustech.net/\n"
	"Licensed to The Apache Software Foundation, http://www.apache.org/\n"
	"\n"
	"Benchmarking 127.0.0.1 (be patient).....done\n"
	"\n"
	"\n"
	"Server Software:        \n"
	"Server Hostname:        127.0.0.1\n"
	"Server Port:            8080\n"
	"\n"
	"Document Path:          /\n"
	"Document Length:        35 bytes\n"
	"\n"
	"Concurrency Level:      20\n"
	"Time taken for tests:   1.002 seconds\n"
	"Complete requests:      3554\n"
	"Failed requests:        0\n"
	"Total transferred:      469128 bytes\n"
	"HTML transferred:       124390 bytes\n"
	"Requests per second:    3545.51 [#/sec] (mean)\n"
	"Time per request:       5.641 [ms] (mean)\n"
	"Time per request:       0.282 [ms] (mean, across all concurrent requests)\n"
	"Transfer rate:          457.04 [Kbytes/sec] received\n"
	"\n"
	"Connection Times (ms)\n"
	"              min  mean[+/-sd] median   max\n"
	"Connect:        0    2   2.3      1      14\n"
	"Processing:     0    3   3.1      2      16\n"
	"Waiting:        0    2   1.9      1      15\n"
	"Total:          2    6   3.4      5      22\n"
	"\n"
	"Percentage of the requests served within a certain time (ms)\n"
	"  50%      5\n"
	"  66%      7\n"
	"  75%      8\n"
	"  80%      9\n"
	"  90%     10\n"
	"  95%     12\n"
	"  98%     14\n"
	"  99%     16\n"
	" 100%     22 (longest request)\n";
static const char ab_bad[] =
	"Percentage served,Time in ms\n"
	"0,1.890\n"
	"1,2.166\n"
	"50,0.803\n"
	"99,12.014\n"
	"\n"
	"\n"
	"Server Software:        \n"
	"Server Hostname:        127.0.0.1\n"
	"Server Port:            8080\n"
	"\n"
	"Document Path:          /\n"
	"Document Length:        Variable\n"
	"\n"
	"Concurrency Level:      8\n"
	"Time taken for tests:   1.002 seconds\n"
	"Complete requests:      5306\n"
	"Failed requests:        2\n"
	"   (Connect: 0, Receive: 1, Length: 0, Exceptions: 1)\n"
	"Non-2xx responses:      1328\n"
	"Total transferred:      436909 bytes\n"
	"HTML transferred:       15933 bytes\n"
	"Requests per second:    5295.42 [#/sec] (mean)\n"
	"Time per request:       1.511 [ms] (mean)\n"
	"Time per request:       0.189 [ms] (mean, across all concurrent requests)\n"
	"Transfer rate:          425.82 [Kbytes/sec] received\n"
	"\n"
	"Connection Times (ms)\n"
	"              min  mean[+/-sd] median   max\n"
	"Connect:        0    0   0.4      0       7\n"
	"Processing:     0    1   2.1      1      22\n"
	"Waiting:        0    1   2.1      0      22\n"
	"Total:          0    1   2.2      1      22\n"
	"\n"
	"Percentage of the requests served within a certain time (ms)\n"
	"  50%      1\n"
	"  66%      1\n"
	"  75%      1\n"
	"  80%      1\n"
	"  90%      3\n"
	"  95%      5\n"
	"  98%      9\n"
	"  99%     12\n"
	" 100%     22 (longest request)\n";

static const struct row {
	const char *name, *output;
	size_t tool;
	double rate, mean_ms, p50_ms, p99_ms, requests, failed; /* NAN: it does not say */
} rows[] = {
	{ "lb-bench", ours, 0, 1635.357, 12.08666, 9.936895, 99.81133, 1660, 3 },
	{ "siege", siege, 1, 3172.16, 7.79 / 3172.16 * 1e3, NAN, NAN, 3077, 1025 },
	{ "wrk", wrk, 2, 4952.03, 2.56, 1.54, 11290, 5201, 0 },
	{ "wrk, failures", wrk_bad, 2, 2337.79 * (1 - 591.0 / 2365), 0.477, 0.251, 28.32,
	  2365 - 591, 591 + 1 + 2 + 3 + 4 },
	{ "ab", ab, 3, 3545.51, 5.641, 5.123, 16.789, 3554, 0 },
	{ "ab, failures", ab_bad, 3, 5295.42 * (1 - 1330.0 / 5306), 1.511, 0.803, 12.014,
	  5306 - 1330, 1330 },
};

static void expect(const char *name, const char *figure, double got, double want)
{
	if (isnan(want) ? !isnan(got) : !(fabs(got - want) <= 1e-9 * want))
		fail_msg("%s, %s: %g, want %g", name, figure, got, want);
}

static void test_output_of_tools(void **state)
{
	double figures[TOOL_FIGURE_COUNT];

	(void)state;
	for (size_t i = 0; i < SIZE(rows); i++) {
		const struct row *row = &rows[i];

		if (tools[row->tool].parse(row->output, figures))
			fail_msg("%s: refused", row->name);
		expect(row->name, "rate", figures[TOOL_RATE], row->rate);
		expect(row->name, "mean", figures[TOOL_MEAN], row->mean_ms);
		expect(row->name, "p50", figures[TOOL_P50], row->p50_ms);
		expect(row->name, "p99", figures[TOOL_P99], row->p99_ms);
		expect(row->name, "requests", figures[TOOL_REQUESTS], row->requests);
		expect(row->name, "failed", figures[TOOL_FAILED], row->failed);
	}
}

static void test_other_output_is_refused(void **state)
{
	static const char *const outputs[] = {
		"",
		"\n",
		"{",
		"{}",
		"[1]",
		"{ \"transactions\": \"many\" }",
		"unable to connect to 127.0.0.1:8090 Connection refused\n",
		"Requests/sec:   \n",
		"Requests per second:    [#/sec] (mean)\n",
	};
	double figures[TOOL_FIGURE_COUNT];

	(void)state;
	for (size_t tool = 0; tool < TOOL_COUNT; tool++) {
		for (size_t i = 0; i < SIZE(outputs); i++) {
			if (tools[tool].parse(outputs[i], figures) != -EBADMSG)
				fail_msg("%s took '%s'", tools[tool].name, outputs[i]);
		}
	}
}

static void test_every_unit_of_wrk(void **state)
{
	static const struct {
		const char *text;
		double ms;
	} times[] = { { "L 250.00us", 0.25 }, { "L 1.50ms", 1.5 },
		      { "L 2.00s", 2000 },    { "L 1.00m", 60000 },
		      { "L 0.50h", 1800e3 },  { "L 3", NAN },
		      { "L ms", NAN },	      { "", NAN } };

	(void)state;
	for (size_t i = 0; i < SIZE(times); i++)
		expect("wrk", times[i].text, wrk_ms(times[i].text, "L "), times[i].ms);
}

#define SERVICE(name, workers, listeners)                                                          \
	"{\"service\": \"" name "\", \"workers\": " workers ", \"listeners\": [" listeners "]}"

static void test_the_service_behind_an_address(void **state)
{
	/* clang-format off */
	static const char list[] = "["
		SERVICE("dns", "9", "\"udp/0.0.0.0:8080\"") ","
		SERVICE("other", "8", "\"0.0.0.0:81\", \"[::]:81\"") ","
		SERVICE("one", "3", "\"127.0.0.2:8080\"") ","
		SERVICE("web", "4", "\"0.0.0.0:8080\"") ","
		SERVICE("six", "5", "\"[::]:8086\"") ","
		SERVICE("lo6", "6", "\"[::1]:8087\"") ","
		"{\"service\": \"odd\", \"policy\": \"unknown\", \"workers\": 0, "
		"\"error\": \"x\"}]";
	/* clang-format on */
	static const struct {
		const char *host;
		uint16_t port;
		const char *service;
		unsigned int workers;
	} targets[] = {
		{ "127.0.0.1", 8080, "web", 4 }, { "127.0.0.2", 8080, "one", 3 },
		{ "127.0.0.1", 81, "other", 8 }, { "::1", 81, "other", 8 },
		{ "::1", 8080, "", 0 },		 { "127.0.0.1", 8086, "six", 5 },
		{ "::1", 8087, "lo6", 6 },	 { "127.0.0.1", 8087, "", 0 },
		{ "127.0.0.1", 80, "", 0 },
	};

	(void)state;
	for (size_t i = 0; i < SIZE(targets); i++) {
		struct target target = { 0 };
		struct sockaddr_in6 *six = (struct sockaddr_in6 *)&target.addr;
		struct sockaddr_in *four = (struct sockaddr_in *)&target.addr;
		struct served served;

		if (inet_pton(AF_INET, targets[i].host, &four->sin_addr) == 1) {
			four->sin_family = AF_INET;
			four->sin_port = htons(targets[i].port);
		} else {
			assert_int_equal(inet_pton(AF_INET6, targets[i].host, &six->sin6_addr), 1);
			six->sin6_family = AF_INET6;
			six->sin6_port = htons(targets[i].port);
		}
		served_read(list, &target, &served);
		if (strcmp(served.service, targets[i].service) ||
		    served.workers != targets[i].workers)
			fail_msg("%s, port %u: '%s' with %u workers, want '%s' with %u",
				 targets[i].host, targets[i].port, served.service, served.workers,
				 targets[i].service, targets[i].workers);
		served_read("lbctl: no", &target, &served);
		assert_int_equal(served.workers, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_output_of_tools),
		cmocka_unit_test(test_other_output_is_refused),
		cmocka_unit_test(test_every_unit_of_wrk),
		cmocka_unit_test(test_the_service_behind_an_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
