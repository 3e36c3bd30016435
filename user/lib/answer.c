/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reads the answer of a keeper: flat JSON, so that a worker needs no JSON library. What it can't
 * read is refused, not guessed.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "join.h"

struct cursor {
	const char *at, *end;
};

struct value {
	enum { TEXT, NUMBER, TRUE, OTHER } type;
	long number;
	char text[sizeof(((struct lbctl_answer *)0)->text)];
};

/* Return: is there anything but blanks? */
static bool skip_blanks(struct cursor *cursor)
{
	while (cursor->at < cursor->end && *cursor->at && strchr(" \t\r\n", *cursor->at))
		cursor->at++;
	return cursor->at < cursor->end;
}

static bool is_next(struct cursor *cursor, char want)
{
	if (!skip_blanks(cursor) || *cursor->at != want)
		return false;
	cursor->at++;
	return true;
}

/* After a backslash. Of \uXXXX only the place is kept: the keeper writes them for control bytes. */
static bool take_escape(struct cursor *cursor, char *out)
{
	static const char names[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
	const char *name;

	if (cursor->at == cursor->end || !*cursor->at)
		return false;
	name = strchr(names, *cursor->at);
	if (name) {
		*out = meanings[name - names];
		cursor->at++;
		return true;
	}
	if (*cursor->at != 'u' || cursor->end - cursor->at < 5)
		return false;
	for (int i = 1; i <= 4; i++) {
		if (!cursor->at[i] || !strchr("0123456789abcdefABCDEF", cursor->at[i]))
			return false;
	}
	*out = '?';
	cursor->at += 5;
	return true;
}

/* A text that is longer than `out` is no answer of ours. */
static bool take_text(struct cursor *cursor, char *out, size_t size)
{
	size_t len = 0;

	if (!is_next(cursor, '"'))
		return false;
	while (cursor->at < cursor->end && *cursor->at != '"') {
		char byte = *cursor->at++;

		if ((unsigned char)byte < 0x20 || len + 1 == size)
			return false;
		if (byte == '\\' && !take_escape(cursor, &byte))
			return false;
		out[len++] = byte;
	}
	out[len] = '\0';
	return is_next(cursor, '"');
}

static bool take_number(struct cursor *cursor, long *number)
{
	const char *start = cursor->at;

	for (*number = 0; cursor->at < cursor->end; cursor->at++) {
		if (*cursor->at < '0' || *cursor->at > '9')
			break;
		*number = *number * 10 + (*cursor->at - '0');
		if (*number > INT32_MAX)
			return false;
	}
	return cursor->at > start;
}

static bool take_word(struct cursor *cursor, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(cursor->end - cursor->at) < len || memcmp(cursor->at, word, len))
		return false;
	cursor->at += len;
	return true;
}

static bool take_value(struct cursor *cursor, struct value *value)
{
	if (!skip_blanks(cursor))
		return false;
	if (*cursor->at == '"') {
		value->type = TEXT;
		return take_text(cursor, value->text, sizeof(value->text));
	}
	if (take_word(cursor, "true")) {
		value->type = TRUE;
		return true;
	}
	value->type = OTHER;
	if (take_word(cursor, "false") || take_word(cursor, "null"))
		return true;
	value->type = NUMBER;
	return take_number(cursor, &value->number);
}

static bool keep_number(const struct value *value, long *number)
{
	*number = value->number;
	return value->type == NUMBER;
}

static bool keep(const char *key, const struct value *value, struct lbctl_answer *answer)
{
	if (!strcmp(key, "status"))
		return keep_number(value, &answer->status);
	if (!strcmp(key, "slot"))
		return keep_number(value, &answer->slot);
	if (!strcmp(key, "worker"))
		return keep_number(value, &answer->worker);
	if (!strcmp(key, "again"))
		answer->again = value->type == TRUE;
	if (!strcmp(key, "text") && value->type == TEXT)
		strcpy(answer->text, value->text);
	return true;
}

int lbctl_answer_parse(const char *bytes, size_t len, struct lbctl_answer *answer)
{
	struct cursor cursor = { bytes, bytes + len };
	struct value value;
	char key[32];

	*answer = (struct lbctl_answer){ .status = -1, .slot = -1, .worker = -1 };
	if (!is_next(&cursor, '{'))
		return -EBADMSG;
	do {
		if (!take_text(&cursor, key, sizeof(key)) || !is_next(&cursor, ':') ||
		    !take_value(&cursor, &value) || !keep(key, &value, answer))
			return -EBADMSG;
	} while (is_next(&cursor, ','));
	if (!is_next(&cursor, '}') || answer->status < 0)
		return -EBADMSG;
	return skip_blanks(&cursor) ? -EBADMSG : 0;
}
