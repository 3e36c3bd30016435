/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Bytes that someone else chose, made into text that harms nobody who reads it. The name of a
 * process, a message of a worker, a path, the end of a log: they may hold any byte. All that goes
 * to a terminal, a log, an event or JSON comes through here; `make lint` looks for ways round.
 *
 * The text is UTF-8. What moves the cursor, gives the terminal orders, ends a line or turns round
 * the direction in which it reads is written out: a character as \u001b, a byte that is no
 * character as \xff. A backslash stays as it is, so text that went through once does not change any
 * more, and JSON that does means what it meant.
 */
#ifndef TEXT_H
#define TEXT_H

#include <stdarg.h>
#include <stddef.h>
#include <sys/types.h>

#define TEXT_UTF8_MOST 4
#define TEXT_PIECE_BYTES 7 /* the longest that text_piece() writes, with its final NUL */

/*
 * How long the UTF-8 sequence (RFC 3629) at `bytes` is, of which there are n; 0 = it is none. A NUL
 * ends them, too, so of a string TEXT_UTF8_MOST are there.
 */
size_t text_utf8_length(const char *bytes, size_t n);

/*
 * Writes the first character, or byte that is none, of the n at `bytes` as above; n is not 0.
 * Returns how many of them that is.
 */
size_t text_piece(const char *bytes, size_t n, char out[TEXT_PIECE_BYTES]);

/*
 * Writes one line of text, with its final NUL. What does not fit into `size` bytes, at least 4,
 * ends with "..." after a whole character.
 */
void text_clean(char *out, size_t size, const char *bytes, size_t n);

/* The same of what printf() would make. */
void text_format(char *out, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void text_vformat(char *out, size_t size, const char *format, va_list args)
	__attribute__((format(printf, 3, 0)));

/*
 * How many columns of a terminal such text takes at most: what is not ASCII may take two. And cuts
 * it to so many, after a whole character.
 */
size_t text_columns(const char *text);
void text_cut(char *text, size_t columns);

/* A line of it, which may be written where stdio may not be used: after a fork. */
void text_tell(int fd, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * From now on stdout and stderr, and so printf(), write such text alone; lines may end. Returns 0
 * or -ENOMEM. For main() alone: it can't be undone, and fileno() knows neither any more.
 */
int text_guard_streams(void);

#endif
