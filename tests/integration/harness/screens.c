// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See screens.h. */
#include "harness/screens.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/commands.h"

#define CONFIG HARNESS_DIR "/tmux.conf"
#define MOST_KEYS 32

/* Each has a server of its own: the last one's may not have ended yet. */
static char server[64];

static void tmux(struct output *output, const char *const args[])
{
	const char *argv[MOST_KEYS + 8] = { "tmux", "-S", server, "-f", CONFIG };
	size_t n = 5;

	for (; *args; args++)
		argv[n++] = *args;
	command_run(output, argv, COMMAND_MS);
}

#define TMUX(output, ...) tmux(output, (const char *const[]){ __VA_ARGS__, NULL })

static void expect_done(const struct output *output, const char *what)
{
	if (output->status)
		fail_msg("tmux, %s: %s", what, output->err);
}

void screen_start(unsigned int columns, unsigned int lines, const char *command)
{
	static unsigned int started;
	_cleanup_output_ struct output output;
	char width[16], height[16];

	snprintf(server, sizeof(server), HARNESS_DIR "/tmux%u", started++);
	snprintf(width, sizeof(width), "%u", columns);
	snprintf(height, sizeof(height), "%u", lines);
	file_write(CONFIG, "set -g default-terminal screen-256color\nset -g escape-time 0\n"
			   "set -g remain-on-exit on\nset -g history-limit 100\n");
	setenv("LC_ALL", "C.UTF-8", 1);
	TMUX(&output, "new-session", "-d", "-s", "test", "-x", width, "-y", height, command);
	unsetenv("LC_ALL");
	expect_done(&output, "a terminal");
}

void screen_end(void)
{
	_cleanup_output_ struct output output;

	TMUX(&output, "kill-session", "-t", "test");
	expect_done(&output, "its end");
}

void screen_close(void)
{
	_cleanup_output_ struct output output;

	TMUX(&output, "kill-server");
}

void screen_resize(unsigned int columns, unsigned int lines)
{
	_cleanup_output_ struct output output;
	char width[16], height[16];

	snprintf(width, sizeof(width), "%u", columns);
	snprintf(height, sizeof(height), "%u", lines);
	TMUX(&output, "resize-window", "-t", "test", "-x", width, "-y", height);
	expect_done(&output, "another size");
}

void screen_press(const char *keys)
{
	const char *args[MOST_KEYS + 4] = { "send-keys", "-t", "test" };
	_cleanup_output_ struct output output;
	char *copy = strdup(keys), *rest = copy, *key;
	size_t n = 3;

	while ((key = strsep(&rest, " "))) {
		assert_true(n < MOST_KEYS + 3);
		args[n++] = key;
	}
	args[n] = NULL;
	tmux(&output, args);
	free(copy);
	expect_done(&output, keys);
}

char *screen_read(bool colours)
{
	_cleanup_output_ struct output output;

	/* with -N an empty end of a line is kept, and changes nothing */
	TMUX(&output, "capture-pane", "-p", colours ? "-e" : "-N", "-t", "test");
	expect_done(&output, "what is on it");
	return strdup(output.out);
}

static void expect(const char *words, bool there)
{
	uint64_t end_ns = now_ns() + scaled_ms(SCREEN_MS) * 1000000;
	char *text = screen_read(false);

	while (!strstr(text, words) == there) {
		if (now_ns() > end_ns)
			fail_msg("%s \"%s\":\n%s", there ? "no" : "still", words, text);
		free(text);
		harness_nap();
		text = screen_read(false);
	}
	free(text);
}

void screen_expect(const char *words)
{
	expect(words, true);
}

void screen_expect_none(const char *words)
{
	expect(words, false);
}
