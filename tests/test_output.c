// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Lines for readers that are slow, stop, or go away; and the events that those lines tell. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "keeper/event_log.h"
#include "keeper/output.h"

#define LINES 400
#define LINE_BYTES 1000 /* all of them are more than a pipe and the output's own bytes */

static sd_event *loop;

static int open_loop(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	return sd_event_new(&loop) < 0;
}

static int close_loop(void **state)
{
	(void)state;
	loop = sd_event_unref(loop);
	return 0;
}

static void run_all(void)
{
	while (sd_event_run(loop, 0) > 0)
		continue;
}

/* --- a reader that stops --- */

static void say_lines(struct output *output)
{
	char line[LINE_BYTES + 1];

	for (unsigned int i = 0; i < LINES; i++) {
		memset(line, 'a' + i % 26, LINE_BYTES);
		line[snprintf(line, sizeof(line), "%u", i)] = ' ';
		line[LINE_BYTES] = '\0';
		output_line(output, line);
	}
}

/* All that comes while the loop runs, in pieces that end within a line; to be freed. */
static char *read_all(int fd)
{
	size_t room = 2 * LINES * LINE_BYTES, len = 0;
	char *text = calloc(1, room);
	ssize_t n;

	assert_non_null(text);
	do {
		run_all();
		n = read(fd, text + len, 777);
		if (n > 0)
			len += n;
		assert_true(len + 777 < room);
	} while (n > 0);
	return text;
}

/* Each line is whole and in its place, or among those that are counted. */
static void expect_lines(char *text, unsigned int *lines, unsigned int *dropped)
{
	char *line;

	*lines = *dropped = 0;
	while ((line = strsep(&text, "\n")) && *line) {
		unsigned int more = 0;

		if (sscanf(line, "%u line", &more) == 1 && strstr(line, "dropped")) {
			*dropped += more;
			continue;
		}
		check("number", line, strtoul(line, NULL, 10), *lines + *dropped);
		check("bytes", "of a line", strlen(line), LINE_BYTES);
		++*lines;
	}
}

static void stop_reading(int writer, int reader)
{
	struct output *output = output_open(loop, writer);
	unsigned int lines, dropped;
	char *text;

	assert_non_null(output);
	assert_int_equal(fcntl(reader, F_SETFL, O_NONBLOCK), 0);
	say_lines(output);
	assert_false(fcntl(writer, F_GETFL) & O_NONBLOCK);
	text = read_all(reader);
	expect_lines(text, &lines, &dropped);
	free(text);
	check("lines", "told or counted", lines + dropped, LINES);
	assert_in_range(dropped, 1, LINES - 65);
	output_line(output, "again");
	text = read_all(reader);
	assert_string_equal(text, "again\n");
	free(text);
	output_close(output);
	assert_false(fcntl(writer, F_GETFL) & O_NONBLOCK);
	close(writer);
	close(reader);
}

static void test_pipe_that_nobody_reads(void **state)
{
	int ends[2];

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	stop_reading(ends[1], ends[0]);
}

/* As a service manager's journal is. */
static void test_socket_that_nobody_reads(void **state)
{
	int ends[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	stop_reading(ends[1], ends[0]);
}

/* --- a reader that goes, another place --- */

static void test_reader_is_gone(void **state)
{
	struct output *output;
	int ends[2];

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	output = output_open(loop, ends[1]);
	close(ends[0]);
	say_lines(output);
	run_all();
	output_close(output);
	close(ends[1]);
	output_line(NULL, "nobody");
	output_reopen(NULL);
	output_close(NULL);
}

/* What waits goes to where the descriptor leads then. */
static void test_reopened(void **state)
{
	struct output *output;
	int ends[2], other[2];
	char *text;

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(pipe2(other, O_CLOEXEC | O_NONBLOCK), 0);
	output = output_open(loop, ends[1]);
	say_lines(output);
	assert_int_equal(dup2(other[1], ends[1]), ends[1]);
	output_reopen(output);
	text = read_all(other[0]);
	assert_non_null(strstr(text, "lines were dropped here"));
	assert_non_null(strstr(text, "zzzz\n"));
	free(text);
	output_close(output);
	for (int i = 0; i < 2; i++) {
		close(ends[i]);
		close(other[i]);
	}
}

/* The workers', which have the same descriptor. */
static void test_file_has_all_lines(void **state)
{
	int fd = memfd_create("output", MFD_CLOEXEC);
	struct output *output = output_open(loop, fd);
	char text[64] = "";

	(void)state;
	assert_non_null(output);
	assert_int_equal(write(fd, "one\n", 4), 4);
	output_line(output, "two");
	assert_int_equal(write(fd, "three\n", 6), 6);
	output_line(output, "four");
	assert_int_equal(pread(fd, text, sizeof(text) - 1, 0), 19);
	assert_string_equal(text, "one\ntwo\nthree\nfour\n");
	output_close(output);
	close(fd);
}

/* --- events --- */

static int saved_stdout = -1, events_fd = -1;

/* The log writes to standard output, and so does cmocka. */
static struct event_log *begin_log(void)
{
	struct event_log *log;

	fflush(stdout);
	saved_stdout = dup(STDOUT_FILENO);
	events_fd = memfd_create("events", MFD_CLOEXEC);
	assert_int_equal(dup2(events_fd, STDOUT_FILENO), STDOUT_FILENO);
	log = event_log_open(loop);
	assert_int_equal(dup2(saved_stdout, STDOUT_FILENO), STDOUT_FILENO);
	close(saved_stdout);
	assert_non_null(log);
	return log;
}

static void end_log(struct event_log *log)
{
	event_log_close(log);
	close(events_fd);
}

static json_int_t number_of(const struct event_log *log, size_t i, const char *key)
{
	return json_integer_value(json_object_get(json_array_get(event_log_recent(log), i), key));
}

static const char *text_of(const struct event_log *log, size_t i, const char *key)
{
	return json_string_value(json_object_get(json_array_get(event_log_recent(log), i), key));
}

static void count(void *arg)
{
	++*(unsigned int *)arg;
}

static void test_last_events_are_kept(void **state)
{
	struct event_log *log = begin_log();
	unsigned int followed = 0;

	(void)state;
	check("events", "none yet", json_array_size(event_log_recent(log)), 0);
	event_tell(log, "first", NULL, "nobody follows");
	event_log_follow(log, count, &followed);
	for (int i = 2; i <= 300; i++)
		event_tell(log, "next", json_pack("{s:i}", "number", i), "%d", i);
	check("followed", "each event", followed, 299);
	check("events", "that are kept", json_array_size(event_log_recent(log)), 256);
	for (size_t i = 0; i < 256; i++) {
		check("seq", "without gaps", number_of(log, i, "seq"), 45 + i);
		check("number", "its own", number_of(log, i, "number"), 45 + i);
	}
	assert_string_equal(text_of(log, 255, "text"), "300");
	event_log_print(log, "no event");
	check("followed", "a line that is none", followed, 299);
	check("seq", "a line that is none", number_of(log, 255, "seq"), 300);
	end_log(log);
	event_log_close(NULL);
}

static void test_event_of_a_worker(void **state)
{
	struct event_log *log = begin_log();
	char line[1200] = "", words[1100];

	(void)state;
	memset(words, 'x', sizeof(words) - 1);
	words[sizeof(words) - 1] = '\0';
	event_tell_worker(log, "exit", 3, 4711, json_pack("{s:i}", "status", 9), "ended: %s",
			  words);
	assert_string_equal(text_of(log, 0, "event"), "exit");
	check("worker", "its number", number_of(log, 0, "worker"), 3);
	check("pid", "its process", number_of(log, 0, "pid"), 4711);
	check("status", "a detail", number_of(log, 0, "status"), 9);
	check("text", "is cut", strlen(text_of(log, 0, "text")), 1023);
	assert_int_equal(pread(events_fd, line, sizeof(line) - 1, 0), strlen("12:00:00 ") + 1024);
	assert_memory_equal(line + strlen("12:00:00 "), "worker 3 (pid 4711) ended: xx", 29);
	end_log(log);
}

#define with_loop(test) cmocka_unit_test_setup_teardown(test, open_loop, close_loop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_loop(test_pipe_that_nobody_reads), with_loop(test_socket_that_nobody_reads),
		with_loop(test_reader_is_gone),		with_loop(test_reopened),
		with_loop(test_file_has_all_lines),	with_loop(test_last_events_are_kept),
		with_loop(test_event_of_a_worker),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
