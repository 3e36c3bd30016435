// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See yamlfile.h. The events are those of libyaml, which reads YAML 1.1. */
#include "base/yamlfile.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/text.h"

struct reader {
	yaml_parser_t parser;
	yaml_event_t event; /* the one that is to be looked at */
	const char *bytes;
	unsigned int nodes;
	struct yamlfile_trouble *trouble;
};

static int read_node(struct reader *reader, unsigned int depth, struct yamlfile_node **out);

__attribute__((format(printf, 3, 4))) static int bad(struct reader *reader, unsigned int line,
						     const char *format, ...)
{
	va_list args;

	va_start(args, format);
	text_vformat(reader->trouble->text, sizeof(reader->trouble->text), format, args);
	va_end(args);
	reader->trouble->line = line;
	return -EBADMSG;
}

static unsigned int line_of(const struct reader *reader)
{
	return reader->event.start_mark.line + 1;
}

/* Bytes that are no text have a place and no line. */
static unsigned int problem_line(const struct reader *reader)
{
	const yaml_parser_t *parser = &reader->parser;
	unsigned int line = 1;

	if (parser->error != YAML_READER_ERROR)
		return parser->problem_mark.line + 1;
	for (size_t i = 0; i < parser->problem_offset; i++)
		line += reader->bytes[i] == '\n';
	return line;
}

static int next(struct reader *reader)
{
	yaml_event_delete(&reader->event);
	if (yaml_parser_parse(&reader->parser, &reader->event))
		return 0;
	if (reader->parser.error == YAML_MEMORY_ERROR)
		return -ENOMEM;
	return bad(reader, problem_line(reader), "%s",
		   reader->parser.problem ? reader->parser.problem : "not YAML");
}

/* What would make one place of the file stand for another, or for something else than text. */
static int refuse(struct reader *reader)
{
	const yaml_event_t *event = &reader->event;
	const unsigned char *anchor = NULL, *tag = NULL;

	if (event->type == YAML_SCALAR_EVENT) {
		anchor = event->data.scalar.anchor;
		tag = event->data.scalar.tag;
	} else if (event->type == YAML_SEQUENCE_START_EVENT) {
		anchor = event->data.sequence_start.anchor;
		tag = event->data.sequence_start.tag;
	} else if (event->type == YAML_MAPPING_START_EVENT) {
		anchor = event->data.mapping_start.anchor;
		tag = event->data.mapping_start.tag;
	}
	if (event->type == YAML_ALIAS_EVENT || anchor)
		return bad(reader, line_of(reader), "anchors (&) and aliases (*) are not taken");
	return tag ? bad(reader, line_of(reader), "tags (!) are not taken") : 0;
}

/* The scalar of the event. */
static int copy_text(struct reader *reader, char **out)
{
	const char *value = (const char *)reader->event.data.scalar.value;

	if (strlen(value) != reader->event.data.scalar.length)
		return bad(reader, line_of(reader), "a text has a NUL in it");
	*out = strdup(value);
	return *out ? 0 : -ENOMEM;
}

static int read_key(struct reader *reader, const struct yamlfile_node *map, char **key)
{
	int err = refuse(reader);

	if (!err && reader->event.type != YAML_SCALAR_EVENT)
		err = bad(reader, line_of(reader), "a key is a text");
	if (!err)
		err = copy_text(reader, key);
	for (const struct yamlfile_node *at = map->first; !err && at; at = at->next) {
		if (!strcmp(at->key, *key))
			err = bad(reader, line_of(reader), "%s is there already, in line %u", *key,
				  at->line);
	}
	return err;
}

/* What stands in a list or a map, up to its end. */
static int read_inner(struct reader *reader, struct yamlfile_node *parent, unsigned int depth)
{
	yaml_event_type_t end = parent->kind == YAMLFILE_MAP ? YAML_MAPPING_END_EVENT :
							       YAML_SEQUENCE_END_EVENT;
	struct yamlfile_node **last = &parent->first;
	int err = next(reader);

	while (!err && reader->event.type != end) {
		unsigned int line = line_of(reader);
		char *key = NULL;

		if (parent->kind == YAMLFILE_MAP) {
			err = read_key(reader, parent, &key);
			if (!err)
				err = next(reader);
		}
		if (!err)
			err = read_node(reader, depth, last);
		if (!*last) {
			free(key);
			return err;
		}
		(*last)->key = key;
		if (key)
			(*last)->line = line;
		last = &(*last)->next;
		if (!err)
			err = next(reader);
	}
	return err;
}

/* The event begins it; what was made of it is in *out also where it fails. */
static int read_node(struct reader *reader, unsigned int depth, struct yamlfile_node **out)
{
	yaml_event_type_t type = reader->event.type;
	struct yamlfile_node *node;
	int err = refuse(reader);

	if (!err && reader->nodes++ == YAMLFILE_MOST_NODES)
		err = bad(reader, line_of(reader), "too much: the %u values before are the most",
			  YAMLFILE_MOST_NODES);
	if (!err && type != YAML_SCALAR_EVENT && depth == YAMLFILE_DEEPEST)
		err = bad(reader, line_of(reader), "too deep: %u within each other are the most",
			  YAMLFILE_DEEPEST);
	if (err)
		return err;
	node = *out = calloc(1, sizeof(*node));
	if (!node)
		return -ENOMEM;
	node->line = line_of(reader);
	node->kind = type == YAML_SCALAR_EVENT	      ? YAMLFILE_TEXT :
		     type == YAML_MAPPING_START_EVENT ? YAMLFILE_MAP :
							YAMLFILE_LIST;
	return node->kind == YAMLFILE_TEXT ? copy_text(reader, &node->text) :
					     read_inner(reader, node, depth + 1);
}

/* The start of the stream, a document if there is one, and the end of both. */
static int read_stream(struct reader *reader, struct yamlfile_node **root)
{
	int err = next(reader);

	if (!err)
		err = next(reader);
	if (err || reader->event.type == YAML_STREAM_END_EVENT)
		return err;
	err = next(reader);
	if (!err)
		err = read_node(reader, 0, root);
	if (!err)
		err = next(reader);
	if (!err)
		err = next(reader);
	if (!err && reader->event.type != YAML_STREAM_END_EVENT)
		err = bad(reader, line_of(reader), "a second document begins here");
	return err;
}

int yamlfile_parse(const char *bytes, size_t n, struct yamlfile_node **root,
		   struct yamlfile_trouble *trouble)
{
	struct reader reader = { .bytes = bytes, .trouble = trouble };
	int err;

	*root = NULL;
	if (n > YAMLFILE_MOST_BYTES)
		return bad(&reader, 1, "larger than %d bytes", YAMLFILE_MOST_BYTES);
	if (!yaml_parser_initialize(&reader.parser))
		return -ENOMEM;
	yaml_parser_set_input_string(&reader.parser, (const unsigned char *)bytes, n);
	err = read_stream(&reader, root);
	yaml_event_delete(&reader.event);
	yaml_parser_delete(&reader.parser);
	if (err) {
		yamlfile_free(*root);
		*root = NULL;
	}
	return err;
}

void yamlfile_free(struct yamlfile_node *root)
{
	while (root) {
		struct yamlfile_node *after = root->next;

		yamlfile_free(root->first);
		free(root->key);
		free(root->text);
		free(root);
		root = after;
	}
}
