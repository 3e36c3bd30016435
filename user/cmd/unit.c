// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See unit.h. Quoting: systemd.service(5), "COMMAND LINES"; systemd.syntax(7), "QUOTING". */
#include "cmd/unit.h"

#include <errno.h>
#include <limits.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/text.h"

#define PLAIN "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_@%+=:,./-"
#define LOW_PORTS_CAP " CAP_NET_BIND_SERVICE"

/* A line that is not UTF-8 is ignored by systemd as a whole, so other bytes are escaped. */
static size_t put_quoted(FILE *out, const char *at, bool program)
{
	size_t len = text_utf8_length(at, TEXT_UTF8_MOST);

	if (*at == '%' || (*at == '$' && !program))
		fprintf(out, "%c%c", *at, *at);
	else if (*at == '"' || *at == '\\')
		fprintf(out, "\\%c", *at);
	else if (*at == '\n')
		fputs("\\n", out);
	else if (*at == '\t')
		fputs("\\t", out);
	else if (!len || (unsigned char)*at < 0x20 || *at == 0x7f)
		fprintf(out, "\\x%02x", (unsigned char)*at);
	else
		fwrite(at, 1, len, out);
	return len ? len : 1;
}

void unit_put_word(FILE *out, const char *word, bool program)
{
	bool plain = *word && !word[strspn(word, PLAIN)];

	if (!plain)
		fputc('"', out);
	while (*word)
		word += put_quoted(out, word, program);
	if (!plain)
		fputc('"', out);
}

int unit_check_path(const char *path)
{
	size_t len = strlen(path);

	if (path[0] != '/' || path[len - 1] == ' ')
		return -EINVAL;
	for (const char *at = path; *at; at++) {
		if ((unsigned char)*at < 0x20 || strchr("\"'\\\x7f", *at))
			return -EINVAL;
	}
	return unit_check_word(path);
}

int unit_check_word(const char *word)
{
	size_t len;

	for (; *word; word += len) {
		len = text_utf8_length(word, TEXT_UTF8_MOST);
		if (!len)
			return -EINVAL;
	}
	return 0;
}

/* A path where systemd knows of specifiers and of nothing else. */
static void put_path(FILE *out, const char *key, const char *path)
{
	fprintf(out, "%s=", key);
	for (; *path; path++)
		fprintf(out, *path == '%' ? "%%%%" : "%c", *path);
	fputc('\n', out);
}

static void put_command(FILE *out, const char *key, const struct unit *unit,
			const char *const *argv)
{
	fprintf(out, "%s=", key);
	unit_put_word(out, unit->program, true);
	for (; *argv; argv++) {
		fputc(' ', out);
		unit_put_word(out, *argv, false);
	}
	fputc('\n', out);
}

static void put_head(FILE *out, const struct unit *unit)
{
	fprintf(out, "[Unit]\nDescription=%s, %s by lbctl\n", unit->name,
		unit->watches ? "steered" : "run as workers");
	fputs("Documentation=man:lbctl(8)\n"
	      "Wants=network-online.target\n"
	      "After=network-online.target\n"
	      "StartLimitIntervalSec=0\n\n"
	      "[Service]\n"
	      "Type=notify\n",
	      out);
}

/*
 * %n, not a name, so that the file may be called anything. ExecStop= is not run when a unit is
 * stopped while it starts or when lbctl is dead already, ExecStopPost= always is.
 */
static void put_verbs(FILE *out, const struct unit *unit)
{
	fputs("\n# reload: each worker gets a new process. restart: a new lbctl, the same processes.\n"
	      "# stop: all end.\n",
	      out);
	put_command(out, "ExecReload", unit, (const char *[]){ "reload", unit->name, NULL });
	for (size_t i = 0; i < 2; i++) {
		fprintf(out, i ? "ExecStopPost=" : "ExecStop=");
		unit_put_word(out, unit->program, true);
		fprintf(out, " stop --unit %%n --kill-timeout %lu %s\n",
			(unsigned long)unit->kill_timeout_ms, unit->name);
	}
}

/* A start waits for all workers at once; a reload for one after the other. */
static void put_timeouts(FILE *out, const struct unit *unit)
{
	fprintf(out, "TimeoutStartSec=%lu\nTimeoutStopSec=%lu\n",
		(unsigned long)(30 + (unit->workers + 1) * unit->ready_timeout_ms / 1000),
		(unsigned long)(15 + (unit->drain_timeout_ms + unit->kill_timeout_ms) / 1000));
}

static void put_life(FILE *out, const struct unit *unit)
{
	fputs("\n# Workers outlive lbctl: in cgroups of their own, which the next lbctl finds.\n"
	      "Delegate=yes\n"
	      "KillMode=process\n"
	      "KillSignal=SIGUSR2\n"
	      "OOMPolicy=continue\n"
	      "TasksMax=infinity\n",
	      out);
	put_timeouts(out, unit);
}

static void put_capabilities(FILE *out, const struct unit *unit)
{
	fputs("\nCapabilityBoundingSet=CAP_BPF CAP_NET_ADMIN CAP_PERFMON CAP_SYS_PTRACE", out);
	/* without it /proc/PID/fd of another user's process can't be read */
	if (!unit->workers_are_root)
		fputs(" CAP_DAC_READ_SEARCH", out);
	if (unit->binds_low_port)
		fputs(LOW_PORTS_CAP, out);
	if (unit->writes_others_files)
		fputs(" CAP_DAC_OVERRIDE", out);
	if (!unit->watches && !unit->workers_are_root)
		fputs(" CAP_CHOWN CAP_KILL CAP_SETGID CAP_SETUID", out);
	fputc('\n', out);
	if (!unit->watches && unit->workers_are_root)
		fputs("# the workers are root and get these as well; lbctl unit --user needs less\n"
		      "CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_KILL" LOW_PORTS_CAP
		      " CAP_SETGID CAP_SETUID\n",
		      out);
}

static void put_restrictions(FILE *out)
{
	fputs("LockPersonality=yes\n"
	      "RestrictRealtime=yes\n"
	      "RestrictSUIDSGID=yes\n"
	      "SystemCallArchitectures=native\n"
	      "SystemCallFilter=~@clock @cpu-emulation @module @obsolete @raw-io @reboot @swap\n"
	      "SystemCallErrorNumber=EPERM\n",
	      out);
}

/* Of those that start no workers. `net` is for a look at the sockets of other namespaces. */
static void put_more_restrictions(FILE *out)
{
	fputs("NoNewPrivileges=yes\n"
	      "MemoryDenyWriteExecute=yes\n"
	      "RestrictNamespaces=net\n"
	      "RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX\n",
	      out);
}

/*
 * What holds for the workers as well and breaks none that we know of. Nothing that gives the unit a
 * mount namespace (Protect*=, Private*=): a bpffs that lbctl mounts must be seen by all.
 */
static void put_sandbox(FILE *out, const struct unit *unit)
{
	fputc('\n', out);
	put_restrictions(out);
	if (unit->watches)
		put_more_restrictions(out);
}

void unit_print(FILE *out, const struct unit *unit)
{
	put_head(out, unit);
	put_command(out, "ExecStart", unit, unit->argv);
	if (unit->directory)
		put_path(out, "WorkingDirectory", unit->directory);
	fprintf(out, "SyslogIdentifier=%s\n", unit->name);
	if (!unit->watches) {
		put_verbs(out, unit);
		put_life(out, unit);
	}
	fputs("\n# 0 is the end that was asked for; the others, another try would not change.\n"
	      "Restart=always\n"
	      "RestartSec=1\n"
	      "RestartPreventExitStatus=0 2 4 126 127\n"
	      "WatchdogSec=60\n"
	      "RuntimeDirectory=lbctl\n"
	      "RuntimeDirectoryPreserve=yes\n",
	      out);
	put_capabilities(out, unit);
	put_sandbox(out, unit);
	fputs("\n[Install]\nWantedBy=multi-user.target\n", out);
}

/*
 * It pins, mounts and starts nothing, so it may have a mount namespace of its own. CAP_CHOWN is for
 * the group of a Unix socket; what changes a service needs no more than what reads it.
 */
void unit_print_export(FILE *out, const struct unit *unit)
{
	fputs("[Unit]\nDescription=lbctl export: services over HTTP\n"
	      "Documentation=man:lbctl(8)\n\n"
	      "[Service]\nType=notify\n",
	      out);
	put_command(out, "ExecStart", unit, unit->argv);
	fputs("Restart=always\n"
	      "RestartSec=1\n"
	      "RestartPreventExitStatus=0 2 4\n"
	      "RuntimeDirectory=lbctl-export\n"
	      "RuntimeDirectoryMode=0755\n"
	      "\n# What clients send is read by a process that has none of these.\n"
	      "CapabilityBoundingSet=CAP_BPF CAP_CHOWN CAP_DAC_READ_SEARCH",
	      out);
	if (unit->binds_low_port)
		fputs(LOW_PORTS_CAP, out);
	fputs(" CAP_PERFMON CAP_SETGID CAP_SETUID CAP_SYS_PTRACE\n"
	      "ProtectSystem=strict\n"
	      "ProtectHome=read-only\n"
	      "PrivateTmp=yes\n"
	      "PrivateDevices=yes\n"
	      "ProtectKernelModules=yes\n"
	      "ProtectKernelLogs=yes\n"
	      "ProtectControlGroups=yes\n"
	      "ProtectClock=yes\n"
	      "ProtectHostname=yes\n"
	      "IPAddressDeny=any\n"
	      "IPAddressAllow=localhost\n",
	      out);
	put_restrictions(out);
	put_more_restrictions(out);
	fputs("\n[Install]\nWantedBy=multi-user.target\n", out);
}

static bool is_below(const char *path, const char *directory)
{
	size_t len = strlen(directory);

	return !strncmp(path, directory, len) && path[len] == '/';
}

/* Is it another file, or none, for PID 1? Without the right to look, no. */
static bool differs_for_init(const char *path)
{
	char seen[PATH_MAX + 16];
	struct stat here, there;

	if (stat(path, &here) ||
	    snprintf(seen, sizeof(seen), "/proc/1/root%s", path) >= (int)sizeof(seen))
		return false;
	if (stat(seen, &there))
		return errno == ENOENT || errno == ENOTDIR;
	return here.st_dev != there.st_dev || here.st_ino != there.st_ino;
}

const char *unit_path_doubt(const char *path)
{
	static const char *const homes[] = { "/home", "/run/user" };
	struct statfs fs;

	if (differs_for_init(path))
		return "is not what PID 1 sees there: systemd runs outside of this mount namespace";
	if (!statfs(path, &fs) && (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC))
		return "is in memory: gone after a reboot";
	if (is_below(path, "/tmp") || is_below(path, "/var/tmp"))
		return "is a temporary file: systemd-tmpfiles deletes those";
	for (size_t i = 0; i < sizeof(homes) / sizeof(homes[0]); i++) {
		if (is_below(path, homes[i]))
			return "is in a home directory, which may not be mounted at boot";
	}
	return NULL;
}
