/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A file in YAML as a tree of texts, lists and maps, with the line of each, for who has to say what
 * is wrong where. All that is written is taken as text: what a number is, the reader of the tree
 * knows. Anchors, aliases, tags, a second document and a key that is given twice are refused, and
 * so is what is larger or deeper than these limits.
 */
#ifndef YAMLFILE_H
#define YAMLFILE_H

#include <stddef.h>

#define YAMLFILE_MOST_BYTES (1 << 20)
#define YAMLFILE_MOST_NODES 10000
#define YAMLFILE_DEEPEST 4 /* maps and lists within each other */

struct yamlfile_node {
	enum { YAMLFILE_TEXT, YAMLFILE_LIST, YAMLFILE_MAP } kind;
	unsigned int line;		    /* from 1; of one in a map that of its key */
	char *key;			    /* in a map; else NULL */
	char *text;			    /* of a text, "" where nothing is written; else NULL */
	struct yamlfile_node *first, *next; /* what a list or map has, in the file's order */
};

struct yamlfile_trouble {
	unsigned int line;
	char text[160];
};

/*
 * Reads n bytes. Returns 0 with *root, which is NULL for a file with nothing in it and else to be
 * given to yamlfile_free(); or -EBADMSG with *trouble; or -ENOMEM.
 */
int yamlfile_parse(const char *bytes, size_t n, struct yamlfile_node **root,
		   struct yamlfile_trouble *trouble);

void yamlfile_free(struct yamlfile_node *root);

#endif
