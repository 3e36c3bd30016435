// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Who is idle, for the keeper's holder, one object per TCP listener that connections may be held
 * for. One program runs when a thread of a worker leaves its CPU (a perf event of that thread
 * alone, so the rest of the host pays nothing), and asks for a held connection if the worker sleeps
 * now. The other one is run by the holder, and looks.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "ask.bpf.h"
#include "counters.bpf.h"
#include "eligible.bpf.h"
#include "hold_maps.bpf.h"
#include "idle.bpf.h"
#include "lb_hold.h"
#include "lb_inspect.h"

struct bpf_map;
struct bpf_perf_event_data;

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define GO_ON 0
#define ENOUGH 1

static __always_inline void learn_work(struct lb_hold *hold, const struct lb_idle *idle,
				       __u64 now_ns)
{
	__u64 work_ns = now_ns - idle->given_ns;

	if (idle->given_ns <= idle->slept_ns || now_ns <= idle->given_ns)
		return;
	hold->work_ns = lb_hold_average(hold->work_ns, work_ns);
	hold->longest_ns = lb_hold_longest(hold->longest_ns, work_ns);
}

SEC("perf_event")
int lb_left_cpu(struct bpf_perf_event_data *ctx)
{
	__u32 slot = bpf_get_attach_cookie(ctx);
	struct lb_hold *hold = hold_state();
	struct lb_idle *idle = bpf_map_lookup_elem(&lb_idle, &slot);
	__u64 now_ns;

	if (!hold || !idle || !lb_worker_sleeps(slot))
		return 0;
	now_ns = bpf_ktime_get_ns();
	learn_work(hold, idle, now_ns);
	idle->slept_ns = now_ns;
	if (hold->occupied) {
		if (!is_unanswered(hold, now_ns))
			ask(hold, now_ns);
	} else if (hold->invited && lb_hold_pays(hold->always, hold->work_ns, hold->delay_ns)) {
		hold->invited = 0;
		ask(hold, now_ns);
	}
	return 0;
}

/* The id of the program on the slot's reuseport group; 0 = none, or one that has no id. */
static __always_inline __u32 program_of(const struct lb_queue *queue)
{
	struct sock *sk = (struct sock *)queue->sock;

	return BPF_CORE_READ(sk, sk_reuseport_cb, prog, aux, id);
}

static long look_at(struct bpf_map *map, __u32 *slot, struct lb_idle *idle,
		    struct lb_idle_look *look)
{
	struct lb_worker *worker = bpf_map_lookup_elem(&lb_workers, slot);
	struct lb_stats *stats = bpf_map_lookup_elem(&lb_stats, slot);
	struct lb_queue *queue = bpf_map_lookup_elem(&lb_queues, slot);
	struct queue_now now;

	(void)map;
	(void)idle;
	if (*slot >= look->slots || !worker || !stats || !queue)
		return ENOUGH;
	/* it may have a socket of another listener only, or be dead already */
	if (worker->state != LB_SLOT_UP || !read_queue(queue, &now) || now.state != LISTENING)
		return GO_ON;
	look->up++;
	look->prog_id = program_of(queue);
	if (slot_is_at_limit(*slot, worker, stats) || judge_slot(*slot) != TAKEN ||
	    !lb_slot_is_idle(*slot, look->now_ns))
		return GO_ON;
	look->idle++;
	return GO_ON;
}

SEC("syscall")
int lb_look_for_idle(struct lb_idle_look *ctx)
{
	struct lb_idle_look look = { .slots = ctx->slots, .now_ns = bpf_ktime_get_ns() };
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();

	look.tgid = BPF_CORE_READ(task, tgid);
	bpf_for_each_map_elem(&lb_idle, look_at, &look, 0);
	*ctx = look;
	return 0;
}
