// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See envfile.h. */
#include "base/envfile.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

struct reader {
	const char *at, *end;
	unsigned int line; /* of `at` */
	char *out;	   /* room for what a line, or several, may mean */
	size_t len, kept;  /* of out; so much of it is no space at the end */
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

int envfile_is_name(const char *name)
{
	if (!is_letter(*name))
		return 0;
	while (is_letter(*name) || (*name >= '0' && *name <= '9'))
		name++;
	return !*name;
}

static bool is_end(const struct reader *r)
{
	return r->at == r->end || *r->at == '\n';
}

static char take(struct reader *r)
{
	char c = *r->at++;

	r->line += c == '\n';
	return c;
}

static void skip_blanks(struct reader *r)
{
	while (r->at < r->end && is_blank(*r->at))
		r->at++;
}

/* `quoted`: it counts even if it is a space at the end. */
static void put(struct reader *r, char c, bool quoted)
{
	r->out[r->len++] = c;
	if (quoted || !is_blank(c))
		r->kept = r->len;
}

/* After a backslash. */
static void take_escape(struct reader *r, bool in_quotes)
{
	char c;

	if (r->at == r->end)
		return;
	c = take(r);
	if (c == '\n')
		return;
	if (in_quotes && !strchr("\"\\`$", c))
		put(r, '\\', true);
	put(r, c, true);
}

/* After a quote, to the next one. */
static int take_quoted(struct reader *r, char quote)
{
	while (r->at < r->end) {
		char c = take(r);

		if (c == quote)
			return 0;
		if (c == '\\' && quote == '"')
			take_escape(r, true);
		else
			put(r, c, true);
	}
	return -EBADMSG;
}

/* Quotes mean something where a value begins, and right after others. */
static int take_value(struct reader *r)
{
	int err = 0;

	skip_blanks(r);
	while (!is_end(r) && (*r->at == '\'' || *r->at == '"') && !err) {
		err = take_quoted(r, take(r));
		skip_blanks(r);
	}
	while (!is_end(r) && !err) {
		char c = take(r);

		if (c == '\\')
			take_escape(r, false);
		else
			put(r, c, false);
	}
	r->len = r->kept;
	return err;
}

/* Ends with its NUL in `out`, and before the value. */
static int take_name(struct reader *r)
{
	while (!is_end(r) && *r->at != '=')
		put(r, take(r), false);
	if (is_end(r))
		return -EBADMSG;
	take(r);
	r->len = r->kept;
	put(r, '\0', true);
	return envfile_is_name(r->out) ? 0 : -EBADMSG;
}

/* One variable, or a comment. */
static int take_entry(struct reader *r, void (*set)(void *arg, const char *name, const char *value),
		      void *arg)
{
	size_t value;
	int err;

	r->len = r->kept = 0;
	skip_blanks(r);
	while (r->at < r->end && (*r->at == '#' || *r->at == ';')) {
		while (!is_end(r))
			r->at++;
	}
	if (is_end(r))
		return 0;
	err = take_name(r);
	value = r->len;
	if (!err)
		err = take_value(r);
	r->out[r->len] = '\0';
	if (!err)
		set(arg, r->out, r->out + value);
	return err;
}

int envfile_parse(const char *text, size_t len,
		  void (*set)(void *arg, const char *name, const char *value), void *arg,
		  unsigned int *line)
{
	_cleanup_free_ char *out = malloc(len + 2);
	struct reader r = { .at = text, .end = text + len, .line = 1, .out = out };
	const char *nul = memchr(text, '\0', len);
	int err = 0;

	if (!out)
		return -ENOMEM;
	for (; nul && r.at < nul; take(&r))
		continue;
	*line = r.line;
	if (nul)
		return -EBADMSG;
	while (r.at < r.end && !err) {
		*line = r.line;
		err = take_entry(&r, set, arg);
		if (!err && r.at < r.end)
			take(&r);
	}
	return err;
}
