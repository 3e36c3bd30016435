// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Any bytes, as text into so much room as the first one says: it is UTF-8 without what gives a
 * terminal orders, does not change a second time, and is a string of JSON that comes back.
 */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "base/text_json.h"
#include "fuzz/fuzz.h"

#define MOST_BYTES 1024

static void check_line(const char *text)
{
	const unsigned char *at = (const unsigned char *)text;
	size_t len;

	for (; *at; at += len) {
		len = text_utf8_length((const char *)at, TEXT_UTF8_MOST);
		/* C0 but the tab, DEL, C1, U+2028 to U+202e */
		if (!len || (*at < 0x20 && *at != '\t') || *at == 0x7f ||
		    (*at == 0xc2 && at[1] < 0xa0) ||
		    (*at == 0xe2 && at[1] == 0x80 && at[2] >= 0xa8 && at[2] <= 0xae))
			abort();
	}
}

static void check_json(const char *bytes, size_t n)
{
	char *text = strndup(bytes, n), *dump;
	json_t *object = text_pack("{s:s}", "text", text), *read;

	dump = json_dumps(object, JSON_COMPACT);
	read = dump ? json_loads(dump, 0, NULL) : NULL;
	if (!read || !json_equal(object, read))
		abort();
	check_line(json_string_value(json_object_get(read, "text")));
	json_decref(read);
	json_decref(object);
	free(dump);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	char once[MOST_BYTES], twice[MOST_BYTES];
	size_t size;

	if (!n)
		return 0;
	size = 4 + 4 * (size_t)bytes[0] % (MOST_BYTES - 4);
	text_clean(once, size, (const char *)bytes + 1, n - 1);
	if (strlen(once) >= size)
		abort();
	check_line(once);
	text_clean(twice, size, once, strlen(once));
	if (strcmp(once, twice))
		abort();
	check_json((const char *)bytes + 1, n - 1);
	return 0;
}
