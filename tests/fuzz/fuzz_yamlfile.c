// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A file of services in YAML. What is told is in a line that there is; a tree is no larger and no
 * deeper than it may be, keys are there once, and all of it is text.
 */
#include <errno.h>

#include "base/yamlfile.h"
#include "fuzz/fuzz.h"

static void check_keys(const struct yamlfile_node *map)
{
	for (const struct yamlfile_node *one = map->first; one; one = one->next) {
		FUZZ_CHECK(!one->key == (map->kind != YAMLFILE_MAP));
		for (const struct yamlfile_node *other = one->next; one->key && other;
		     other = other->next)
			FUZZ_CHECK(strcmp(one->key, other->key));
	}
}

/* Returns how many nodes there are. */
static size_t check_tree(const struct yamlfile_node *node, unsigned int depth, unsigned int lines)
{
	size_t n = 0;

	for (; node; node = node->next, n++) {
		FUZZ_CHECK(node->line >= 1 && node->line <= lines);
		FUZZ_CHECK(!node->text == (node->kind != YAMLFILE_TEXT));
		FUZZ_CHECK(!node->first || (!node->text && depth < YAMLFILE_DEEPEST));
		check_keys(node);
		n += check_tree(node->first, depth + 1, lines);
	}
	return n;
}

/* As YAML has them: LF, CR, NEL, LS and PS end a line. */
static unsigned int count_lines(const uint8_t *bytes, size_t n)
{
	unsigned int lines = 2;

	for (size_t i = 0; i < n; i++)
		lines += bytes[i] == '\n' || bytes[i] == '\r' || bytes[i] == 0x85 ||
			 bytes[i] == 0xa8 || bytes[i] == 0xa9 || !bytes[i];
	return lines;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	char *copy = fuzz_copy(bytes, n);
	struct yamlfile_trouble trouble = { 0 };
	struct yamlfile_node *root;
	int err = yamlfile_parse(copy, n, &root, &trouble);

	FUZZ_CHECK(!err || err == -EBADMSG);
	if (err)
		FUZZ_CHECK(!root && *trouble.text && trouble.line >= 1 &&
			   trouble.line <= count_lines(bytes, n));
	else
		FUZZ_CHECK(check_tree(root, 0, count_lines(bytes, n)) <= YAMLFILE_MOST_NODES);
	yamlfile_free(root);
	free(copy);
	return 0;
}
