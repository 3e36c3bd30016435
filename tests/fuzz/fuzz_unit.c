// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The text of a unit, read back as systemd reads it (systemd.syntax(7); systemd.service(5),
 * "COMMAND LINES"): the words are those that were written, and nothing follows them.
 */
#include "cmd/unit.h"
#include "fuzz/fuzz.h"

#define MOST_BYTES 1000
#define WORDS 4

/* After a backslash. systemd takes more; these are all that may stand there. */
static char read_escape(const char **at)
{
	static const char names[] = "nt\\\"", meanings[] = "\n\t\\\"";
	const char *name = **at ? strchr(names, **at) : NULL;
	unsigned char byte = 0;

	if (name)
		return meanings[name - names];
	FUZZ_CHECK(**at == 'x' && (*at)[1] != ' ' && sscanf(*at + 1, "%2hhx", &byte) == 1 && byte);
	*at += 2;
	return byte;
}

/* Specifiers and variables are those that are doubled; a program's name has no variables. */
static size_t read_words(const char *text, char words[WORDS][MOST_BYTES + 1])
{
	size_t n = 0, len = 0;
	bool quoted = false;

	for (; *text && *text != '\n'; text++) {
		FUZZ_CHECK((unsigned char)*text >= 0x20 && *text != 0x7f && n < WORDS);
		FUZZ_CHECK(quoted || !strchr("';\\", *text));
		if (*text == ' ' && !quoted) {
			words[n++][len] = '\0';
			len = 0;
		} else if (*text == '"') {
			quoted = !quoted;
		} else {
			char byte = *text == '\\' ? (text++, read_escape(&text)) : *text;

			if (*text == '%' || (*text == '$' && n))
				FUZZ_CHECK(*++text == byte);
			words[n][len++] = byte;
		}
	}
	FUZZ_CHECK(!quoted);
	words[n][len] = '\0';
	return n + 1;
}

static char *write_unit(const char *path, const char *word)
{
	const char *const argv[] = { "run", word, "last", NULL };
	const struct unit unit = { .name = "web", .program = path, .argv = argv, .directory = path };
	size_t len;
	char *text;
	FILE *out = open_memstream(&text, &len);

	unit_print(out, &unit);
	fclose(out);
	return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	static char words[WORDS][MOST_BYTES + 1];
	char *word = fuzz_text(bytes, n <= MOST_BYTES ? n : MOST_BYTES), *text;
	bool is_path = !unit_check_path(word);

	text = write_unit(is_path ? word : "/usr/sbin/lbctl", word);
	FUZZ_CHECK(read_words(strstr(text, "\nExecStart=") + 11, words) == WORDS);
	FUZZ_CHECK(!strcmp(words[2], word) && !strcmp(words[3], "last"));
	FUZZ_CHECK(!is_path || !strcmp(words[0], word));
	unit_check_word(word);
	free(text);
	free(word);
	return 0;
}
