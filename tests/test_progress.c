// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What the events of a keeper say of how far an operation is. */
#include <jansson.h>
#include <string.h>

#include "check.h"
#include "cmd/progress.h"

#define BEGIN(verb, workers, online)                                                               \
	"{'event':'begin','verb':'" verb "','workers':" #workers ",'online':" #online              \
	",'text':'begins'}"
#define TOLD(type, text) "{'event':'" type "','text':'" text "'}"

static const struct {
	const char *name, *verb, *events, *want;
} rows[] = {
	{ "nothing", "reload", "", "" },
	{ "begun", "reload", BEGIN("reload", 4, 4), "0 of 4 workers replaced" },
	{ "one is online", "reload",
	  BEGIN("reload", 4, 4) TOLD("start", "s") TOLD("online", "worker 0 is online"),
	  "1 of 4 workers replaced; worker 0 is online" },
	{ "the old one ends", "reload",
	  BEGIN("reload", 2, 2) TOLD("online", "o") TOLD("exit", "worker 0 exited"),
	  "1 of 2 workers replaced; worker 0 exited" },
	{ "over", "reload", BEGIN("reload", 1, 1) TOLD("online", "o") TOLD("reload", "reload done"),
	  "" },
	{ "another begins after it", "reload",
	  BEGIN("reload", 1, 1) TOLD("online", "o") TOLD("reload", "done") BEGIN("reload", 1, 1),
	  "0 of 1 worker replaced" },
	{ "what comes before it", "reload", TOLD("online", "o") TOLD("exit", "e"), "" },
	{ "an operation of another kind", "reload", BEGIN("scale", 4, 2) TOLD("online", "o"), "" },
	{ "a program that makes its workers itself", "reload",
	  BEGIN("reload", 0, 4) TOLD("joined", "worker 1 has a socket"), "worker 1 has a socket" },
	{ "up", "scale", BEGIN("scale", 8, 4) TOLD("online", "o") TOLD("online", "p"),
	  "6 online, 8 are to be; p" },
	{ "down", "scale", BEGIN("scale", 1, 4) TOLD("drain", "d") TOLD("exit", "e"),
	  "3 online, 1 are to be; e" },
	{ "one", "restart", BEGIN("restart", 1, 4), "0 of 1 worker replaced" },
	{ "the end", "stop",
	  "{'event':'stop','workers':3,'text':'stops'}" TOLD("drain", "d") TOLD("exit", "e"),
	  "1 of 3 workers ended; e" },
	{ "no text", "reload", "{'event':'begin','verb':'reload'}", "" },
	{ "figures that are none", "reload",
	  "{'event':'begin','verb':'reload','workers':'x','text':'t'}", "" },
};

static void test_texts(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct progress_facts facts = { .verb = rows[i].verb };
		char events[1024], text[512], *at = events;
		size_t len, left = strlen(rows[i].events);

		strcpy(events, rows[i].events);
		for (char *quote = events; (quote = strchr(quote, '\''));)
			*quote = '"';
		while (left) {
			json_error_t where;
			json_t *event = json_loadb(at, left, JSON_DISABLE_EOF_CHECK, &where);

			if (!event)
				fail_msg("%s: %s", rows[i].name, where.text);
			progress_take(&facts, event);
			json_decref(event);
			len = where.position;
			at += len;
			left -= len;
		}
		progress_text(&facts, text, sizeof(text));
		if (strcmp(text, rows[i].want))
			fail_msg("%s: got \"%s\", want \"%s\"", rows[i].name, text, rows[i].want);
	}
}

/* Words of others that are long, and give a terminal orders. */
static void test_last_words_are_text(void **state)
{
	struct progress_facts facts = { .verb = "stop" };
	char text[512], words[1024];
	json_t *event;

	(void)state;
	event = json_pack("{s:s, s:s, s:i}", "event", "stop", "text", "t", "workers", 2);
	progress_take(&facts, event);
	json_decref(event);
	memset(words, 'x', sizeof(words));
	memcpy(words, "\033[2J", 4);
	words[sizeof(words) - 1] = '\0';
	event = json_pack("{s:s, s:s}", "event", "message", "text", words);
	progress_take(&facts, event);
	json_decref(event);
	progress_text(&facts, text, sizeof(text));
	assert_null(strchr(text, '\033'));
	assert_true(strlen(text) < 300);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_last_words_are_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
