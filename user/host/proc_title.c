// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See proc_title.h. */
#include "host/proc_title.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "base/text.h"
#include "host/proc_file.h"

/* Node.js appends its variable to all that there were. */
#define ENVIRONMENT_BYTES (128 * 1024)
#define WORDS_BYTES 4096

/* Node.js takes it out of its own environment, but not out of what the kernel shows. */
static const char node_variable[] = "NODE_UNIQUE_ID=";

static bool is_cluster_worker(const char *environment, size_t n, char out[PROC_TITLE_BYTES])
{
	const size_t len = sizeof(node_variable) - 1;
	const char *end = environment + n;
	uint64_t number;

	for (const char *at = environment; at < end; at += strnlen(at, end - at) + 1) {
		size_t left = strnlen(at, end - at);
		char digits[16];

		if (left <= len || left - len >= sizeof(digits) || memcmp(at, node_variable, len))
			continue;
		memcpy(digits, at + len, left - len);
		digits[left - len] = '\0';
		if (parse_u64(digits, 1, UINT32_MAX, &number))
			continue;
		text_format(out, PROC_TITLE_BYTES, "cluster worker %lu", (unsigned long)number);
		return true;
	}
	return false;
}

bool proc_title_of(const char *environment, size_t nr_environment, const char *words,
		   size_t nr_words, char out[PROC_TITLE_BYTES])
{
	size_t len = strnlen(words, nr_words);

	if (is_cluster_worker(environment, nr_environment, out))
		return true;
	*out = '\0';
	/* some fill up with spaces what the longer command line had */
	while (len && words[len - 1] == ' ')
		len--;
	if (!memchr(words, ' ', len))
		return false;
	text_clean(out, PROC_TITLE_BYTES, words, len);
	return true;
}

bool proc_title(pid_t pid, char out[PROC_TITLE_BYTES])
{
	_cleanup_free_ char *environment = malloc(ENVIRONMENT_BYTES);
	char words[WORDS_BYTES];
	ssize_t n = environment ? proc_file_read(pid, "environ", environment, ENVIRONMENT_BYTES) :
				  -1;
	ssize_t of_words = proc_file_read(pid, "cmdline", words, sizeof(words));

	return proc_title_of(environment, n > 0 ? n : 0, words, of_words > 0 ? of_words : 0, out);
}
