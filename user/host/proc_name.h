/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a process is called. */
#ifndef PROC_NAME_H
#define PROC_NAME_H

#include <stddef.h>
#include <sys/types.h>

/* Longest answer of proc_name() with its final NUL: a kernel thread's; programs have 16 bytes. */
#define PROC_NAME_BYTES 64

/*
 * The process's short name: comm, which may hold any byte but NUL and comes as text.h writes it;
 * where that is the name of a thread ("MainThread" of Node.js 24) its executable's. Room for
 * PROC_NAME_BYTES is enough for names without such bytes. Returns 0 or -ESRCH (no such process).
 */
int proc_name(pid_t pid, char *out, size_t len);

#endif
