// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See hold_loop.h. */
#include "keeper/hold_loop.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "host/priority.h"
#include "lb_hold.h"
#include "lb_pick.h"
#include "service/hold.h"
#include "service/idle.h"
#include "service/state.h"
#include "service/waiting.h"
#include "service/wake_listeners.h"

#define LOOK_MS 10	       /* while something waits: should a worker's sleep not be told */
#define HANDSHAKE_MS 500       /* from one look at handshakes that don't end to the next */
#define QUIET_MS 1000	       /* while there are waiting listeners, and nothing waits */
#define ALONE_NS 3000000000ULL /* without a worker, and longer if hold_ms is */
#define CLOSELY_NS 200000000ULL
/* A handshake that began after the oldest connection had come may be ending: it would be reset. */
#define HANDSHAKE_NS 50000000ULL
#define UNUSED_NS 60000000000ULL /* after which they are closed */
#define FIRST_PAUSE_NS 1000000000ULL
#define LONGEST_PAUSE_NS 60000000000ULL

struct loop {
	struct state state;
	struct lb_hold *hold;
	struct idle *idle;
	struct waiting *waiting; /* NULL: there are none now */
	struct ring_buffer *ring;
	int told_fd, report_fd;
	pid_t keeper;
	bool wakes;	   /* the kernel does not wake the worker that a connection goes to */
	uint64_t used_ns;  /* when one was let go last */
	uint64_t pause_ns; /* the last one, for the next */
	uint64_t paused_until_ns;
	uint64_t alone_ns;  /* since when no worker has been there; 0 = one is */
	uint64_t looked_ns; /* closely */
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

static void report(const struct loop *loop, enum hold_word word, uint64_t number, const char *text)
{
	struct hold_report said = { .word = word, .number = number };

	snprintf(said.text, sizeof(said.text), "%s", text);
	/* with no room left the keeper has not looked for a while, and has enough to read */
	if (write(loop->report_fd, &said, sizeof(said)) < 0)
		return;
}

/* --- whom it listens to --- */

/* A worker may come or go at any time: that is told, and looked at again. */
static int follow_workers(struct loop *loop)
{
	const struct state *state = &loop->state;
	int err = 0, result;

	for (uint32_t slot = 0; slot < state_used_slots(state); slot++) {
		const struct lb_worker *row = state_worker(state, slot);
		pid_t pid = lb_slot_is_open(row->state) ? row->pid : 0;

		result = idle_follow(loop->idle, slot, pid);
		err = err ? err : result;
	}
	return err;
}

static void set_most(struct loop *loop)
{
	uint64_t hold_ns = __atomic_load_n(&loop->state.config->hold_ns, __ATOMIC_RELAXED);
	bool automatic = hold_ns == LB_HOLD_AUTO;

	loop->hold->always = !automatic;
	loop->hold->most_ns = automatic ? LB_HOLD_AUTO_MOST_NS : hold_ns;
}

/* --- waiting listeners come and go --- */

static const char *trouble_text(int err)
{
	switch (err) {
	case -EPERM:
	case -EACCES:
		return "it takes CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN and CAP_SETUID, and perf "
		       "events allowed";
	case -EBUSY:
		return "no process may be in the workers' cgroup";
	case -EOPNOTSUPP:
		return "this kernel's BPF can't tell who is idle";
	default:
		return strerror(-err);
	}
}

static void cannot(struct loop *loop, int err, const char *option)
{
	char text[sizeof(loop->hold->why)];

	if (option && err == -EXDEV)
		snprintf(text, sizeof(text), "the workers' listening sockets differ in %s", option);
	else if (option)
		snprintf(text, sizeof(text), "%s of a worker's listening socket can't be copied",
			 option);
	else
		snprintf(text, sizeof(text), "%s", trouble_text(err));
	if (loop->hold)
		memcpy(loop->hold->why, text, sizeof(text));
	report(loop, HOLD_CANNOT, 0, text);
}

static bool pays(const struct loop *loop)
{
	return lb_hold_pays(loop->hold->always, loop->hold->work_ns, loop->hold->delay_ns);
}

/* Longer each time. */
static void pause_for(struct loop *loop, uint64_t at_ns)
{
	loop->pause_ns = loop->pause_ns ? loop->pause_ns * 2 : FIRST_PAUSE_NS;
	if (loop->pause_ns > LONGEST_PAUSE_NS)
		loop->pause_ns = LONGEST_PAUSE_NS;
	loop->paused_until_ns = at_ns + loop->pause_ns;
}

/* A change of the user id, be it of a file's, has taken that from us. */
static void end_with_keeper(const struct loop *loop)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != loop->keeper)
		_exit(1);
}

static void begin(struct loop *loop, uint64_t at_ns)
{
	const char *option;
	int err;

	if (loop->waiting || at_ns < loop->paused_until_ns || !pays(loop))
		return;
	err = waiting_open(&loop->state, &loop->waiting, &option);
	end_with_keeper(loop);
	if (!err) {
		priority_raise();
		loop->hold->why[0] = '\0';
		loop->used_ns = at_ns;
		report(loop, HOLD_BEGINS, loop->hold->work_ns, "");
		return;
	}
	pause_for(loop, at_ns);
	if (err != -EAGAIN)
		cannot(loop, err, option);
}

static void end(struct loop *loop)
{
	priority_lower();
	waiting_close(loop->waiting);
	loop->waiting = NULL;
	loop->hold->delay_ns = LB_HOLD_FIRST_DELAY_NS;
	report(loop, HOLD_ENDS, 0, "");
}

/* Such workers take new connections between two others, without a sleep. */
static void pause_holding(struct loop *loop, uint64_t at_ns)
{
	end(loop);
	pause_for(loop, at_ns);
}

/* A worker that came since may accept connections of another kind. */
static void check_likeness(struct loop *loop)
{
	const char *option;

	if (!loop->waiting || waiting_still_fits(loop->waiting, &option))
		return;
	pause_holding(loop, now_ns());
	cannot(loop, -EXDEV, option);
}

/* --- what waits --- */

static int on_entry(void *arg, void *entry, size_t bytes)
{
	struct loop *loop = arg;
	const struct lb_ask *asked = entry;

	if (bytes >= sizeof(*asked) && asked->slot != LB_NO_SLOT && loop->wakes)
		hold_wake(&loop->state, asked->slot);
	return 0;
}

static uint64_t last_sleep_ns(const struct loop *loop)
{
	uint64_t last = 0;

	for (uint32_t slot = 0; slot < state_used_slots(&loop->state); slot++) {
		uint64_t slept = state_idle(&loop->state, slot)->slept_ns;

		last = slept > last ? slept : last;
	}
	return last;
}

static bool is_hopeless(const struct loop *loop, int oldest, uint64_t since_ns, uint64_t at_ns)
{
	uint64_t patience = lb_hold_patience(loop->hold->work_ns, loop->hold->longest_ns);
	struct lb_idle_look look;

	return !loop->hold->always && at_ns > since_ns && at_ns - since_ns > patience &&
	       last_sleep_ns(loop) < since_ns &&
	       !idle_look(loop->idle, waiting_listener(loop->waiting, oldest), &look) && look.up;
}

/*
 * With nobody to go to a connection stays where it is safe; so it does while another program is on
 * the group, as then the kernel would reset it. The keeper sees to that.
 */
static bool can_go(const struct loop *loop, uint32_t listener, const struct lb_idle_look *look)
{
	return look->up && look->prog_id == loop->state.config->listeners[listener].prog_id;
}

/* Handshakes that never end do not hold it up for long. */
static bool chosen_lately(const struct loop *loop, int index, uint64_t since_ns, uint64_t at_ns)
{
	uint64_t chosen_ns = state_waiting(&loop->state, index)->chosen_ns;

	return chosen_ns > since_ns && (int64_t)(at_ns - chosen_ns) < (int64_t)HANDSHAKE_NS &&
	       (int64_t)(at_ns - since_ns) < (int64_t)(2 * HANDSHAKE_NS);
}

/* Who has waited longest, over all listeners from which one can go. Returns whether it may. */
static bool let_one_go(struct loop *loop)
{
	uint64_t since_ns, at_ns;
	struct lb_idle_look look;
	uint32_t without = 0, listener;
	bool overdue;
	int index;

	for (;;) {
		index = waiting_oldest(loop->waiting, without, &since_ns);
		if (index < 0)
			return false;
		listener = waiting_listener(loop->waiting, index);
		if (!idle_look(loop->idle, listener, &look) && can_go(loop, listener, &look))
			break;
		without |= 1U << listener;
	}
	at_ns = now_ns();
	overdue = at_ns > since_ns && at_ns - since_ns >= loop->hold->most_ns;
	if (!look.idle && !overdue)
		return false;
	if (chosen_lately(loop, index, since_ns, at_ns) && !overdue)
		return false;
	waiting_release(loop->waiting, index, overdue);
	ring_buffer__consume(loop->ring);
	loop->used_ns = at_ns;
	return true;
}

enum workers {
	SOME_ARE_UP,
	ALL_DRAIN, /* the kernel's hash picks a socket of the group: it is to be one of theirs */
	NONE_IS_THERE,
};

static enum workers look_at_workers(const struct loop *loop)
{
	enum workers found = NONE_IS_THERE;

	for (uint32_t slot = 0; slot < state_used_slots(&loop->state); slot++) {
		uint32_t is = state_worker(&loop->state, slot)->state;

		if (is == LB_SLOT_UP)
			return SOME_ARE_UP;
		if (is == LB_SLOT_DRAINING)
			found = ALL_DRAIN;
	}
	return found;
}

/*
 * With no worker there, who comes is accepted and waits: for one that is started again that is
 * right, and for a service that is gone it is not.
 */
static bool is_left_alone(struct loop *loop, enum workers workers, uint64_t at_ns)
{
	uint64_t most_ns = loop->hold->most_ns;

	if (workers != NONE_IS_THERE) {
		loop->alone_ns = 0;
		return workers == ALL_DRAIN;
	}
	if (!loop->alone_ns)
		loop->alone_ns = at_ns;
	return at_ns - loop->alone_ns > (most_ns > ALONE_NS ? most_ns : ALONE_NS);
}

/* Who asks after the first line is answered by the next turn. */
static void answer(struct loop *loop)
{
	uint64_t since_ns, at_ns;
	int oldest;

	__atomic_store_n(&loop->hold->asked_ns, 0, __ATOMIC_SEQ_CST);
	ring_buffer__consume(loop->ring);
	while (loop->waiting && let_one_go(loop))
		continue;
	at_ns = now_ns();
	oldest = loop->waiting ? waiting_oldest(loop->waiting, 0, &since_ns) : -1;
	if (oldest >= 0 && is_hopeless(loop, oldest, since_ns, at_ns))
		pause_holding(loop, at_ns);
}

/* --- the loop --- */

static int open_loop(struct loop *loop, const char *name)
{
	int err = state_open(&loop->state, name, STATE_READ);

	if (err)
		return err;
	loop->hold = state_hold(&loop->state);
	hold_reset(&loop->state);
	hold_sweep(&loop->state);
	err = idle_open(&loop->state, &loop->idle);
	if (err)
		return err;
	loop->ring = ring_buffer__new(loop->state.maps[MAP_ASK], on_entry, loop, NULL);
	if (!loop->ring)
		return -errno;
	/* what an earlier one has not read */
	ring_buffer__consume(loop->ring);
	loop->wakes = wake_listeners_needed();
	loop->hold->delay_ns = LB_HOLD_FIRST_DELAY_NS;
	set_most(loop);
	err = follow_workers(loop);
	/* of a worker that has too many threads, looks at it now and then have to do */
	return err == -EPERM || err == -EACCES ? err : 0;
}

static int timeout_ms(struct loop *loop, uint64_t at_ns)
{
	uint64_t since_ns, due_ns;

	if (__atomic_load_n(&loop->hold->asked_ns, __ATOMIC_SEQ_CST))
		return 0;
	if (!loop->waiting)
		return loop->paused_until_ns > at_ns ?
			       (int)((loop->paused_until_ns - at_ns) / 1000000 + 1) :
			       -1;
	if (waiting_oldest(loop->waiting, 0, &since_ns) >= 0) {
		due_ns = since_ns + loop->hold->most_ns;
		if (due_ns <= at_ns)
			return 1;
		due_ns = (due_ns - at_ns) / 1000000 + 1;
		return due_ns < LOOK_MS ? (int)due_ns : LOOK_MS;
	}
	return waiting_forget_handshakes(loop->waiting, at_ns) ? HANDSHAKE_MS : QUIET_MS;
}

static void note_told(struct loop *loop)
{
	char bytes[64];

	while (read(loop->told_fd, bytes, sizeof(bytes)) == sizeof(bytes))
		continue;
	set_most(loop);
	follow_workers(loop);
	check_likeness(loop);
}

static void turn(struct loop *loop)
{
	enum workers workers;
	uint64_t at_ns;

	at_ns = now_ns();
	if (loop->waiting && at_ns - loop->looked_ns > CLOSELY_NS) {
		loop->looked_ns = at_ns;
		waiting_look_closely(loop->waiting, at_ns);
	}
	if (loop->waiting || loop->hold->asked_ns)
		answer(loop);
	at_ns = now_ns();
	workers = look_at_workers(loop);
	if (is_left_alone(loop, workers, at_ns)) {
		if (loop->waiting)
			end(loop);
	} else if (!loop->waiting) {
		begin(loop, at_ns);
		/* the program asks once it pays */
		loop->hold->invited = !loop->waiting && at_ns >= loop->paused_until_ns;
	} else if (!loop->hold->always && at_ns - loop->used_ns > UNUSED_NS) {
		loop->pause_ns = 0;
		end(loop);
	}
}

/* Its words and its maps are all that it has of its keeper. */
static void close_others(int told_fd, int report_fd)
{
	const int low = told_fd < report_fd ? told_fd : report_fd;
	const int high = told_fd < report_fd ? report_fd : told_fd;
	const int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = 0; fd <= 2; fd++)
		dup2(null, fd);
	if (low > 3)
		syscall(__NR_close_range, 3, low - 1, 0);
	if (high - low > 1)
		syscall(__NR_close_range, low + 1, high - 1, 0);
	syscall(__NR_close_range, high + 1, ~0U, 0);
}

int hold_loop_run(const char *name, int told_fd, int report_fd)
{
	struct loop loop = {
		.told_fd = told_fd,
		.report_fd = report_fd,
		.keeper = getppid(),
	};
	struct pollfd fds[2];
	int err;

	prctl(PR_SET_NAME, "lbctl-hold");
	setsid();
	close_others(told_fd, report_fd);
	err = open_loop(&loop, name);
	if (err) {
		cannot(&loop, err, NULL);
		return 1;
	}
	fds[0] = (struct pollfd){ .fd = ring_buffer__epoll_fd(loop.ring), .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = loop.told_fd, .events = POLLIN };
	report(&loop, HOLD_STARTED, idle_tgid(loop.idle), "");
	while (!(fds[1].revents & (POLLHUP | POLLERR))) {
		turn(&loop);
		if (poll(fds, 2, timeout_ms(&loop, now_ns())) > 0 && fds[1].revents & POLLIN)
			note_told(&loop);
	}
	return 0;
}
