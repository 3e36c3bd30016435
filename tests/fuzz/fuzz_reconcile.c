// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What the keeper decides while its workers behave as the input says: the promises of
 * tests/reconcile_world.c hold at each step, and at its end there is what is wanted.
 */
#include "fuzz/fuzz.h"
#include "reconcile_events.h"

static const uint8_t *at, *end;
static struct world world;

/* The first bytes of the input are options, then three are a number; behind its end all are 0. */
static int draw(void)
{
	int number = 0;

	for (int i = 0; i < 3; i++)
		number = number << 8 | (at < end ? *at++ : 0);
	return number;
}

/* A promise that fails ends it here and is no failure of a test. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return setenv("CMOCKA_TEST_ABORT", "1", 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	struct events how = { .name = "input", .draw = draw };

	if (n < 2)
		return 0;
	how.options = events_options(bytes[0] % EVENTS_KINDS);
	how.options.stop_exit_codes.bits[0] = bytes[1] & 1 ? 1 << 3 : 0;
	how.stops = bytes[1] & 2;
	at = bytes + 2;
	end = bytes + n;
	events_run(&world, &how);
	return 0;
}
