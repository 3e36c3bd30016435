/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * JSON made of what may be no text. jansson's own json_pack() and json_string() give NULL for a
 * byte that is not UTF-8, and with it the whole answer is gone; these take any bytes, as text.h
 * writes them, and fail without memory only. `make lint` lets nobody else call those.
 */
#ifndef TEXT_JSON_H
#define TEXT_JSON_H

#include <jansson.h>

/* A string; null for NULL. Returns NULL without memory. */
json_t *text_json(const char *text);

/*
 * A string that is to be read back exactly as it is: a variable of an environment, a path that the
 * other side opens. Returns NULL without memory, and for what is not UTF-8.
 */
json_t *text_json_exact(const char *text) __attribute__((warn_unused_result));

/*
 * One flat object, as by json_pack(): "{s:s, s:i}" and a key and a value for each, which is s (a
 * text), i (int), I (json_int_t), b (bool as int) or o (json_t, taken over); of "s*" and
 * "o*" NULL is left out, elsewhere it is null. Returns NULL without memory.
 */
json_t *text_pack(const char *format, ...);

#endif
