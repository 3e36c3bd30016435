/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * systemd units that keep a service: their text, and words as systemd.service(5) wants them
 * quoted. Knows nothing of the host but which paths PID 1 can see.
 */
#ifndef UNIT_H
#define UNIT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define UNIT_EXPORT_DIR "/run/lbctl-export/" /* that a unit of lbctl export may write in */

struct unit {
	const char *name;	  /* of the service */
	const char *program;	  /* absolute path of lbctl */
	const char *const *argv;  /* what follows it in ExecStart=; ends with NULL */
	const char *directory;	  /* WorkingDirectory=, NULL = the root directory */
	bool watches;		  /* lbctl watch: there are no workers to reload, leave or stop */
	bool workers_are_root;	  /* no --user */
	bool binds_low_port;	  /* lbctl itself binds a port below 1024 */
	bool writes_others_files; /* --log-dir is not root's */
	uint64_t workers;
	uint64_t ready_timeout_ms;
	uint64_t drain_timeout_ms;
	uint64_t kill_timeout_ms;
};

/*
 * Writes a word so that systemd reads back the same bytes: specifiers (%) and variables ($) are
 * not expanded, nothing ends the word or the line. `program`: it is the first word of a command
 * line, in which systemd expands no variable.
 */
void unit_put_word(FILE *out, const char *word, bool program);

/*
 * Can this be the program or the WorkingDirectory= of a unit? There systemd takes no quotes, and
 * some characters can't be written at all. Returns 0 or -EINVAL (not an absolute path either).
 */
int unit_check_path(const char *path);

/*
 * Can this be an argument? systemd would start the program, but `systemctl status` and `show` of
 * a unit that is not UTF-8 fail. Returns 0 or -EINVAL.
 */
int unit_check_word(const char *word);

/* Writes the unit. Both paths have passed unit_check_path(). */
void unit_print(FILE *out, const struct unit *unit);

/* Writes one of lbctl export: of a unit the program and its words count. */
void unit_print_export(FILE *out, const struct unit *unit);

/*
 * Why systemd might not find at boot, as PID 1, what is at this absolute path now: the end of a
 * sentence that begins with the path; NULL if there is no reason.
 */
const char *unit_path_doubt(const char *path);

#endif
