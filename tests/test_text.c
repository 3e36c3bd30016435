/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Bytes that someone else chose come out as text that does nothing to who reads it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/text.h"
#include "base/text_json.h"
#include "check.h"

#define BYTES(text) text, sizeof(text) - 1

static const struct {
	const char *name, *input;
	size_t n;
	const char *want;
} rows[] = {
	{ "nothing", BYTES(""), "" },
	{ "letters", BYTES("nginx: worker"), "nginx: worker" },
	{ "other letters", BYTES("gr\xc3\xbc\xc3\x9f \xe6\x97\xa5 \xf0\x9f\x98\x80"),
	  "gr\xc3\xbc\xc3\x9f \xe6\x97\xa5 \xf0\x9f\x98\x80" },
	{ "backslash", BYTES("a\\nb \\u001b"), "a\\nb \\u001b" },
	{ "tab", BYTES("\tat f (x.js:1)"), "\tat f (x.js:1)" },
	{ "escape sequence", BYTES("\x1b[31mred\x1b]0;title\x07"),
	  "\\u001b[31mred\\u001b]0;title\\u0007" },
	{ "end of line", BYTES("a\nb\rc"), "a\\u000ab\\u000dc" },
	{ "NUL", BYTES("a\0b"), "a\\u0000b" },
	{ "delete", BYTES("a\x7f"), "a\\u007f" },
	{ "C1: CSI, OSC, ST",
	  BYTES("\xc2\x9b"
		"31m \xc2\x9d \xc2\x9c"),
	  "\\u009b31m \\u009d \\u009c" },
	{ "first after C1", BYTES("\xc2\xa0"), "\xc2\xa0" },
	{ "override",
	  BYTES("\xe2\x80\xae"
		"txt.exe"),
	  "\\u202etxt.exe" },
	{ "embeddings", BYTES("\xe2\x80\xaa\xe2\x80\xab\xe2\x80\xac\xe2\x80\xad"),
	  "\\u202a\\u202b\\u202c\\u202d" },
	{ "isolates", BYTES("\xe2\x81\xa6\xe2\x81\xa7\xe2\x81\xa8\xe2\x81\xa9"),
	  "\\u2066\\u2067\\u2068\\u2069" },
	{ "marks of direction", BYTES("\xd8\x9c\xe2\x80\x8e\xe2\x80\x8f"),
	  "\\u061c\\u200e\\u200f" },
	{ "line and paragraph separator", BYTES("\xe2\x80\xa8\xe2\x80\xa9"), "\\u2028\\u2029" },
	{ "beside those", BYTES("\xe2\x80\xa7\xe2\x80\xaf\xe2\x81\xaa"),
	  "\xe2\x80\xa7\xe2\x80\xaf\xe2\x81\xaa" },
	{ "latin1", BYTES("w\xff"), "w\\xff" },
	{ "C1 as one byte",
	  BYTES("\x9b"
		"31m"),
	  "\\x9b31m" },
	{ "cut short", BYTES("a\xe2\x82"), "a\\xe2\\x82" },
	{ "cut short by a letter",
	  BYTES("\xe2\x82"
		"b"),
	  "\\xe2\\x82b" },
	{ "overlong", BYTES("\xc0\x9b\xe0\x80\x9b"), "\\xc0\\x9b\\xe0\\x80\\x9b" },
	{ "surrogate", BYTES("\xed\xa0\x80"), "\\xed\\xa0\\x80" },
	{ "beyond Unicode", BYTES("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80" },
};

static void test_clean(void **state)
{
	char got[256], again[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		text_clean(got, sizeof(got), rows[i].input, rows[i].n);
		if (strcmp(got, rows[i].want))
			fail_msg("%s: got \"%s\", want \"%s\"", rows[i].name, got, rows[i].want);
		text_clean(again, sizeof(again), got, strlen(got));
		if (strcmp(again, got))
			fail_msg("%s: twice is \"%s\", once \"%s\"", rows[i].name, again, got);
	}
}

static void test_cut(void **state)
{
	static const struct {
		const char *name, *input;
		size_t size;
		const char *want;
	} cuts[] = {
		{ "fits", "abcdefg", 8, "abcdefg" },
		{ "one too long", "abcdefgh", 8, "abcd..." },
		{ "inside a character", "abc\xc3\xbc\xc3\xbcgh", 8, "abc..." },
		{ "a character fits", "ab\xc3\xbc\xc3\xbcgh", 8, "ab\xc3\xbc..." },
		{ "inside an escape", "abc\033efgh", 8, "abc..." },
		{ "no room at all", "\033\033", 4, "..." },
	};
	char got[8];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cuts); i++) {
		text_clean(got, cuts[i].size, cuts[i].input, strlen(cuts[i].input));
		if (strcmp(got, cuts[i].want))
			fail_msg("%s: got \"%s\", want \"%s\"", cuts[i].name, got, cuts[i].want);
	}
}

static void test_format(void **state)
{
	char got[16];

	(void)state;
	text_format(got, sizeof(got), "%s is %d", "w\xff\n", 7);
	assert_string_equal(got, "w\\xff\\u000a ...");
}

/* No bytes make a value of JSON, or the object that it is in, disappear. */
static void test_json(void **state)
{
	json_t *object, *read;
	char *dump;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (memchr(rows[i].input, '\0', rows[i].n))
			continue;
		object = text_pack("{s:s, s:i}", "server", rows[i].input, "n", 7);
		dump = json_dumps(object, 0);
		assert_non_null(dump);
		read = json_loads(dump, 0, NULL);
		assert_true(json_equal(object, read));
		assert_string_equal(json_string_value(json_object_get(read, "server")),
				    rows[i].want);
		assert_int_equal(json_integer_value(json_object_get(read, "n")), 7);
		free(dump);
		json_decref(read);
		json_decref(object);
	}
}

static void test_pack(void **state)
{
	json_t *got = text_pack("{s:s, s:i, s:I, s:b, s:o, s:s*, s:s*, s:s, s:o, s:o*}", "s", "x",
				"i", -1, "I", (json_int_t)1 << 40, "b", 1, "o", json_array(),
				"there", "y", "left out", NULL, "null", NULL, "none", NULL, "no o",
				NULL);
	json_t *want = json_pack("{s:s, s:i, s:I, s:b, s:[], s:s, s:n, s:n}", "s", "x", "i", -1,
				 "I", (json_int_t)1 << 40, "b", 1, "o", "there", "y", "null",
				 "none");

	(void)state;
	assert_non_null(want);
	assert_true(json_equal(got, want));
	json_decref(got);
	json_decref(want);
	got = text_pack("{}");
	assert_int_equal(json_object_size(got), 0);
	json_decref(got);
}

/* What a program whose streams are guarded prints, in pieces of so many bytes. */
static void print_guarded(const char *bytes, size_t n, size_t piece, char *got, size_t size)
{
	int ends[2], status;
	ssize_t len;
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	pid = fork();
	if (!pid) {
		dup2(ends[1], STDOUT_FILENO);
		if (text_guard_streams())
			_exit(1);
		for (size_t at = 0; at < n; at += piece) {
			fwrite(bytes + at, 1, n - at < piece ? n - at : piece, stdout);
			fflush(stdout);
		}
		_exit(ferror(stdout));
	}
	close(ends[1]);
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
	len = read(ends[0], got, size - 1);
	got[len > 0 ? len : 0] = '\0';
	close(ends[0]);
}

/* A character that comes in pieces is one; a line ends where it does. */
static void test_streams(void **state)
{
	static const char text[] = "a\x1b[1m\xc3\xbc\n\xf0\x9f\x98\x80 \xe2\x80\xae\xff\xe2(\n";
	char got[256];

	(void)state;
	for (size_t piece = 1; piece <= sizeof(text); piece++) {
		print_guarded(text, sizeof(text) - 1, piece, got, sizeof(got));
		assert_string_equal(got, "a\\u001b[1m\xc3\xbc\n\xf0\x9f\x98\x80 "
					 "\\u202e\\xff\\xe2(\n");
	}
}

static void test_columns(void **state)
{
	static const struct {
		const char *text;
		size_t width;
		const char *want;
	} cuts[] = {
		{ "plain", 5, "plain" },
		{ "plain", 4, "plai" },
		{ "b\xc3\xa4r", 4, "b\xc3\xa4r" },
		{ "b\xc3\xa4r", 3, "b\xc3\xa4" },
		{ "b\xc3\xa4r", 2, "b" },
		{ "\xe6\xbc\xa2", 1, "" },
		{ "", 0, "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cuts); i++) {
		char text[32];

		strcpy(text, cuts[i].text);
		text_cut(text, cuts[i].width);
		assert_string_equal(text, cuts[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clean),	cmocka_unit_test(test_cut),
		cmocka_unit_test(test_format),	cmocka_unit_test(test_json),
		cmocka_unit_test(test_pack),	cmocka_unit_test(test_streams),
		cmocka_unit_test(test_columns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
