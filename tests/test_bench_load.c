/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The load generator's input: command lines, URLs, and answers in any split. */
#include <stdlib.h>
#include <string.h>

/* a tool is one program and no library */
#include "check.h"
#include "../tools/bench/answer.c"
#include "../tools/bench/load_options.c"
#include "../tools/bench/options.c"
#include "../tools/bench/target.c"

#define SIZE(array) (sizeof(array) / sizeof((array)[0]))
#define OK "HTTP/1.1 200 OK\r\n"

static const struct {
	const char *text;
	enum answer_state state; /* at its end, before the connection's */
	int status;
	bool keep_alive;
	uint64_t body_bytes;
	const char *worker;
} answers[] = {
	{ OK "Content-Length: 0\r\n\r\n", ANSWER_DONE, 200, true, 0, "" },
	{ OK "X-Worker: 3\r\nContent-Length: 2\r\n\r\nhi", ANSWER_DONE, 200, true, 2, "3" },
	{ OK "x-worker:\t 3 \r\ncontent-length: 2\r\n\r\nhi", ANSWER_DONE, 200, true, 2, "3" },
	{ OK "Connection: close\r\nContent-Length: 2\r\n\r\nhi", ANSWER_DONE, 200, false, 2, "" },
	{ "HTTP/1.0 200 OK\nContent-Length: 2\n\nhi", ANSWER_DONE, 200, false, 2, "" },
	{ "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nhi", ANSWER_DONE,
	  200, true, 2, "" },
	{ OK "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\na;x=y\r\n0123456789\r\n0\r\n\r\n",
	  ANSWER_DONE, 200, true, 13, "" },
	{ OK "Transfer-Encoding: chunked\r\n\r\n0\r\nTrailer: x\r\n\r\n", ANSWER_DONE, 200, true, 0,
	  "" },
	{ "HTTP/1.1 100 Continue\r\n\r\n" OK "Content-Length: 1\r\n\r\nx", ANSWER_DONE, 200, true,
	  1, "" },
	{ "HTTP/1.1 204 No Content\r\n\r\n", ANSWER_DONE, 204, true, 0, "" },
	{ "HTTP/1.1 503 Busy\r\nContent-Length: 1\r\n\r\nx", ANSWER_DONE, 503, true, 1, "" },
	{ OK "\r\nno end", ANSWER_TO_END, 200, false, 6, "" },
	{ OK "Content-Length: 5\r\n\r\nhi", ANSWER_LENGTH, 200, true, 2, "" },
	{ OK "Content-Length: -1\r\n\r\n", ANSWER_BAD, 200, true, 0, "" },
	{ OK "Transfer-Encoding: chunked\r\n\r\nxyz\r\n", ANSWER_BAD, 200, true, 0, "" },
	{ OK "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", ANSWER_BAD, 200, true, 1, "" },
	{ OK "Transfer-Encoding: chunked\r\n\r\n-ffffffffffffffff\r\n", ANSWER_BAD, 200, true, 0,
	  "" },
	{ OK "Transfer-Encoding: chunked\r\n\r\n0x1\r\n", ANSWER_BAD, 200, true, 0, "" },
	{ OK "Transfer-Encoding: chunked\r\n\r\n1 ;x=y\r\na\r\n", ANSWER_CHUNK_SIZE, 200, true, 1,
	  "" },
	{ "SSH-2.0-OpenSSH\r\n", ANSWER_BAD, 0, false, 0, "" },
	{ "HTTP/2 200\r\n", ANSWER_BAD, 0, false, 0, "" },
	{ "HTTP/1.1 59999 x\r\n\r\n", ANSWER_BAD, 0, false, 0, "" },
	{ "HTTP/1.1 2ab x\r\n\r\n", ANSWER_BAD, 0, false, 0, "" },
	{ "HTTP/1.1 9\r\n", ANSWER_BAD, 0, false, 0, "" },
	{ "", ANSWER_STATUS_LINE, 0, false, 0, "" },
};

/* In pieces of so many bytes. Returns how many were taken. */
static size_t feed(struct answer *answer, const char *text, size_t piece)
{
	size_t len = strlen(text), used = 0, taken = 1;

	*answer = (struct answer){ 0 };
	while (used < len && taken) {
		size_t part = len - used < piece ? len - used : piece;

		taken = answer_feed(answer, text + used, part, "X-Worker");
		used += taken;
	}
	return used;
}

static void test_answers_in_any_split(void **state)
{
	struct answer answer;

	(void)state;
	for (size_t i = 0; i < SIZE(answers); i++) {
		for (size_t piece = 1; piece <= strlen(answers[i].text) + 1; piece++) {
			feed(&answer, answers[i].text, piece);
			if (answer.state != answers[i].state ||
			    answer.status != answers[i].status ||
			    answer.body_bytes != answers[i].body_bytes ||
			    strcmp(answer.worker, answers[i].worker) ||
			    (answer.state == ANSWER_DONE &&
			     answer.keep_alive != answers[i].keep_alive))
				fail_msg("row %zu in pieces of %zu: state %d, status %d, %llu "
					 "bytes, worker '%s'",
					 i, piece, answer.state, answer.status,
					 (unsigned long long)answer.body_bytes, answer.worker);
			assert_int_equal(answer_begun(&answer), answers[i].text[0] != '\0');
		}
	}
}

static void test_end_of_a_connection(void **state)
{
	struct answer answer;

	(void)state;
	feed(&answer, OK "\r\nno end", 100);
	assert_true(answer_end(&answer));
	feed(&answer, OK "Content-Length: 5\r\n\r\nhi", 100);
	assert_false(answer_end(&answer));
	feed(&answer, OK, 100);
	assert_false(answer_end(&answer));
}

static void test_worker_from_the_body(void **state)
{
	struct answer answer;

	(void)state;
	feed(&answer, OK "Content-Length: 14\r\n\r\nworker 12 pid 7", 100);
	assert_string_equal(answer.worker, "12");
	feed(&answer, OK "X-Worker: a\r\nContent-Length: 14\r\n\r\nworker 12 pid 7", 100);
	assert_string_equal(answer.worker, "a");
	feed(&answer, OK "Content-Length: 11\r\n\r\nworkers all", 100);
	assert_string_equal(answer.worker, "");
}

static void test_a_long_field_is_no_trouble(void **state)
{
	static char text[5000];
	struct answer answer;

	(void)state;
	strcpy(text, OK "Cookie: ");
	memset(text + strlen(text), 'x', 4000);
	strcat(text, "\r\nX-Worker: 1\r\nContent-Length: 1\r\n\r\nyz");
	assert_int_equal(feed(&answer, text, 7), strlen(text) - 1);
	assert_int_equal(answer.state, ANSWER_DONE);
	assert_string_equal(answer.worker, "1");
}

static void test_urls(void **state)
{
	static const struct {
		const char *url, *host, *port, *path; /* host NULL = refused */
	} rows[] = {
		{ "http://127.0.0.1:8080/", "127.0.0.1", "8080", "" },
		{ "127.0.0.1:8080/a/b?c=d", "127.0.0.1", "8080", "a/b?c=d" },
		{ "HTTP://localhost", "localhost", "80", "" },
		{ "localhost/x?u=http://y", "localhost", "80", "x?u=http://y" },
		{ "http://[::1]:81/#part", "::1", "81", "" },
		{ "[::1]", "::1", "80", "" },
		{ "https://localhost/", NULL, NULL, NULL },
		{ "ftp://localhost/", NULL, NULL, NULL },
		{ "http://", NULL, NULL, NULL },
		{ "", NULL, NULL, NULL },
		{ ":80", NULL, NULL, NULL },
		{ "localhost:", NULL, NULL, NULL },
		{ "localhost:0", NULL, NULL, NULL },
		{ "localhost:65536", NULL, NULL, NULL },
		{ "localhost:80abc", NULL, NULL, NULL },
		{ "localhost?x", NULL, NULL, NULL },
		{ "[::1", NULL, NULL, NULL },
		{ "[::1]x", NULL, NULL, NULL },
		{ "me@localhost", NULL, NULL, NULL },
		{ "localhost/ POST a=b", NULL, NULL, NULL },
		{ "localhost/\r\nHost: x", NULL, NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < SIZE(rows); i++) {
		struct target_parts parts;
		struct trouble trouble = { 0 };
		char text[100];
		int status;

		strcpy(text, rows[i].url);
		status = target_split(text, &parts, &trouble);
		if (status != (rows[i].host ? EXIT_DONE : EXIT_USAGE))
			fail_msg("%s: status %d", rows[i].url, status);
		if (!rows[i].host)
			continue;
		assert_string_equal(parts.host, rows[i].host);
		assert_string_equal(parts.port, rows[i].port);
		assert_string_equal(parts.path, rows[i].path);
	}
}

#define MAX_ARGS 8

static int parse_with(struct load_options *options, const char *line, struct trouble *trouble)
{
	static char text[200];
	char *argv[MAX_ARGS + 2] = { "load" }, *rest = text;
	int argc = 1;

	strcpy(text, line);
	while (argc <= MAX_ARGS && (argv[argc] = strsep(&rest, " ")))
		argc++;
	argv[argc] = NULL;
	return load_options_parse(options, argc, argv, trouble);
}

static int parse(struct load_options *options, const char *line)
{
	struct trouble trouble = { 0 };

	return parse_with(options, line, &trouble);
}

static void test_command_lines_that_are_refused(void **state)
{
	static const char *const rows[] = {
		"-c 10",
		"-r 2 -t 10S u",
		"-t 10S -r 2 u",
		"-f file u",
		"--rate 10 u",
		"--rate 10 -r 2 u",
		"--rate 10 -t 1S -d 1 u",
		"--poisson u",
		"-c 0 u",
		"-c 65537 u",
		"-c x u",
		"-c -1 u",
		"-r 0 u",
		"-t 0 u",
		"-t 10X u",
		"-t S u",
		"-t 25H u",
		"-t 1.5S u",
		"-t 99999999999999999999S u",
		"-d -1 u",
		"-d 1e3 u",
		"--rate 0 -t 1S u",
		"--nonsense u",
		"u v",
		"u -c",
		"-bx u",
		"-bc",
		"--rate",
	};
	struct load_options options;

	(void)state;
	for (size_t i = 0; i < SIZE(rows); i++) {
		if (parse(&options, rows[i]) != EXIT_USAGE)
			fail_msg("'%s' was taken", rows[i]);
	}
}

/* The one letter that is wrong is named, wherever it stands. */
static void test_the_wrong_option_is_named(void **state)
{
	static const struct {
		const char *line, *want;
	} rows[] = {
		{ "-bx u", "unknown option '-x'; see lb-bench load --help" },
		{ "--nonsense u", "unknown option '--nonsense'; see lb-bench load --help" },
		{ "-bc", "no value after '-c'; see lb-bench load --help" },
		{ "--rate", "no value after '--rate'; see lb-bench load --help" },
		{ "-c 0 u", "-c: '0' is not a number from 1 to 65536" },
		{ "--timeout x u", "--timeout: 'x' is not a number from 1 to 3600000" },
	};
	struct load_options options;
	struct trouble trouble;

	(void)state;
	for (size_t i = 0; i < SIZE(rows); i++) {
		assert_int_equal(parse_with(&options, rows[i].line, &trouble), EXIT_USAGE);
		assert_string_equal(trouble.text, rows[i].want);
	}
}

static void test_command_lines(void **state)
{
	struct load_options options;

	(void)state;
	assert_int_equal(parse(&options, "u"), EXIT_DONE);
	assert_int_equal(options.plan.users, 25);
	assert_int_equal(options.plan.repetitions, 1);
	assert_int_equal(parse(&options, "-c 100 -r2 -d 1 u"), EXIT_DONE);
	assert_int_equal(options.plan.users, 100);
	assert_int_equal(options.plan.repetitions, 2);
	assert_true(options.plan.delay_s == 1);
	/* as with siege, in any order */
	assert_int_equal(parse(&options, "-b -d 1 -t2m u"), EXIT_DONE);
	assert_true(options.plan.delay_s == 0 && options.plan.seconds == 120);
	assert_int_equal(options.plan.repetitions, 0);
	assert_int_equal(parse(&options, "-t 10S -f file -i -k"), EXIT_DONE);
	assert_true(options.plan.seconds == 10 && options.plan.any_order);
	assert_true(options.plan.keep_alive && !strcmp(options.file, "file"));
	assert_int_equal(parse(&options, "-t 1 u"), EXIT_DONE);
	assert_true(options.plan.seconds == 60);
	assert_int_equal(parse(&options, "--rate 0.5 -t 1H u"), EXIT_DONE);
	assert_true(options.plan.rate == 0.5 && options.plan.seconds == 3600);
	assert_int_equal(options.plan.users, 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers_in_any_split),
		cmocka_unit_test(test_end_of_a_connection),
		cmocka_unit_test(test_worker_from_the_body),
		cmocka_unit_test(test_a_long_field_is_no_trouble),
		cmocka_unit_test(test_urls),
		cmocka_unit_test(test_command_lines_that_are_refused),
		cmocka_unit_test(test_the_wrong_option_is_named),
		cmocka_unit_test(test_command_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
