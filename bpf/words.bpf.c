// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Reads along what starting workers write to descriptor 2, whatever that is: a terminal, the
 * journal, a file. Nothing stands between worker and output, so nothing of it can block, break or
 * be lost with lbctl. It slows every system call of the host a little, so it is attached only
 * while a worker starts. writev(2) is not seen.
 */
#include "vmlinux.h"
#include <asm/ptrace.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "lb_words.h"

/* <asm/unistd.h> takes the BPF target for a 32-bit machine. */
#if defined(__TARGET_ARCH_x86)
#define NR_WRITE 1
#elif defined(__TARGET_ARCH_arm64) || defined(__TARGET_ARCH_riscv)
#define NR_WRITE 64
#else
#define NR_WRITE 4
#endif
#define STDERR 2

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/*
 * All of it is there from the beginning, 8 kB for each: kernels before 6.1 warn of a program of
 * this type with a map that allocates later. Of more that start at once some are not heard.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 128);
	__type(key, __u64);
	__type(value, struct lb_words);
} lb_words SEC(".maps");

/* An argument of the system call that begins; they are where those of a function are. */
#define argument(regs, n)                                                                          \
	({                                                                                         \
		__u64 value_ = 0;                                                                  \
		bpf_probe_read_kernel(&value_, sizeof(value_), &PT_REGS_PARM##n(regs));            \
		value_;                                                                            \
	})

/* Arguments: the registers, the number of the system call. */
SEC("raw_tp/sys_enter")
int lb_write(struct bpf_raw_tracepoint_args *ctx)
{
	struct pt_regs *regs = (struct pt_regs *)ctx->args[0];
	struct lb_words *words;
	__u64 cgroup, count;
	__u32 at;

	if (ctx->args[1] != NR_WRITE || argument(regs, 1) != STDERR)
		return 0;
	cgroup = bpf_get_current_cgroup_id();
	words = bpf_map_lookup_elem(&lb_words, &cgroup);
	if (!words)
		return 0;
	count = argument(regs, 3);
	if (count > LB_WORDS_BYTES)
		count = LB_WORDS_BYTES;
	/* two threads at once may share an entry: then one of their texts is lost */
	at = words->writes++ % LB_WORDS_WRITES;
	words->last[at].len = 0;
	if (!bpf_probe_read_user(words->last[at].text, count, (void *)argument(regs, 2)))
		words->last[at].len = count;
	return 0;
}
