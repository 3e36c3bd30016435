/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Files in YAML: the tree that they are, and what is refused in which line. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/yamlfile.h"
#include "check.h"

/* As JSON has it, a key with its line: {a@1:"1",b@2:["x"]}. */
static void write_tree(FILE *out, const struct yamlfile_node *node)
{
	static const char *const ends[][2] = {
		[YAMLFILE_LIST] = { "[", "]" },
		[YAMLFILE_MAP] = { "{", "}" },
	};

	if (node->key)
		fprintf(out, "%s@%u:", node->key, node->line);
	if (node->kind == YAMLFILE_TEXT) {
		fprintf(out, "\"%s\"", node->text);
		return;
	}
	fputs(ends[node->kind][0], out);
	for (const struct yamlfile_node *at = node->first; at; at = at->next) {
		write_tree(out, at);
		if (at->next)
			fputc(',', out);
	}
	fputs(ends[node->kind][1], out);
}

static char *tree_of(const char *input, size_t n)
{
	struct yamlfile_trouble trouble = { 0 };
	struct yamlfile_node *root;
	char *text = NULL, *copy = malloc(n + !n);
	size_t size;
	FILE *out = open_memstream(&text, &size);
	int err;

	/* of exactly its size, for ASan */
	memcpy(copy, input, n);
	err = yamlfile_parse(copy, n, &root, &trouble);
	free(copy);
	if (err)
		fprintf(out, "%d %u: %s", err, trouble.line, trouble.text);
	else if (root)
		write_tree(out, root);
	fclose(out);
	yamlfile_free(root);
	return text;
}

#define BAD "-74 "

static void test_files(void **state)
{
	static const struct {
		const char *name, *input, *want;
	} rows[] = {
		{ "nothing", "", "" },
		{ "a comment", "# web:\n", "" },
		{ "a service", "web:\n  n: 4\n  command: [node, app.js]\n",
		  "{web@1:{n@2:\"4\",command@3:[\"node\",\"app.js\"]}}" },
		{ "a list in lines", "a:\n- x\n- 'y z'\n", "{a@1:[\"x\",\"y z\"]}" },
		{ "what looks like something else is text", "a: 010\nb: yes\nc: ~\nx: 1e3\n",
		  "{a@1:\"010\",b@2:\"yes\",c@3:\"~\",x@4:\"1e3\"}" },
		{ "no value", "a:\nb: ''\n", "{a@1:\"\",b@2:\"\"}" },
		{ "quotes", "a: \"x\\ty\"\nb: 'it''s'\n", "{a@1:\"x\ty\",b@2:\"it's\"}" },
		{ "a block", "a: |\n  one\n  two\nb: 1\n", "{a@1:\"one\ntwo\n\",b@4:\"1\"}" },
		{ "the start and end of a document", "---\na: 1\n...\n", "{a@2:\"1\"}" },
		{ "as deep as may be", "a: {b: {c: {d: 1}}}", "{a@1:{b@1:{c@1:{d@1:\"1\"}}}}" },
		{ "deeper", "a:\n b:\n  c:\n   d:\n    e: 1\n",
		  BAD "5: too deep: 4 within each other are the most" },
		{ "deep in lists", "[[[[[", BAD "1: too deep: 4 within each other are the most" },
		{ "twice", "a: 1\nb: 2\na: 3\n", BAD "3: a is there already, in line 1" },
		{ "twice, within", "w:\n  a: 1\n  a: 1\n", BAD "3: a is there already, in line 2" },
		{ "an anchor", "a: 1\nb: &x 2\n",
		  BAD "2: anchors (&) and aliases (*) are not taken" },
		{ "an alias", "a: 1\nb: *x\n", BAD "2: anchors (&) and aliases (*) are not taken" },
		{ "an anchor of a map", "a: &x {b: 1}\n",
		  BAD "1: anchors (&) and aliases (*) are not taken" },
		{ "an anchor of a key", "&x a: 1\n",
		  BAD "1: anchors (&) and aliases (*) are not taken" },
		{ "a tag", "a: !!int 1\n", BAD "1: tags (!) are not taken" },
		{ "a tag of a list", "a: !x [1]\n", BAD "1: tags (!) are not taken" },
		{ "a key that is a list", "a: 1\n? [x]\n: 1\n", BAD "2: a key is a text" },
		{ "two documents", "a: 1\n---\nb: 1\n", BAD "2: a second document begins here" },
		{ "NUL", "a: 1\nb: \"\\0\"\n", BAD "2: a text has a NUL in it" },
		{ "NUL in a key", "\"a\\0\": 1\n", BAD "1: a text has a NUL in it" },
		{ "a tab", "a:\n\tb: 1\n", BAD "2: found character that cannot start any token" },
		{ "no end", "a: [1\n", BAD "2: did not find expected ',' or ']'" },
		{ "wrong indentation", "a:\n    b: 1\n  c: 2\n",
		  BAD "3: did not find expected key" },
		{ "not UTF-8", "a: 1\nb: \xff\n", BAD "2: invalid leading UTF-8 octet" },
		{ "a control character", "a: 1\nb: \x01\n",
		  BAD "2: control characters are not allowed" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char *got = tree_of(rows[i].input, strlen(rows[i].input));

		if (strcmp(got, rows[i].want))
			fail_msg("%s: got \"%s\", want \"%s\"", rows[i].name, got, rows[i].want);
		free(got);
	}
}

/* A file that is that large as a whole, or has that much in it. */
static void test_limits(void **state)
{
	size_t n = YAMLFILE_MOST_BYTES + 1;
	char *input = malloc(n), *got;

	(void)state;
	memset(input, ' ', n);
	got = tree_of(input, n - 1);
	assert_string_equal(got, "");
	free(got);
	got = tree_of(input, n);
	assert_string_equal(got, BAD "1: larger than 1048576 bytes");
	free(got);
	/* with the list itself they are as many as may be; then one more */
	input[0] = '[';
	for (size_t i = 1; i < 2 * YAMLFILE_MOST_NODES - 2; i += 2)
		memcpy(input + i, "1,", 2);
	memcpy(input + 2 * YAMLFILE_MOST_NODES - 1, "]", 2);
	got = tree_of(input, 2 * YAMLFILE_MOST_NODES);
	assert_int_equal(*got, '[');
	free(got);
	memcpy(input + 2 * YAMLFILE_MOST_NODES - 1, "1]", 3);
	got = tree_of(input, 2 * YAMLFILE_MOST_NODES + 1);
	assert_string_equal(got, BAD "1: too much: the 10000 values before are the most");
	free(got);
	free(input);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
