// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* lbctl doctor: what works on this host, what does not, why, and what to do. */
#include <errno.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "base/text.h"
#include "cmd/cmd.h"
#include "host/caps.h"
#include "host/probe.h"
#include "host/sockdiag.h"
#include "host/wake_probe.h"
#include "service/idle.h"
#include "service/latency.h"
#include "service/track.h"
#include "service/users.h"

enum level {
	OK,
	NO, /* the kernel lacks it; lbctl does without */
	WARN,
	FAIL, /* attach does not work until it is mended */
};

static const char *const level_names[] = { "ok", "no", "warn", "FAIL" };

struct doctor {
	bool json;
	json_t *rows;
	int checks, good, fails;
};

__attribute__((format(printf, 3, 4))) static void report(struct doctor *doctor, enum level level,
							 const char *format, ...)
{
	char text[400];
	va_list args;

	va_start(args, format);
	text_vformat(text, sizeof(text), format, args);
	va_end(args);
	doctor->checks++;
	doctor->good += level == OK;
	doctor->fails += level == FAIL;
	if (doctor->json)
		json_array_append_new(doctor->rows, text_pack("{s:s, s:s}", "level",
							      level_names[level], "text", text));
	else
		printf("%-5s %s\n", level_names[level], text);
}

/* For bpf(2) CAP_SYS_ADMIN stands for the three that were taken out of it (capabilities(7)). */
static bool lacks(int capability)
{
	bool is_of_admin = capability == CAP_BPF || capability == CAP_PERFMON ||
			   capability == CAP_NET_ADMIN;

	return !caps_have(capability) && !(is_of_admin && caps_have(CAP_SYS_ADMIN));
}

static bool jit_is_on(void)
{
	_cleanup_fclose_ FILE *file = fopen("/proc/sys/net/core/bpf_jit_enable", "re");
	int value = 0;

	/* where the JIT is built in for good, the file may be missing or unreadable */
	return !file || fscanf(file, "%d", &value) != 1 || value > 0;
}

static void check_kernel(struct doctor *doctor, const struct features *found)
{
	struct utsname kernel = { 0 };

	uname(&kernel);
	if (!found->btf)
		report(doctor, FAIL,
		       "kernel %s has no BTF (/sys/kernel/btf/vmlinux): nothing can be loaded; it "
		       "takes CONFIG_DEBUG_INFO_BTF",
		       kernel.release);
	else if (!jit_is_on())
		report(doctor, WARN,
		       "kernel %s, BTF, but no BPF JIT: decisions are several times slower; "
		       "sysctl net.core.bpf_jit_enable=1",
		       kernel.release);
	else
		report(doctor, OK, "kernel %s, BTF, BPF JIT", kernel.release);
}

static void check_features(struct doctor *doctor, const struct features *found, bool privileged)
{
	if (found->fetch)
		report(doctor, OK, "exact round-robin, weights, drain, random, least-load");
	else if (privileged)
		report(doctor, NO,
		       "atomic add with result (needs 5.12): the counter takes a spin lock; "
		       "no effect on promises");
	if (found->iterator)
		report(doctor, OK, "BPF iterator over TCP sockets: foreign programs are noticed");
	else
		report(doctor, FAIL, "no BPF iterator over TCP sockets (needs 5.9): can't attach");
	if (found->migrate)
		report(doctor, OK, "migration: a dead worker's queue goes to the others");
	else
		report(doctor, NO,
		       "migration (needs 5.14): connections that wait in a dead worker's queue are "
		       "reset, as without lbctl");
	if (found->cast)
		report(doctor, OK,
		       "accept queues are read at each decision: full and stuck workers are passed by");
	else
		report(doctor, NO,
		       "bpf_rdonly_cast (needs 6.2): accept queues are read the slower way; no effect "
		       "on promises");
}

/* It takes what attach takes: where that is missing another line says so. */
static void check_wakes(struct doctor *doctor, const struct features *found, bool privileged)
{
	int result = found->migrate && privileged ? wake_probe() : -EOPNOTSUPP;

	if (result == 1)
		report(doctor, OK, "who sleeps is woken for a connection that migrates to it");
	else if (!result)
		report(doctor, NO,
		       "wake-ups for connections that migrate (the stable kernels of mid-2026, such "
		       "as 6.1.176, have them): run and watch wake who gets one; after attach alone it "
		       "waits for that worker's next connection: keep lbctl watch running, or update "
		       "the kernel");
	else if (result != -EOPNOTSUPP)
		report(doctor, WARN,
		       "can't try on 127.0.0.1 whether who sleeps is woken for a connection that "
		       "migrates (%s): run and watch wake it anyway",
		       strerror(-result));
}

static void check_stalls(struct doctor *doctor, const struct features *found)
{
	if (found->sample && found->migrate)
		report(doctor, OK, "run and watch notice stalled workers, and rescue their queues");
	else
		report(doctor, NO,
		       "BPF programs that user space runs (needs 5.14): a stalled worker is "
		       "noticed only when connections come, and its queue is not rescued");
}

static void check_holding(struct doctor *doctor, const struct features *found, bool privileged)
{
	bool has = found->hold && found->migrate && (found->fetch || !privileged);
	int err = has ? idle_try() : -EOPNOTSUPP;

	if (!has || (err == -EOPNOTSUPP && privileged))
		report(doctor, NO,
		       "perf events that know their worker (needs 5.15): no connection waits for an "
		       "idle worker (hold_ms)");
	else if (!err)
		report(doctor, OK,
		       "under run and watch a connection may wait for an idle worker (hold_ms)");
	else if (privileged)
		report(doctor, WARN,
		       "perf events are not allowed (%s; CAP_PERFMON, a container's seccomp profile): "
		       "no connection waits for an idle worker (hold_ms)",
		       strerror(-err));
}

static void check_latency(struct doctor *doctor, bool privileged)
{
	int err = track_obstacle() ? 0 : latency_try();

	if (track_obstacle() || (err && !privileged))
		return;
	if (!err)
		report(doctor, OK, "latency can be measured (set latency=on)");
	else
		report(doctor, NO,
		       "latency can't be measured (set latency=on): %s; no effect on promises",
		       latency_error(err));
}

static void check_sharing(struct doctor *doctor, const struct features *found, bool privileged)
{
	if (found->bind_setsockopt)
		report(doctor, OK, "run: workers share a port that they bind themselves");
	else if (privileged)
		report(doctor, NO,
		       "socket options from bind hooks (needs 6.1): run shares ports only for "
		       "programs that set SO_REUSEADDR; run --listen has no such limit");
}

static void check_reports(struct doctor *doctor)
{
	if (probe_unprivileged_open())
		report(doctor, OK, "workers without privileges report load");
	else
		report(doctor, NO,
		       "pinned maps for processes without privileges (needs 5.19): such workers "
		       "report load only where they join by lbctl run's control socket");
}

static void check_tracking(struct doctor *doctor, const struct features *found)
{
	const char *obstacle = track_obstacle();

	if (lacks(CAP_NET_ADMIN)) {
		report(doctor, WARN,
		       "CAP_NET_ADMIN missing: connections are not counted, no least-conn, "
		       "least-latency, limit, and run can't share a port (--listen can)");
		return;
	}
	if (obstacle) {
		report(doctor, found->track ? WARN : NO,
		       "connections are not counted, no least-conn, least-latency, limit: %s",
		       obstacle);
		return;
	}
	report(doctor, OK,
	       "connections are counted in the kernel: least-conn, least-latency, limit");
	if (found->late_count)
		report(doctor, OK, "connections accepted before attach are counted in");
	else
		report(doctor, NO,
		       "callback flags by bpf_setsockopt() (needs 6.12): counts begin at attach, older "
		       "connections are left out");
}

static void check_bpffs(struct doctor *doctor)
{
	struct statfs fs;
	struct stat st;

	if (statfs(STATE_BPFFS, &fs) || fs.f_type != BPF_FS_MAGIC) {
		if (caps_have(CAP_SYS_ADMIN))
			report(doctor, WARN,
			       "no bpf file system at " STATE_BPFFS ": attach mounts one");
		else
			report(doctor, FAIL,
			       "no bpf file system at " STATE_BPFFS
			       ": mount -t bpf bpf " STATE_BPFFS " (in a container: bind the "
			       "host's)");
		return;
	}
	if (!stat(STATE_BPFFS, &st) && !(st.st_mode & S_IXOTH))
		report(doctor, WARN,
		       STATE_BPFFS " is mode 0%o: workers of other users report load only to "
				   "services made with attach --group",
		       st.st_mode & 07777);
	else
		report(doctor, OK, "bpf file system at " STATE_BPFFS);
}

static void check_sockdiag(struct doctor *doctor)
{
	struct sockdiag_list list;
	int err = sockdiag_listeners(LB_PROTO_TCP, 0, &list);

	if (err)
		report(doctor, FAIL, "sock_diag does not answer (%s): modprobe tcp_diag",
		       strerror(-err));
	else
		report(doctor, OK, "sock_diag: %zu TCP listeners in this network namespace",
		       list.count);
	sockdiag_free(&list);
}

static void check_capabilities(struct doctor *doctor)
{
	char missing[128] = "";
	bool admin = caps_have(CAP_SYS_ADMIN);

	/* what the lack of the other two costs is told as that */
#define X(capability, use)                                                                         \
	if (capability != CAP_SYS_ADMIN && capability != CAP_NET_ADMIN && lacks(capability))       \
		sprintf(missing + strlen(missing), "%s" #capability, *missing ? ", " : "");
	LB_CAPABILITIES(X)
#undef X
	/* bpffs is root's as a rule, and so is /proc/PID/fd of a server */
	if (!caps_have(CAP_DAC_OVERRIDE) && euidaccess(STATE_BPFFS, R_OK | W_OK | X_OK))
		sprintf(missing + strlen(missing), "%sCAP_DAC_OVERRIDE", *missing ? ", " : "");
	if (*missing)
		report(doctor, FAIL,
		       "%s missing: attach can't work. Run as root, or: setcap "
		       "cap_bpf,cap_net_admin,cap_perfmon,cap_sys_ptrace,cap_dac_override+ep "
		       "lbctl",
		       missing);
	else
		report(doctor, OK, "capabilities %s, SYS_PTRACE",
		       caps_have(CAP_PERFMON) && caps_have(CAP_BPF) ?
			       "BPF, PERFMON" :
			       "SYS_ADMIN (for BPF, PERFMON)");
	if (!admin)
		report(doctor, WARN,
		       "CAP_SYS_ADMIN missing: --netns does not work, and bpffs must be mounted "
		       "already");
}

/* Once for all services of a user, at the first of them. */
static void check_user(struct doctor *doctor, const char *name, uid_t uid)
{
	_cleanup_free_ char(*names)[LB_NAME_MAX + 1] = NULL;
	size_t n = users_neighbours(name, uid, &names);
	char others[USERS_TEXT_BYTES];

	if (!n || strcmp(names[0], name) < 0)
		return;
	users_join(names, n, others);
	report(doctor, WARN,
	       "services %s%s%s have the same user, %u: a worker of one can take another's "
	       "connections; give each a --user of its own",
	       name, n == 1 ? " and " : ", ", others, uid);
}

/* What its users may want to know of a service that runs. */
static void check_service(struct doctor *doctor, const char *name)
{
	struct state state;
	uint64_t taken_off;
	uid_t uid;

	if (state_open(&state, name, STATE_READ))
		return;
	taken_off = state_field(&state.arrays[MAP_CONFIG], state.config, taken_off);
	if (taken_off)
		report(doctor, WARN,
		       "service %s: another BPF program, or none, was on its sockets %lu time%s and "
		       "lbctl's was put back; lbctl events %s names the processes; --user with a "
		       "user that nobody else has keeps others out",
		       name, (unsigned long)taken_off, plural(taken_off), name);
	if (!users_of_service(&state, &uid))
		check_user(doctor, name, uid);
	state_close(&state);
}

static void check_services(struct doctor *doctor)
{
	_cleanup_free_ char(*names)[LB_NAME_MAX + 1] = NULL;
	size_t n = 0;

	if (state_names(&names, &n))
		return;
	for (size_t i = 0; i < n; i++)
		check_service(doctor, names[i]);
}

static int run(struct cmd *cmd)
{
	struct doctor doctor = { .json = cmd->json, .rows = json_array() };
	const struct features *found = probe_features();
	bool privileged = !lacks(CAP_BPF);

	check_kernel(&doctor, found);
	check_features(&doctor, found, privileged);
	check_tracking(&doctor, found);
	check_wakes(&doctor, found, privileged);
	check_stalls(&doctor, found);
	check_holding(&doctor, found, privileged && !lacks(CAP_PERFMON));
	check_latency(&doctor, privileged);
	check_sharing(&doctor, found, privileged && !lacks(CAP_NET_ADMIN));
	check_reports(&doctor);
	check_bpffs(&doctor);
	check_sockdiag(&doctor);
	check_capabilities(&doctor);
	check_services(&doctor);
	if (cmd->json) {
		cmd_print_json(text_pack("{s:o, s:i, s:i, s:i}", "checks", doctor.rows, "total",
					 doctor.checks, "ok", doctor.good, "fail", doctor.fails));
	} else {
		json_decref(doctor.rows);
		printf("%d of %d checks are fine here; %d problem%s found\n", doctor.good,
		       doctor.checks, doctor.fails, doctor.fails == 1 ? "" : "s");
	}
	return doctor.fails ? EXIT_FAILED : EXIT_DONE;
}

const struct command cmd_doctor = {
	.name = "doctor",
	.args = "",
	.summary = "what works on this host, what does not, and what to do",
	.kind = NOUN,
	.run = run,
};
