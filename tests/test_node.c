/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which commands are told of their channel as child_process.fork() does: those of Node.js. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "keeper/node.h"

static void test_commands(void **state)
{
	static const struct {
		const char *name;
		char *argv[6];
		bool want;
	} rows[] = {
		{ "node", { "node", "app.js" }, true },
		{ "by its path", { "/opt/node-24/bin/node", "app.js" }, true },
		{ "npm", { "npm", "start" }, true },
		{ "python", { "python3", "app.py" }, false },
		{ "an argument", { "python3", "app.py", "--with", "/usr/bin/node" }, false },
		{ "another name", { "node_exporter" }, false },
		{ "a shell's command", { "sh", "-c", "cd /srv && exec node app.js" }, true },
		{ "in quotes", { "bash", "-c", "A=b '/usr/bin/node' app.js" }, true },
		{ "another one", { "sh", "-c", "exec python3 node_app.py" }, false },
		{ "through env", { "env", "A=1", "node", "app.js" }, true },
		{ "through nice", { "/usr/bin/nice", "-n", "5", "node", "app.js" }, true },
		{ "what is not there", { "/no/such" }, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check("node_is_run", rows[i].name, node_is_run(rows[i].argv), rows[i].want);
}

static void make(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	chmod(path, 0755);
}

/* 1. scripts, by their first line  2. a link, and PATH */
static void test_files(void **state)
{
	static const struct {
		const char *text;
		bool want;
	} rows[] = {
		{ "#!/usr/bin/env node\n", true },
		{ "#!/usr/bin/env -S node --no-warnings\nnode\n", true },
		{ "#!/usr/local/bin/node", true },
		{ "#!/bin/sh\nexec node app.js\n", false },
		{ "#!", false },
		{ "node\n", false },
		{ "", false },
	};
	char dir[] = "/tmp/test-node-XXXXXX", script[64], link[64];

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(script, sizeof(script), "%s/start", dir);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		make(script, rows[i].text);
		check("node_is_run", rows[i].text, node_is_run((char *[]){ script, NULL }),
		      rows[i].want);
	}
	make(script, rows[0].text);
	snprintf(link, sizeof(link), "%s/a-link", dir);
	assert_int_equal(symlink("start", link), 0);
	setenv("PATH", dir, 1);
	check("node_is_run", "link on PATH", node_is_run((char *[]){ "a-link", NULL }), true);
	unlink(link);
	check("node_is_run", "not on PATH", node_is_run((char *[]){ "a-link", NULL }), false);
	unlink(script);
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_commands),
		cmocka_unit_test(test_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
