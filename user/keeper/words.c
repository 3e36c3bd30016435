// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See words.h. */
#include "keeper/words.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lb_words.h"
#include "words.skel.h"

struct words_tap {
	struct words *skel;
	struct bpf_link *link; /* while there is a cgroup to hear */
	unsigned int cgroups;
};

struct words_tap *words_open(void)
{
	struct words_tap *words = calloc(1, sizeof(*words));

	if (!words)
		return NULL;
	words->skel = words__open_and_load();
	if (words->skel)
		return words;
	free(words);
	return NULL;
}

void words_close(struct words_tap *words)
{
	if (!words)
		return;
	bpf_link__destroy(words->link);
	words__destroy(words->skel);
	free(words);
}

void words_begin(struct words_tap *words, uint64_t cgroup)
{
	struct lb_words *empty = words ? calloc(1, sizeof(*empty)) : NULL;

	if (empty && !bpf_map_update_elem(bpf_map__fd(words->skel->maps.lb_words), &cgroup, empty,
					  BPF_NOEXIST))
		words->cgroups++;
	free(empty);
	if (words && words->cgroups && !words->link)
		words->link = bpf_program__attach(words->skel->progs.lb_write);
}

void words_end(struct words_tap *words, uint64_t cgroup)
{
	if (!words || bpf_map_delete_elem(bpf_map__fd(words->skel->maps.lb_words), &cgroup))
		return;
	if (--words->cgroups)
		return;
	bpf_link__destroy(words->link);
	words->link = NULL;
}

void words_get(const struct words_tap *words, uint64_t cgroup, char line[WORDS_LINE_BYTES])
{
	char text[LB_WORDS_WRITES * LB_WORDS_BYTES];
	struct lb_words heard;
	size_t bytes = 0;

	line[0] = '\0';
	if (!words || bpf_map_lookup_elem(bpf_map__fd(words->skel->maps.lb_words), &cgroup, &heard))
		return;
	/* oldest first; what was never written is empty */
	for (uint32_t i = 0; i < LB_WORDS_WRITES; i++) {
		uint32_t at = (heard.writes + i) % LB_WORDS_WRITES;

		memcpy(text + bytes, heard.last[at].text, heard.last[at].len);
		bytes += heard.last[at].len;
	}
	words_pick(text, bytes, line);
}

static bool is_blank(const char *line, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (!isspace((unsigned char)line[i]))
			return false;
	}
	return true;
}

static bool names_an_error(const char *line, size_t len)
{
	static const char *const signs[] = { "error", "exception", "panic", "fatal" };

	if (isspace((unsigned char)*line))
		return false;
	for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++) {
		for (size_t at = 0; at + strlen(signs[i]) <= len; at++) {
			if (!strncasecmp(line + at, signs[i], strlen(signs[i])))
				return true;
		}
	}
	return false;
}

static void copy_clean(const char *from, size_t len, char line[WORDS_LINE_BYTES])
{
	size_t n = len < WORDS_LINE_BYTES - 1 ? len : WORDS_LINE_BYTES - 1;

	for (size_t i = 0; i < n; i++)
		line[i] = from[i] >= 0x20 && from[i] < 0x7f ? from[i] : '?';
	line[n] = '\0';
}

void words_pick(const char *text, size_t bytes, char line[WORDS_LINE_BYTES])
{
	bool found_error = false, error;
	size_t len;

	line[0] = '\0';
	for (size_t at = 0; at < bytes; at += len + 1) {
		const char *end = memchr(text + at, '\n', bytes - at);

		len = end ? (size_t)(end - text) - at : bytes - at;
		error = names_an_error(text + at, len);
		if (is_blank(text + at, len) || (found_error && !error))
			continue;
		found_error = error;
		copy_clean(text + at, len, line);
	}
}
