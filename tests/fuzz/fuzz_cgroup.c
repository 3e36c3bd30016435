// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Tables of mounts, and files of cgroups, in which others have chosen names. */
#include <limits.h>

#include "cmd/log_journal.h"
#include "fuzz/fuzz.h"
#include "host/cgroup.h"
#include "lb_abi.h"

static FILE *open_text(const char *text)
{
	FILE *file = fmemopen((void *)text, strlen(text), "r");

	return file ? file : fopen("/dev/null", "re");
}

static void mounts(const char *text)
{
	FILE *file = open_text(text);
	char mount[PATH_MAX];

	if (!cgroup_read_mounts(file, mount))
		FUZZ_CHECK(strlen(mount) < PATH_MAX);
	fclose(file);
}

static void own_cgroup(const char *text)
{
	char path[PATH_MAX] = "/sys/fs/cgroup";
	FILE *file = open_text(text);

	if (!cgroup_read_own(file, path))
		FUZZ_CHECK(!strncmp(path, "/sys/fs/cgroup", 14) && !strchr(path, '\n'));
	fclose(file);
}

/* 150,000 of 100,000 are two. */
static void cpu_limit(const char *text)
{
	FILE *file = open_text(text);
	unsigned int cpus = cgroup_read_cpus(file);
	unsigned long quota, period;

	if (sscanf(text, "%lu %lu", &quota, &period) == 2 && period && quota / period < UINT_MAX)
		FUZZ_CHECK(cpus >= quota / period && cpus <= quota / period + 1);
	fclose(file);
}

static void worker(const char *text)
{
	uint32_t number = log_journal_worker(text, "web");

	FUZZ_CHECK(number == LOG_NO_WORKER ||
		   (number < LB_MAX_WORKERS && strstr(text, "/lbctl-web/w")));
}

static const fuzz_parser parsers[] = { mounts, own_cgroup, cpu_limit, worker };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	fuzz_one_of(parsers, sizeof(parsers) / sizeof(parsers[0]), bytes, n);
	return 0;
}
