/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What bpf/words.bpf.c keeps of a process's standard error. */
#ifndef LB_WORDS_H
#define LB_WORDS_H

#include <linux/types.h>

#define LB_WORDS_WRITES 8 /* the last so many; a power of 2 */
#define LB_WORDS_BYTES 1020

/* lb_words: hash by cgroup id. Written by the program; entries come and go by lbctl. */
struct lb_words {
	__u32 writes; /* so far; write n is in last[n % LB_WORDS_WRITES] */
	struct {
		__u32 len;
		char text[LB_WORDS_BYTES]; /* how the write began */
	} last[LB_WORDS_WRITES];
};

#endif
