// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See text.h. */
#include "base/text.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

#define DOTS "..."
#define LINE_BYTES 1024

size_t text_utf8_length(const char *bytes, size_t n)
{
	const unsigned char *c = (const unsigned char *)bytes;
	size_t len;

	if (!n || c[0] > 0xf4)
		return 0;
	len = c[0] < 0x80 ? 1 : c[0] < 0xc2 ? 0 : c[0] < 0xe0 ? 2 : c[0] < 0xf0 ? 3 : 4;
	if (len > n)
		return 0;
	for (size_t i = 1; i < len; i++) {
		if ((c[i] & 0xc0) != 0x80)
			return 0;
	}
	/* too long for what it says, a surrogate, beyond the last code point */
	if ((c[0] == 0xe0 && c[1] < 0xa0) || (c[0] == 0xed && c[1] > 0x9f) ||
	    (c[0] == 0xf0 && c[1] < 0x90) || (c[0] == 0xf4 && c[1] > 0x8f))
		return 0;
	return len;
}

static uint32_t code_point(const char *bytes, size_t len)
{
	uint32_t code = (unsigned char)bytes[0];

	if (len > 1)
		code &= 0xff >> (len + 1);
	for (size_t i = 1; i < len; i++)
		code = code << 6 | (bytes[i] & 0x3f);
	return code;
}

/* What is no part of a line of text, or turns one round. A tab does neither. */
static int is_harmful(uint32_t code)
{
	static const struct {
		uint32_t first, last;
	} ranges[] = {
		{ 0x00, 0x08 },	    { 0x0a, 0x1f },	/* control characters, ESC among them */
		{ 0x7f, 0x9f },				/* DEL, and C1: U+009B is CSI */
		{ 0x061c, 0x061c }, { 0x200e, 0x200f }, /* marks of direction */
		{ 0x2028, 0x202e }, /* ends of a line and a paragraph; embeddings, overrides */
		{ 0x2066, 0x2069 }, /* isolates */
	};

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		if (code >= ranges[i].first && code <= ranges[i].last)
			return 1;
	}
	return 0;
}

size_t text_piece(const char *bytes, size_t n, char out[TEXT_PIECE_BYTES])
{
	size_t len = text_utf8_length(bytes, n);
	uint32_t code = code_point(bytes, len);

	if (!len) {
		snprintf(out, TEXT_PIECE_BYTES, "\\x%02x", (unsigned char)*bytes);
		return 1;
	}
	if (is_harmful(code)) {
		snprintf(out, TEXT_PIECE_BYTES, "\\u%04x", code);
	} else {
		memcpy(out, bytes, len);
		out[len] = '\0';
	}
	return len;
}

void text_clean(char *out, size_t size, const char *bytes, size_t n)
{
	/* where the last whole character ends that leaves room for the dots */
	size_t len = 0, cut = 0, piece_len;
	char piece[TEXT_PIECE_BYTES];

	for (size_t at = 0; at < n; len += piece_len) {
		at += text_piece(bytes + at, n - at, piece);
		piece_len = strlen(piece);
		if (len + piece_len >= size) {
			strcpy(out + cut, DOTS);
			return;
		}
		memcpy(out + len, piece, piece_len);
		if (len + piece_len + strlen(DOTS) < size)
			cut = len + piece_len;
	}
	out[len] = '\0';
}

void text_vformat(char *out, size_t size, const char *format, va_list args)
{
	_cleanup_free_ char *whole = NULL;
	int len = vasprintf(&whole, format, args);

	if (len < 0)
		whole = NULL;
	text_clean(out, size, whole ? whole : "out of memory",
		   whole ? (size_t)len : strlen("out of memory"));
}

void text_format(char *out, size_t size, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	text_vformat(out, size, format, args);
	va_end(args);
}

void text_tell(int fd, const char *format, ...)
{
	char line[LINE_BYTES + 1];
	va_list args;
	size_t len;

	va_start(args, format);
	text_vformat(line, LINE_BYTES, format, args);
	va_end(args);
	len = strlen(line);
	line[len] = '\n';
	if (write(fd, line, len + 1) < 0)
		return;
}

size_t text_columns(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += (*text & 0x80) == 0 ? 1 : (*text & 0xc0) == 0xc0 ? 2 : 0;
	return n;
}

void text_cut(char *text, size_t columns)
{
	size_t end = strlen(text);

	while (end && text_columns(text) > columns) {
		while (end && (text[--end] & 0xc0) == 0x80)
			;
		text[end] = '\0';
	}
}
