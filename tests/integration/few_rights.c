// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* lbctl without the rights that it needs: a capability, root, or bpffs is missing. */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/pins.h"
#include "harness/processes.h"
#include "harness/servers.h"
#include "harness/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct demo demos[2];
static struct clients clients;

static int set_up(void **state)
{
	(void)state;
	demo_start_many(demos, 2, ":8080");
	return 0;
}

/* `setpriv --bounding-set=-CAPABILITIES lbctl ARG...`: root without them. */
static void run_without(const char *capabilities, struct output *output, const char *a,
			const char *b, const char *c)
{
	char drop[128];
	const char *argv[] = { "setpriv", drop, harness_build_path("lbctl"), a, b, c, NULL };

	snprintf(drop, sizeof(drop), "--bounding-set=%s", capabilities);
	command_run(output, argv, COMMAND_MS);
}

/* The missing capability is named, the exit status is 4, nothing was pinned. */
static void test_missing_capability(void **state)
{
	static const struct {
		const char *drop, *word;
	} rows[] = {
		{ "-sys_ptrace", "CAP_SYS_PTRACE" },
		{ "-bpf,-sys_admin", "CAP_BPF" },
		{ "-perfmon,-sys_admin", "CAP_PERFMON" },
	};
	struct output output;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		run_without(rows[i].drop, &output, "attach", ":8080", NULL);
		output_expect(&output, 4, rows[i].word);
		output_free(&output);
		assert_true(pins_are_gone() || !access(HARNESS_PINS, F_OK));
	}
	clients_run(&clients, (struct client_plan){ .connections = 20 });
}

/*
 * Whatever is missing, doctor says that attach can't work where it can't, and not where it can; and
 * of the kernel it says the same with and without rights, or nothing.
 */
static void test_doctor_agrees_with_attach(void **state)
{
	static const char *const rows[] = { "-bpf",
					    "-perfmon",
					    "-net_admin",
					    "-sys_ptrace",
					    "-bpf,-sys_admin",
					    "-perfmon,-sys_admin",
					    "-net_admin,-sys_admin" };
	struct output all, doctor, attach;

	(void)state;
	lbctl_run(&all, "doctor", NULL);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		bool refused;

		run_without(rows[i], &doctor, "doctor", NULL, NULL);
		run_without(rows[i], &attach, "attach", ":8080", NULL);
		refused = strstr(doctor.out, "attach can't work");
		if (refused != (attach.status == 4) || refused != (doctor.status == 1))
			fail_msg("%s: attach: status %d: %s%sdoctor: %s", rows[i], attach.status,
				 attach.out, attach.err, doctor.out);
		if (!refused && !strstr(doctor.out, "connections are not counted") !=
					!strstr(attach.out, "connections are not counted"))
			fail_msg("%s: attach: %sdoctor: %s", rows[i], attach.out, doctor.out);
		if (strstr(doctor.out, "(needs ") && !strstr(all.out, "(needs "))
			fail_msg("%s: a kernel that has it all: %s", rows[i], doctor.out);
		if (!refused)
			lbctl_ok("detach", NULL);
		output_free(&doctor);
		output_free(&attach);
	}
	output_free(&all);
}

/* Somebody who may nothing at all: 4 for every command that needs the pins. */
static void test_nobody(void **state)
{
	static const char *const commands[] = { "list", "show", "stats", "detach" };

	(void)state;
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		const char *argv[] = { "setpriv",
				       "--reuid=65534",
				       "--regid=65534",
				       "--clear-groups",
				       harness_build_path("lbctl"),
				       commands[i],
				       NULL };
		struct output output;

		command_run(&output, argv, COMMAND_MS);
		output_expect(&output, 4, commands[i]);
		output_free(&output);
	}
}

/* As user nobody with these capabilities, each with a + before it. */
static void run_as_nobody_with(const char *capabilities, struct output *output, const char *a,
			       const char *b)
{
	char inherit[160], keep[160];
	const char *argv[] = { "setpriv",
			       "--reuid=65534",
			       "--regid=65534",
			       inherit,
			       keep,
			       "--clear-groups",
			       harness_build_path("lbctl"),
			       a,
			       b,
			       NULL };

	snprintf(inherit, sizeof(inherit), "--inh-caps=%s", capabilities);
	snprintf(keep, sizeof(keep), "--ambient-caps=%s", capabilities);
	command_run(output, argv, COMMAND_MS);
}

/*
 * Who is not root, and has what setcap gives:
 * 1. without CAP_DAC_OVERRIDE bpffs and the servers' processes are closed to it: doctor says so
 * 2. with what doctor names, attach works
 */
static void test_not_root(void **state)
{
	static const char some[] = "+bpf,+net_admin,+perfmon,+sys_ptrace";
	static const char all[] = "+bpf,+net_admin,+perfmon,+sys_ptrace,+dac_override";
	struct output output;

	(void)state;
	run_as_nobody_with(some, &output, "attach", ":8080");
	output_expect(&output, 4, "CAP_DAC_READ_SEARCH");
	output_free(&output);
	run_as_nobody_with(some, &output, "doctor", NULL);
	assert_int_equal(output.status, 1);
	assert_non_null(strstr(output.out, "CAP_DAC_OVERRIDE missing: attach can't work"));
	output_free(&output);
	run_as_nobody_with(all, &output, "doctor", NULL);
	assert_int_equal(output.status, 0);
	output_free(&output);
	run_as_nobody_with(all, &output, "attach", ":8080");
	output_expect(&output, 0, "");
	output_free(&output);
	run_as_nobody_with(all, &output, "detach", NULL);
	output_expect(&output, 0, "");
	output_free(&output);
}

/* A container without bpffs and without the right to mount it: says so, exit 4. */
static void test_no_bpffs(void **state)
{
	char command[512];
	const char *argv[] = { "unshare", "--mount", "sh", "-c", command, NULL };
	struct output output;

	(void)state;
	snprintf(command, sizeof(command),
		 "umount /sys/fs/bpf && exec setpriv --bounding-set=-sys_admin %s attach :8080",
		 harness_build_path("lbctl"));
	command_run(&output, argv, COMMAND_MS);
	output_expect(&output, 4, "/sys/fs/bpf");
	output_free(&output);
	snprintf(command, sizeof(command), "umount /sys/fs/bpf && exec %s list",
		 harness_build_path("lbctl"));
	command_run(&output, argv, COMMAND_MS);
	assert_in_range(output.status, 0, 4);
	output_free(&output);
}

#define world_test(function) cmocka_unit_test_setup_teardown(function, set_up, harness_reset)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		world_test(test_missing_capability),
		world_test(test_doctor_agrees_with_attach),
		world_test(test_nobody),
		world_test(test_not_root),
		world_test(test_no_bpffs),
	};

	(void)argc;
	return harness_run(argv[0], tests);
}
