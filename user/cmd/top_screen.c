// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See top_screen.h. */
#include "cmd/top_screen.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "base/text_json.h"
#include "cmd/change_job.h"
#include "cmd/curses.h"
#include "cmd/follow.h"
#include "cmd/progress.h"
#include "cmd/top_page.h"

#define ESCAPE_MS 50 /* what comes after escape in that time is one key with it */

struct screen {
	const char *only;
	uint64_t interval_ms, look_ns; /* when the next look is due */
	int signals;
	FILE *in, *out; /* of the terminal: stdout of ours writes text alone */
	SCREEN *terminal;
	bool ends, colours;
	size_t height;
	struct top_style style;
	struct views_open open;
	struct top top;
	struct top_keys keys;
	struct top_page page;
	struct change_job job;
	char doing[160];      /* what the job does */
	uint64_t job_ns;      /* when it began */
	struct follow follow; /* of what a job's service tells meanwhile */
	struct progress_facts facts;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

/* --- the terminal --- */

static void measure(struct screen *screen)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) || !size.ws_row || !size.ws_col)
		return;
	screen->height = size.ws_row;
	screen->style.width = size.ws_col;
	curses.resizeterm(size.ws_row, size.ws_col);
}

/* Words say what colours do, so where there are none nothing is lost. */
static void set_colours(struct screen *screen)
{
	const char *no = getenv("NO_COLOR");

	if ((no && *no) || !curses.has_colors() || curses.start_color() == ERR)
		return;
	curses.use_default_colors();
	curses.init_pair(TOP_CAREFUL, COLOR_YELLOW, -1);
	curses.init_pair(TOP_BAD, COLOR_RED, -1);
	screen->colours = true;
}

static int open_terminal(struct screen *screen)
{
	int in = dup(STDIN_FILENO), out = dup(STDOUT_FILENO);

	screen->in = in < 0 ? NULL : fdopen(in, "r");
	screen->out = out < 0 ? NULL : fdopen(out, "w");
	if (!screen->in || !screen->out)
		return -ENOMEM;
	setlocale(LC_CTYPE, "");
	screen->style.utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
	screen->style.pictures = true;
	screen->style.width = 80;
	screen->height = 24;
	screen->terminal = curses.newterm(NULL, screen->out, screen->in);
	if (!screen->terminal)
		return -ENOTTY;
	curses.set_escdelay(ESCAPE_MS);
	curses.cbreak();
	curses.noecho();
	curses.nonl();
	curses.keypad(*curses.screen, true);
	curses.nodelay(*curses.screen, true);
	curses.curs_set(0);
	set_colours(screen);
	measure(screen);
	return 0;
}

static void close_terminal(struct screen *screen)
{
	if (screen->terminal) {
		curses.endwin();
		curses.delscreen(screen->terminal);
	}
	if (screen->in)
		fclose(screen->in);
	if (screen->out)
		fclose(screen->out);
}

static void put(void *arg, size_t row, enum top_look look, const char *text)
{
	static const attr_t attributes[] = {
		[TOP_TITLE] = A_BOLD,
		[TOP_SELECTED] = A_REVERSE,
		[TOP_BAD] = A_BOLD,
	};
	const struct screen *screen = arg;
	bool coloured = screen->colours && (look == TOP_CAREFUL || look == TOP_BAD);
	attr_t attribute = look == TOP_CAREFUL ? A_NORMAL : attributes[look];

	curses.wmove(*curses.screen, row, 0);
	curses.wattr_set(*curses.screen, attribute, coloured ? look : 0, NULL);
	curses.waddstr(*curses.screen, text);
}

static void draw(struct screen *screen)
{
	curses.werase(*curses.screen);
	top_page(&screen->page, &screen->top, &screen->keys, &screen->style, screen->height,
		 screen->only, put, screen);
	curses.wrefresh(*curses.screen);
}

/* --- changes --- */

static void say(struct screen *screen, const char *text)
{
	text_format(screen->keys.message, sizeof(screen->keys.message), "%s", text);
}

static void begin_change(struct screen *screen)
{
	struct change_words words;
	int err = -EBUSY;

	if (screen->job.fd < 0)
		err = change_command(&screen->keys.change, &words);
	if (!err)
		err = change_job_start(&screen->job, (char *const *)words.argv);
	if (err) {
		say(screen, err == -EBUSY ? "the last change is still under way" : strerror(-err));
		return;
	}
	top_describe(&screen->keys.change, screen->doing, sizeof(screen->doing));
	screen->job_ns = now_ns();
	screen->facts = (struct progress_facts){ .verb = words.argv[1] };
	follow_add(&screen->follow, screen->keys.change.service);
	text_format(screen->keys.message, sizeof(screen->keys.message), "%s ...", screen->doing);
}

static void end_change(struct screen *screen)
{
	int status = change_job_end(&screen->job);

	follow_end(&screen->follow);
	if (*screen->job.said)
		say(screen, screen->job.said);
	else
		text_format(screen->keys.message, sizeof(screen->keys.message), "%s: %s",
			    screen->doing, status ? "failed" : "done");
}

/* What takes long: how long it has taken, and how far it is as its keeper tells. */
static void tell_change(struct screen *screen)
{
	unsigned long seconds = (now_ns() - screen->job_ns) / 1000000000;
	json_t *events, *event;
	char text[400];
	size_t i;

	if (screen->job.fd < 0)
		return;
	events = follow_take(&screen->follow);
	json_array_foreach(events, i, event) {
		progress_take(&screen->facts, event);
	}
	json_decref(events);
	progress_text(&screen->facts, text, sizeof(text));
	if (screen->keys.mode == TOP_LOOKS)
		text_format(screen->keys.message, sizeof(screen->keys.message), "%s ... %lu s%s%s",
			    screen->doing, seconds, *text ? ": " : "", text);
}

/* --- what happens --- */

static int look(struct screen *screen)
{
	struct views views;
	bool soon = screen->interval_ms <= TOP_LONGEST_OPEN_S * 1000;
	int err = views_load(&views, screen->only, soon ? &screen->open : NULL);

	screen->look_ns += screen->interval_ms * 1000000;
	if (screen->look_ns < now_ns())
		screen->look_ns = now_ns() + screen->interval_ms * 1000000;
	if (err) {
		views_free(&views);
		say(screen, strerror(-err));
		return err;
	}
	top_take(&screen->top, &views, now_ns());
	tell_change(screen);
	return 0;
}

static int translate(int key)
{
	static const struct {
		int from, to;
	} keys[] = {
		{ KEY_UP, TOP_KEY_UP },		{ KEY_DOWN, TOP_KEY_DOWN },
		{ KEY_LEFT, TOP_KEY_LEFT },	{ KEY_RIGHT, TOP_KEY_RIGHT },
		{ KEY_PPAGE, TOP_KEY_PAGE_UP }, { KEY_NPAGE, TOP_KEY_PAGE_DOWN },
		{ KEY_HOME, TOP_KEY_HOME },	{ KEY_END, TOP_KEY_END },
		{ KEY_ENTER, TOP_KEY_ENTER },	{ '\r', TOP_KEY_ENTER },
		{ '\n', TOP_KEY_ENTER },	{ KEY_BACKSPACE, TOP_KEY_ERASE },
		{ '\b', TOP_KEY_ERASE },	{ 127, TOP_KEY_ERASE },
		{ 27, TOP_KEY_ESCAPE },
	};

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (keys[i].from == key)
			return keys[i].to;
	}
	return key < KEY_MIN ? key : 0;
}

static void take_keys(struct screen *screen)
{
	int key;

	while (!screen->ends && (key = curses.wgetch(*curses.screen)) != ERR) {
		switch (top_press(&screen->keys, &screen->top, translate(key),
				  screen->page.lines)) {
		case TOP_CHANGE:
			begin_change(screen);
			break;
		case TOP_QUIT:
			screen->ends = true;
			break;
		default:
			break;
		}
	}
}

/* The terminal as it was, until somebody has this go on. */
static void pause_here(struct screen *screen)
{
	curses.endwin();
	raise(SIGSTOP);
	measure(screen);
	curses.clearok(*curses.screen, true);
}

static void take_signal(struct screen *screen)
{
	struct signalfd_siginfo info;

	if (read(screen->signals, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGWINCH)
		measure(screen);
	else if (info.ssi_signo == SIGTSTP)
		pause_here(screen);
	else
		screen->ends = true;
}

/* Waits for the next thing that happens. */
static void step(struct screen *screen)
{
	struct pollfd fds[] = {
		{ .fd = STDIN_FILENO, .events = POLLIN },
		{ .fd = screen->signals, .events = POLLIN },
		{ .fd = screen->job.fd, .events = POLLIN },
	};
	uint64_t now = now_ns();
	int wait_ms = screen->look_ns > now ? (screen->look_ns - now) / 1000000 + 1 : 0;

	if (poll(fds, 3, wait_ms) < 0 && errno != EINTR)
		screen->ends = true;
	if (fds[1].revents)
		take_signal(screen);
	if (fds[0].revents & (POLLHUP | POLLERR | POLLNVAL))
		screen->ends = true;
	else if (fds[0].revents)
		take_keys(screen);
	if (fds[2].revents && change_job_read(&screen->job))
		end_change(screen);
	if (now_ns() >= screen->look_ns)
		look(screen);
}

static int open_signals(void)
{
	static const int taken[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP };
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
		sigaddset(&set, taken[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int top_screen(const char *only, uint64_t interval_ms, const char **why)
{
	struct screen screen = { .only = only, .interval_ms = interval_ms, .job.fd = -1 };
	int err = curses_load(why);

	if (err)
		return err;
	screen.signals = open_signals();
	screen.look_ns = now_ns();
	err = look(&screen);
	if (!err)
		err = open_terminal(&screen);
	while (!err && !screen.ends) {
		draw(&screen);
		step(&screen);
	}
	close_terminal(&screen);
	follow_end(&screen.follow);
	change_job_leave(&screen.job);
	top_free(&screen.top);
	views_close(&screen.open);
	close_fd(&screen.signals);
	return err;
}
