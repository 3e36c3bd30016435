// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What a keeper has left for the next one: names, notes, environments, and its command. */
#include <signal.h>

#include "fuzz/fuzz.h"
#include "keeper/again.h"
#include "keeper/environments.h"
#include "keeper/leftovers.h"
#include "keeper/lifecycle.h"
#include "keeper/runner.h"

#define UNSET 77

static void process_name(const char *text)
{
	uint32_t worker = UNSET, generation = UNSET;
	bool is_one = runner_parse_name(text, &worker, &generation);

	FUZZ_CHECK(is_one ? worker < LB_MAX_WORKERS && generation && generation <= INT32_MAX :
			    worker == UNSET && generation == UNSET);
	FUZZ_CHECK(!is_one || (text[0] == 'w' && text[1] >= '0' && text[1] <= '9'));
}

static void stop_note(const char *text)
{
	enum kill_mode mode = KILL_MIXED;
	int number = UNSET;
	bool is_one = leftovers_parse_stop(text, &number, &mode);

	FUZZ_CHECK(is_one ? number >= 1 && number <= SIGRTMAX : number == UNSET);
	FUZZ_CHECK(kill_mode_name(mode));
}

static void state_note(const char *text)
{
	int state = lifecycle_parse(text);

	FUZZ_CHECK(state < 0 || !strcmp(lifecycle_name(state), text));
}

/* The environment of each version that is needed, as it came. */
static void variables(const char *text)
{
	json_t *list = json_loads(text, 0, NULL);
	struct environments *all = NULL;

	for (uint32_t version = 1; list && !environments_check(list) && version < 4; version++) {
		int err = environments_add(&all, version, version - 1, list);
		char **environment = environments_of(all, version);

		FUZZ_CHECK(!err);
		for (size_t i = 0; i < json_array_size(list); i++)
			FUZZ_CHECK(!strcmp(json_string_value(json_array_get(list, i)),
					   environment[i]));
		FUZZ_CHECK(!environment[json_array_size(list)] &&
			   environments_of(all, version + 1));
	}
	environments_free(all);
	json_decref(list);
}

static void command(const char *text)
{
	FILE *file = fmemopen((void *)text, strlen(text), "r");
	char out[AGAIN_BYTES];

	if (!file)
		return;
	if (!again_parse(file, "/here", out))
		FUZZ_CHECK(strlen(out) < AGAIN_BYTES && !strchr(out, '\n'));
	fclose(file);
}

static const fuzz_parser parsers[] = { process_name, stop_note, state_note, variables, command };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	fuzz_one_of(parsers, sizeof(parsers) / sizeof(parsers[0]), bytes, n);
	return 0;
}
