// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See text_json.h. */
#include "base/text_json.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"

json_t *text_json(const char *text)
{
	_cleanup_free_ char *clean = NULL;
	size_t len = text ? strlen(text) : 0, size = len * (TEXT_PIECE_BYTES - 1) + 4;

	if (!text)
		return json_null();
	clean = malloc(size);
	if (!clean)
		return NULL;
	text_clean(clean, size, text, len);
	return json_string(clean);
}

json_t *text_json_exact(const char *text)
{
	return json_string(text);
}

/* The value of one key; NULL: there is to be none. */
static json_t *take_value(const char *type, va_list *args)
{
	const char *text;
	json_t *value;

	switch (*type) {
	case 's':
		text = va_arg(*args, const char *);
		return text || type[1] != '*' ? text_json(text) : NULL;
	case 'i':
		return json_integer(va_arg(*args, int));
	case 'I':
		return json_integer(va_arg(*args, json_int_t));
	case 'b':
		return json_boolean(va_arg(*args, int));
	case 'o':
		value = va_arg(*args, json_t *);
		return value || type[1] == '*' ? value : json_null();
	default:
		abort();
	}
}

json_t *text_pack(const char *format, ...)
{
	json_t *object = json_object(), *value;
	const char *key;
	va_list args;

	va_start(args, format);
	for (const char *at = strchr(format, ':'); at; at = strchr(at + 1, ':')) {
		key = va_arg(args, const char *);
		value = take_value(at + 1, &args);
		if (value)
			json_object_set_new(object, key, value);
	}
	va_end(args);
	return object;
}
