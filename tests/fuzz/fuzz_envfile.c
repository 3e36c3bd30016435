// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A file of variables. What is set has a name, and is no longer than what was written; what could
 * not be read is in a line that there is.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/envfile.h"
#include "fuzz/fuzz.h"

static void take(void *arg, const char *name, const char *value)
{
	size_t *left = arg, len = strlen(name) + 1 + strlen(value);

	if (!envfile_is_name(name) || len > *left)
		abort();
	*left -= len;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	unsigned int line = 0, lines = 1;
	size_t left = n;
	int err = envfile_parse((const char *)bytes, n, take, &left, &line);

	for (size_t i = 0; i < n; i++)
		lines += bytes[i] == '\n';
	if (err && (err != -EBADMSG || !line || line > lines))
		abort();
	if (!err && memchr(bytes, '\0', n))
		abort();
	return 0;
}
