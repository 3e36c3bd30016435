// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See load.h: who begins a request, and when. The connections are in client.c. */
#include "load.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "client.h"

#define NS_PER_MS 1000000ULL
#define NS_PER_S 1e9
#define NEVER UINT64_MAX
#define MAX_EVENTS 256
#define MAX_ARRIVALS 64		  /* before the next look at answers */
#define SCAN_NS (20 * NS_PER_MS)  /* between looks for requests that took too long */
#define PAUSE_NS (10 * NS_PER_MS) /* of a user who found no server */
#define SPARE_DESCRIPTORS 64

const char *load_failure_words(enum load_failure_kind kind)
{
	static const char *const words[] = {
#define X(id, text) [LOAD_FAILED_##id] = text,
		LOAD_FAILURES(X)
#undef X
	};

	return words[kind];
}

int load_raise_descriptors(unsigned int users)
{
	rlim_t needed = (rlim_t)users + SPARE_DESCRIPTORS;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return -errno;
	if (limit.rlim_cur >= needed)
		return 0;
	limit.rlim_cur = needed;
	if (limit.rlim_max < needed)
		limit.rlim_max = needed;
	return setrlimit(RLIMIT_NOFILE, &limit) ? -errno : 0;
}

static bool is_open_loop(const struct run *run)
{
	return run->plan->rate > 0;
}

static uint64_t random_ns(struct run *run, double most_s)
{
	return rng_unit(&run->rng) * most_s * NS_PER_S;
}

static void wait_until_ns(struct run *run, struct client *client, uint64_t due_ns)
{
	client->due_ns = due_ns;
	if (due_ns < run->wake_ns)
		run->wake_ns = due_ns;
}

static void finish(struct run *run, struct client *client)
{
	client_close(run, client);
	client->state = CLIENT_FINISHED;
	run->active--;
}

static void push_idle(struct run *run, struct client *client)
{
	client->state = CLIENT_IDLE;
	client->next = run->idle;
	run->idle = client;
}

/* What comes after a request, or after the time that its connection was held. */
static void next_request(struct run *run, struct client *client, bool pause)
{
	uint64_t now = client_now_ns();

	if (is_open_loop(run)) {
		push_idle(run, client);
		return;
	}
	if (!--client->left || now >= run->end_ns) {
		finish(run, client);
		return;
	}
	if (run->plan->delay_s > 0 || pause) {
		client->state = CLIENT_WAITING;
		wait_until_ns(run, client,
			      now + random_ns(run, run->plan->delay_s) + (pause ? PAUSE_NS : 0));
		return;
	}
	push_idle(run, client);
}

void run_ended(struct run *run, struct client *client, bool pause)
{
	double hold_s = run->plan->hold_s;

	run->result->open--;
	if (!run->plan->hold || client->fd < 0) {
		next_request(run, client, pause);
		return;
	}
	client->state = CLIENT_HELD;
	if (hold_s > 0)
		hold_s = rng_exponential(&run->rng, hold_s);
	wait_until_ns(run, client, hold_s > 0 ? client_now_ns() + hold_s * NS_PER_S : NEVER);
}

static void release(struct run *run, struct client *client)
{
	client_close(run, client);
	next_request(run, client, false);
}

static void wake(struct run *run, uint64_t now)
{
	run->wake_ns = NEVER;
	for (size_t i = 0; i < run->nr_clients; i++) {
		struct client *client = &run->clients[i];

		if (client->state != CLIENT_WAITING && client->state != CLIENT_HELD)
			continue;
		if (client->due_ns > now)
			wait_until_ns(run, client, client->due_ns);
		else if (client->state == CLIENT_HELD)
			release(run, client);
		else
			push_idle(run, client);
	}
}

static bool in_progress(const struct client *client)
{
	return client->state == CLIENT_CONNECTING || client->state == CLIENT_SENDING ||
	       client->state == CLIENT_READING;
}

static void scan_timeouts(struct run *run, uint64_t now)
{
	for (size_t i = 0; i < run->nr_clients; i++) {
		struct client *client = &run->clients[i];

		if (in_progress(client) && client->timeout_ns <= now)
			client_timeout(run, client);
	}
	run->scan_ns = now + SCAN_NS;
}

/* Closed loop: nothing begins any more, so who waits or holds is done. */
static void finish_waiting(struct run *run)
{
	run->idle = NULL;
	for (size_t i = 0; i < run->nr_clients; i++) {
		struct client *client = &run->clients[i];

		if (client->state != CLIENT_FINISHED && !in_progress(client))
			finish(run, client);
	}
}

static uint64_t gap_ns(struct run *run)
{
	double mean = 1 / run->plan->rate;

	return (run->plan->poisson ? rng_exponential(&run->arrivals, mean) : mean) * NS_PER_S;
}

static struct client *pop_idle(struct run *run)
{
	struct client *client = run->idle;

	if (client)
		run->idle = client->next;
	return client;
}

/* Open loop: what is due. Where all clients are busy it waits, and the wait is charged. */
static void begin_arrivals(struct run *run, uint64_t now)
{
	struct client *client;

	for (int i = 0; i < MAX_ARRIVALS && run->arrival_ns <= now; i++) {
		if (run->arrival_ns >= run->end_ns)
			return;
		client = pop_idle(run);
		if (!client)
			return;
		client_begin(run, client, run->arrival_ns);
		run->arrival_ns += gap_ns(run);
	}
}

/* What should have begun and never did, as every client was busy to the end, has had no answer. */
static void give_arrivals_up(struct run *run)
{
	for (; run->arrival_ns < run->end_ns; run->arrival_ns += gap_ns(run)) {
		run->result->figures.failed++;
		run->result->by_kind[LOAD_FAILED_TIMEOUT]++;
	}
}

/* Closed loop: who is idle begins. Those who are idle again by then have their turn later. */
static void begin_idle(struct run *run, uint64_t now)
{
	struct client *client = run->idle, *next;

	run->idle = NULL;
	for (; client; client = next) {
		next = client->next;
		client_begin(run, client, now);
	}
}

/* What came before was there to open connections, and does not count. */
static void begin_burst(struct run *run, uint64_t now)
{
	size_t target = run->plan->targets->count - 1;

	run->burst_done = true;
	memset(&run->result->latency, 0, sizeof(run->result->latency));
	for (size_t i = 0; i < run->nr_clients; i++) {
		if (run->clients[i].state == CLIENT_HELD)
			client_ask(run, &run->clients[i], target, now);
	}
}

static bool is_over(const struct run *run)
{
	if (run->plan->burst && !run->burst_done)
		return false;
	if (is_open_loop(run))
		return run->arrival_ns >= run->end_ns && !run->result->open;
	return !run->active;
}

static void check_stop(struct run *run, uint64_t now)
{
	if (run->plan->stop && *run->plan->stop && run->end_ns > now)
		run->end_ns = now;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t next_ns(const struct run *run)
{
	uint64_t next = earlier(earlier(run->scan_ns, run->tick_ns), run->wake_ns);

	if (run->plan->burst && !run->burst_done)
		next = earlier(next, run->end_ns);

	if (is_open_loop(run))
		return run->idle ? earlier(next, run->arrival_ns) : next;
	return run->idle ? 0 : next;
}

/* Before 5.11 there are whole milliseconds only: rounded down, for late is worse than a spin. */
static int wait_events(struct run *run, struct epoll_event *events)
{
	uint64_t until = next_ns(run), now = client_now_ns();
	uint64_t wait = until > now ? until - now : 0;
	const struct timespec timeout = { .tv_nsec = earlier(wait, NS_PER_S - 1) };
	int nr = epoll_pwait2(run->epoll_fd, events, MAX_EVENTS, &timeout, NULL);

	if (nr < 0 && errno == ENOSYS)
		nr = epoll_wait(run->epoll_fd, events, MAX_EVENTS, wait / NS_PER_MS);
	if (nr < 0)
		return errno == EINTR ? 0 : -errno;
	return nr;
}

static void on_time(struct run *run)
{
	uint64_t now = client_now_ns();

	check_stop(run, now);
	if (now >= run->tick_ns) {
		run->tick_ns = now + LOAD_TICK_MS * NS_PER_MS;
		run->result->figures.elapsed_s = (now - run->begin_ns) / NS_PER_S;
		if (run->plan->tick)
			run->plan->tick(run->plan->context, run->result->figures.elapsed_s,
					run->result);
	}
	if (now >= run->scan_ns)
		scan_timeouts(run, now);
	if (now >= run->wake_ns)
		wake(run, now);
	if (run->plan->burst && !run->burst_done && now >= run->end_ns)
		begin_burst(run, now);
	if (is_open_loop(run) && now > run->end_ns + run->plan->timeout_ms * NS_PER_MS)
		give_arrivals_up(run);
	else if (is_open_loop(run))
		begin_arrivals(run, now);
	else if (now >= run->end_ns)
		finish_waiting(run);
	else
		begin_idle(run, now);
}

static int loop(struct run *run)
{
	struct epoll_event events[MAX_EVENTS];
	int nr;

	on_time(run);
	while (!is_over(run)) {
		nr = wait_events(run, events);
		if (nr < 0)
			return nr;
		for (int i = 0; i < nr; i++)
			client_event(run, events[i].data.ptr, events[i].events);
		on_time(run);
	}
	return 0;
}

static void set_up(struct run *run)
{
	const struct load_plan *plan = run->plan;
	size_t targets = plan->targets->count;

	run->rng.state = plan->seed;
	run->arrivals.state = plan->seed ^ 0xa5a5a5a5;
	run->begin_ns = run->last_ns = client_now_ns();
	run->end_ns = plan->seconds > 0 ? run->begin_ns + plan->seconds * NS_PER_S : NEVER / 2;
	run->tick_ns = run->begin_ns + LOAD_TICK_MS * NS_PER_MS;
	run->scan_ns = run->begin_ns + SCAN_NS;
	run->wake_ns = NEVER;
	run->arrival_ns = is_open_loop(run) ? run->begin_ns + gap_ns(run) : NEVER;
	run->active = run->nr_clients;
	for (size_t i = run->nr_clients; i-- > 0;) {
		struct client *client = &run->clients[i];

		client->fd = -1;
		client->worker = CLIENT_NO_WORKER;
		client->left = plan->repetitions ? plan->repetitions : UINT64_MAX;
		client->target = i % targets;
		if (plan->delay_s > 0 && !is_open_loop(run)) {
			client->state = CLIENT_WAITING;
			wait_until_ns(run, client, run->begin_ns + random_ns(run, plan->delay_s));
		} else {
			push_idle(run, client);
		}
	}
}

/* Numbers by value, everything else by letters, numbers first. */
static int compare_workers(const void *left, const void *right)
{
	const struct load_worker *a = left, *b = right;
	char *end_a, *end_b;
	unsigned long na = strtoul(a->name, &end_a, 10), nb = strtoul(b->name, &end_b, 10);
	bool number_a = !*end_a, number_b = !*end_b;

	if (number_a != number_b)
		return number_a ? -1 : 1;
	if (!number_a)
		return strcmp(a->name, b->name);
	return (na > nb) - (na < nb);
}

static void tear_down(struct run *run)
{
	struct load_result *result = run->result;

	result->figures.elapsed_s = (run->last_ns - run->begin_ns) / NS_PER_S;
	/* whoever holds a connection still is part of the spread that is reported */
	for (size_t i = 0; i < run->nr_clients; i++) {
		if (run->clients[i].fd >= 0)
			close(run->clients[i].fd);
	}
	qsort(result->workers, result->nr_workers, sizeof(*result->workers), compare_workers);
}

int load_run(const struct load_plan *plan, struct load_result *result)
{
	_cleanup_close_ int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	_cleanup_free_ struct client *clients = calloc(plan->users, sizeof(*clients));
	_cleanup_free_ struct run *run = calloc(1, sizeof(*run));
	int err;

	memset(result, 0, sizeof(*result));
	if (epoll_fd < 0)
		return -errno;
	if (!clients || !run)
		return -ENOMEM;
	err = load_raise_descriptors(plan->users);
	if (err)
		return err;
	prctl(PR_SET_TIMERSLACK, 1000UL);
	run->plan = plan;
	run->result = result;
	run->epoll_fd = epoll_fd;
	run->clients = clients;
	run->nr_clients = plan->users;
	set_up(run);
	err = loop(run);
	tear_down(run);
	return err;
}
