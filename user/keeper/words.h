/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a process said on standard error before it ended, for the message about its end. The
 * kernel reads along (bpf/words.bpf.c): a pipe through lbctl would end or block the process when
 * lbctl dies, and a file of our own would take the output from where the user wants it.
 */
#ifndef WORDS_H
#define WORDS_H

#include <stddef.h>
#include <stdint.h>

#define WORDS_LINE_BYTES 200

struct words_tap;

/*
 * Returns NULL where the kernel can't or we may not (CAP_PERFMON); the others take NULL and do
 * nothing.
 */
struct words_tap *words_open(void);
void words_close(struct words_tap *words);

/* From now on what the processes of this cgroup write is kept; from now on no more. */
void words_begin(struct words_tap *words, uint64_t cgroup);
void words_end(struct words_tap *words, uint64_t cgroup);

/* The line of it that tells most, as of words_pick(); "" if there is none. */
void words_get(const struct words_tap *words, uint64_t cgroup, char line[WORDS_LINE_BYTES]);

/*
 * The last line of a text that names an error and is not indented, as stack traces are; else the
 * last that is not blank. Cut to what fits; what is not printable ASCII becomes '?'.
 */
void words_pick(const char *text, size_t bytes, char line[WORDS_LINE_BYTES]);

#endif
