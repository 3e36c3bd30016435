/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Units as systemd reads them: quoted words, paths, and which lines belong to which service. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "cmd/unit.h"

static char *quote(const char *word, bool program)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	unit_put_word(out, word, program);
	fclose(out);
	return text;
}

static void test_words(void **state)
{
	static const struct {
		const char *name, *input, *want;
	} rows[] = {
		{ "plain", "/usr/bin/node", "/usr/bin/node" },
		{ "option", "--listen=127.0.0.1:80,[::1]:80",
		  "\"--listen=127.0.0.1:80,[::1]:80\"" },
		{ "empty", "", "\"\"" },
		{ "space", "a b", "\"a b\"" },
		{ "only a space", " ", "\" \"" },
		{ "double quote", "say \"hi\"", "\"say \\\"hi\\\"\"" },
		{ "single quote", "it's", "\"it's\"" },
		{ "backslash", "a\\n", "\"a\\\\n\"" },
		{ "backslash at the end", "a\\", "\"a\\\\\"" },
		{ "specifier", "%n", "%%n" },
		{ "percent, twice", "100%%", "100%%%%" },
		{ "variable", "$HOME", "\"$$HOME\"" },
		{ "variable in braces", "a${HOME}b", "\"a$${HOME}b\"" },
		{ "two dollars", "$$", "\"$$$$\"" },
		{ "semicolon, which separates commands", ";", "\";\"" },
		{ "newline", "a\nb", "\"a\\nb\"" },
		{ "tab", "a\tb", "\"a\\tb\"" },
		{ "return, escape, delete", "\r\x1b\x7f", "\"\\x0d\\x1b\\x7f\"" },
		{ "control, then a digit",
		  "\x01"
		  "1",
		  "\"\\x011\"" },
		{ "2 bytes", "gr\xc3\xbc\xc3\x9f", "\"gr\xc3\xbc\xc3\x9f\"" },
		{ "3 bytes", "\xe2\x82\xac", "\"\xe2\x82\xac\"" },
		{ "4 bytes", "\xf0\x9f\x90\x99", "\"\xf0\x9f\x90\x99\"" },
		{ "latin1", "gr\xfc", "\"gr\\xfc\"" },
		{ "cut short", "\xe2\x82", "\"\\xe2\\x82\"" },
		{ "overlong", "\xc0\xaf\xe0\x80\x80", "\"\\xc0\\xaf\\xe0\\x80\\x80\"" },
		{ "surrogate", "\xed\xa0\x80", "\"\\xed\\xa0\\x80\"" },
		{ "beyond Unicode", "\xf4\x90\x80\x80\xff", "\"\\xf4\\x90\\x80\\x80\\xff\"" },
		{ "last code point", "\xf4\x8f\xbf\xbf", "\"\xf4\x8f\xbf\xbf\"" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char *got = quote(rows[i].input, false);

		if (strcmp(got, rows[i].want))
			fail_msg("%s: got %s, want %s", rows[i].name, got, rows[i].want);
		free(got);
	}
}

/* systemd expands specifiers in the program's path, but no variables. */
static void test_program(void **state)
{
	char *got = quote("/opt/a $b%c/lbctl", true);

	(void)state;
	assert_string_equal(got, "\"/opt/a $b%%c/lbctl\"");
	free(got);
}

static void test_paths(void **state)
{
	static const struct {
		const char *input;
		int want;
	} rows[] = {
		{ "/", 0 },
		{ "/srv/my app", 0 },
		{ "/srv/100%", 0 },
		{ "/srv/gr\xc3\xbc", 0 },
		{ "", -EINVAL },
		{ "srv", -EINVAL },
		{ "./srv", -EINVAL },
		{ "/srv/app ", -EINVAL },
		{ "/srv\\", -EINVAL },
		{ "/srv/\"app\"", -EINVAL },
		{ "/srv/it's", -EINVAL },
		{ "/srv/a\nb", -EINVAL },
		{ "/srv/\x7f", -EINVAL },
		{ "/srv/gr\xfc", -EINVAL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (unit_check_path(rows[i].input) != rows[i].want)
			fail_msg("\"%s\": got %d", rows[i].input, unit_check_path(rows[i].input));
	}
}

static void test_utf8_words(void **state)
{
	(void)state;
	assert_int_equal(unit_check_word(""), 0);
	assert_int_equal(unit_check_word("a\nb gr\xc3\xbc\xf0\x9f\x90\x99"), 0);
	assert_int_equal(unit_check_word("gr\xfc"), -EINVAL);
	assert_int_equal(unit_check_word("\xe2\x82"), -EINVAL);
}

static char *print(const struct unit *unit)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	unit_print(out, unit);
	fclose(out);
	return text;
}

/* Does the unit have this line, whole? */
static void expect(const char *text, const char *line, bool want)
{
	const char *at = text;
	size_t len = strlen(line);
	bool got = false;

	while (!got && (at = strstr(at, line))) {
		got = (at == text || at[-1] == '\n') && at[len] == '\n';
		at += len;
	}
	if (got != want)
		fail_msg("%s: %s\n%s", line, want ? "not there" : "is there", text);
}

static const struct unit web = {
	.name = "web",
	.program = "/opt/lb%/lbctl",
	.argv = (const char *const[]){ "run", "--", "/usr/bin/node", "a b.js", NULL },
	.directory = "/srv/100% web",
	.workers = 4,
	.ready_timeout_ms = 10000,
	.drain_timeout_ms = 5000,
	.kill_timeout_ms = 60500,
};

#define LB_CAPS "CapabilityBoundingSet=CAP_BPF CAP_NET_ADMIN CAP_PERFMON CAP_SYS_PTRACE"
#define ROOT_CAPS                                                                                  \
	"CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_KILL "                    \
	"CAP_NET_BIND_SERVICE CAP_SETGID CAP_SETUID"

static const char *const not_for_workers[] = {
	"NoNewPrivileges=yes",
	"MemoryDenyWriteExecute=yes",
	"RestrictNamespaces=net",
	"RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX",
};

static void test_run(void **state)
{
	static const char *const lines[] = {
		"Documentation=man:lbctl(8)",
		"Type=notify",
		"ExecStart=/opt/lb%%/lbctl run -- /usr/bin/node \"a b.js\"",
		"ExecReload=/opt/lb%%/lbctl reload web",
		"ExecStop=/opt/lb%%/lbctl stop --unit %n --kill-timeout 60500 web",
		"ExecStopPost=/opt/lb%%/lbctl stop --unit %n --kill-timeout 60500 web",
		"WorkingDirectory=/srv/100%% web",
		"Delegate=yes",
		"KillMode=process",
		"KillSignal=SIGUSR2",
		"Restart=always",
		"RuntimeDirectoryPreserve=yes",
		"TimeoutStartSec=80",
		"TimeoutStopSec=80",
		LB_CAPS " CAP_DAC_READ_SEARCH CAP_CHOWN CAP_KILL CAP_SETGID CAP_SETUID",
		"LockPersonality=yes",
		"RestrictSUIDSGID=yes",
		"SystemCallArchitectures=native",
		"SystemCallFilter=~@clock @cpu-emulation @module @obsolete @raw-io @reboot @swap",
	};
	char *text = print(&web);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		expect(text, lines[i], true);
	expect(text, ROOT_CAPS, false);
	/* a worker may be meant to gain rights (sudo), to compile, to have namespaces */
	for (size_t i = 0; i < ARRAY_SIZE(not_for_workers); i++)
		expect(text, not_for_workers[i], false);
	free(text);
}

static void test_capabilities(void **state)
{
	struct unit unit = web;
	char *text;

	(void)state;
	unit.workers_are_root = true;
	text = print(&unit);
	expect(text, LB_CAPS, true);
	expect(text, ROOT_CAPS, true);
	free(text);
	unit.workers_are_root = false;
	unit.binds_low_port = true;
	unit.writes_others_files = true;
	text = print(&unit);
	expect(text,
	       LB_CAPS
	       " CAP_DAC_READ_SEARCH CAP_NET_BIND_SERVICE CAP_DAC_OVERRIDE CAP_CHOWN CAP_KILL CAP_SETGID CAP_SETUID",
	       true);
	free(text);
}

/* No workers of its own: nothing to reload or to stop, and an end of lbctl changes nothing. */
static void test_export(void **state)
{
	const char *const argv[] = { "export", "--host", "a b", NULL };
	const struct unit unit = { .name = "x", .program = "/usr/sbin/lbctl", .argv = argv };
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	unit_print_export(out, &unit);
	fclose(out);
	assert_non_null(strstr(text, "\nExecStart=/usr/sbin/lbctl export --host \"a b\"\n"));
	expect(text, "ProtectSystem=strict", true);
	expect(text, "ProtectControlGroups=yes", true);
	for (size_t i = 0; i < ARRAY_SIZE(not_for_workers); i++)
		expect(text, not_for_workers[i], true);
	assert_null(strstr(text, "CAP_SYS_ADMIN"));
	assert_null(strstr(text, "KillMode"));
	free(text);
}

static void test_watch(void **state)
{
	const struct unit unit = {
		.name = "tcp-80",
		.program = "/sbin/lbctl",
		.argv = (const char *const[]){ "watch", ":80", NULL },
		.watches = true,
	};
	char *text = print(&unit);

	(void)state;
	expect(text, "ExecStart=/sbin/lbctl watch :80", true);
	expect(text, "Restart=always", true);
	for (size_t i = 0; i < ARRAY_SIZE(not_for_workers); i++)
		expect(text, not_for_workers[i], true);
	expect(text, LB_CAPS " CAP_DAC_READ_SEARCH", true);
	expect(text, "KillSignal=SIGUSR2", false);
	assert_null(strstr(text, "ExecStop"));
	assert_null(strstr(text, "ExecReload"));
	assert_null(strstr(text, "WorkingDirectory"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words), cmocka_unit_test(test_program),
		cmocka_unit_test(test_paths), cmocka_unit_test(test_utf8_words),
		cmocka_unit_test(test_run),   cmocka_unit_test(test_capabilities),
		cmocka_unit_test(test_watch), cmocka_unit_test(test_export),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
