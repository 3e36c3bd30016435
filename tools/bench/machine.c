// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See machine.h. */
#include "machine.h"

#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "peer.h"

#define BYTES_PER_MB (1 << 20)

void machine_ask(const char *command, char *out, size_t size)
{
	FILE *pipe = popen(command, "re");

	*out = '\0';
	if (!pipe)
		return;
	if (!fgets(out, size, pipe))
		*out = '\0';
	out[strcspn(out, "\n")] = '\0';
	if (pclose(pipe))
		*out = '\0';
}

/* As x86 names it; other processors have no such line. */
static void find_cpu(char *out, size_t size)
{
	_cleanup_fclose_ FILE *file = fopen("/proc/cpuinfo", "re");
	char line[256];

	*out = '\0';
	while (file && fgets(line, sizeof(line), file)) {
		if (strncmp(line, "model name", strlen("model name")) || !strchr(line, ':'))
			continue;
		line[strcspn(line, "\n")] = '\0';
		snprintf(out, size, "%s", strchr(line, ':') + 2);
		return;
	}
}

static void add_version(json_t *versions, const char *name, const char *command)
{
	char version[128];

	machine_ask(command, version, sizeof(version));
	if (*version)
		json_object_set_new(versions, name, json_string(version));
}

static json_t *versions_json(const struct world *world, const struct peers *peers)
{
	char command[PATH_MAX + 64];
	json_t *versions = json_object();

	snprintf(command, sizeof(command), "'%s/lbctl' version | cut -d ' ' -f 2", world->build);
	add_version(versions, "lbctl", command);
	if (*peers->node_version)
		json_object_set_new(versions, "node", json_string(peers->node_version));
	snprintf(command, sizeof(command), "jq -r .version '%s/package.json' 2>/dev/null",
		 peers->pm2);
	add_version(versions, "pm2", command);
	add_version(versions, "nginx", "nginx -v 2>&1 | sed -n 's,^nginx version: nginx/,,p'");
	add_version(versions, "haproxy",
		    "haproxy -v 2>/dev/null | sed -n 's/^HA-*Proxy version \\([^ ]*\\).*/\\1/p'");
	return versions;
}

json_t *machine_json(const struct world *world, const struct peers *peers)
{
	struct utsname system = { 0 };
	struct sysinfo info = { 0 };
	char cpu[128];

	uname(&system);
	sysinfo(&info);
	find_cpu(cpu, sizeof(cpu));
	return json_pack(
		"{s:s, s:i, s:s, s:I, s:o}", "kernel", system.release, "cpus",
		(int)sysconf(_SC_NPROCESSORS_ONLN), "cpu", cpu, "memory_mb",
		(json_int_t)((unsigned long long)info.totalram * info.mem_unit / BYTES_PER_MB),
		"versions", versions_json(world, peers));
}
