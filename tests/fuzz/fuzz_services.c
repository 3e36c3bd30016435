// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A file of services: what it says of one the command line says, too, that it is started by. */
#include "fuzz/fuzz_options.h"

#include "cmd/services.h"

static void check_entry(struct service_entry *entry)
{
	char **argv = services_argv(entry, "run", NULL);
	int argc = 0;

	while (argv[argc])
		argc++;
	FUZZ_CHECK(cmd_main(argc, argv) == EXIT_DONE);
	FUZZ_CHECK(!strcmp(got.name, entry->name) && got.workers == entry->options.workers &&
		   got.policy == entry->options.policy && got.forks == entry->options.forks &&
		   got.max_memory == entry->options.max_memory &&
		   got.nr_listens == entry->options.nr_listens);
	FUZZ_CHECK(!memcmp(got.listens, entry->options.listens, sizeof(got.listens)) &&
		   !memcmp(&got.rules, &entry->options.rules, sizeof(got.rules)));
	free(argv);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	const struct cmd cmd = { .command = &ours };
	struct services services;
	int status;

	if (!n)
		return 0;
	status = services_parse(&cmd, fuzz_copy(bytes, n), n, run_options_parse, &services);
	check_said(status);
	for (size_t i = 0; !status && i < services.nr_entries; i++)
		check_entry(&services.entries[i]);
	services_free(&services);
	return 0;
}
