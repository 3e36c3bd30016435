/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* --port and --offset-port: which of them go together, for how many workers. */
#include <string.h>

#include "check.h"
#include "keeper/port_rules.h"

#define LIST(...)                                                                                  \
	{                                                                                          \
		.port = { __VA_ARGS__ }, .count = ARRAY_SIZE(((const __u16[]){ __VA_ARGS__ }))     \
	}
#define TCP(field, ...) .field[LB_BIND_TCP] = LIST(__VA_ARGS__)
#define UDP(field, ...) .field[LB_BIND_UDP] = LIST(__VA_ARGS__)

static void test_ports(void **state)
{
	static const struct {
		const char *name;
		struct lb_bindhook rules;
		uint32_t workers;
		const char *words; /* of the refusal; NULL = they go together */
	} rows[] = {
		{ "none", { UDP(shared, 53) }, 1024, NULL },
		{ "shared alone", { TCP(shared, 80, 443, 80) }, 1024, NULL },
		{ "just below", { TCP(shared, 8080), TCP(offsets, 8076) }, 4, NULL },
		{ "just above", { TCP(shared, 8080), TCP(offsets, 8081) }, 4, NULL },
		{ "the last worker's",
		  { TCP(shared, 8080), TCP(offsets, 8077) },
		  4,
		  "--offset-port 8077 gives worker 3 port 8080, which --port shares" },
		{ "the first worker's",
		  { TCP(shared, 80, 8080), TCP(offsets, 8080) },
		  1,
		  "gives worker 0 port 8080, which --port shares" },
		{ "of UDP",
		  { UDP(shared, 54), UDP(offsets, 53) },
		  2,
		  "--offset-port udp/53 gives worker 1 port 54" },
		{ "one of each protocol", { UDP(shared, 54), TCP(offsets, 53) }, 2, NULL },
		{ "side by side", { TCP(offsets, 9100, 9104) }, 4, NULL },
		{ "one over the other",
		  { TCP(offsets, 9100, 9103) },
		  4,
		  "gives worker 3 port 9103, which --offset-port 9103 gives worker 0" },
		{ "in another order",
		  { TCP(offsets, 9103, 9100) },
		  4,
		  "--offset-port 9100 gives worker 3 port 9103" },
		{ "up to the last port", { TCP(offsets, 65532) }, 4, NULL },
		{ "beyond it",
		  { TCP(offsets, 65534) },
		  4,
		  "gives worker 2 port 65536, and 65535 is the last there is" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char why[PORT_RULES_BYTES] = "";
		int err = port_rules_check(&rows[i].rules, rows[i].workers, why);

		if (!rows[i].words != !err || (err && !strstr(why, rows[i].words)))
			fail_msg("%s: got %d, \"%s\", want \"%s\"", rows[i].name, err, why,
				 rows[i].words ? rows[i].words : "");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
