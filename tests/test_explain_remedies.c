// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What is said to help can be done: each command that a remedy names applies to the kind of service
 * that it is said of, whatever stands out there.
 */
#include <string.h>

#include "check.h"
#include "explain_made.h"

/* --- what applies to what --- */

typedef bool applies(const struct explain_facts *f, uint32_t worker);

static bool to_any(const struct explain_facts *f, uint32_t worker)
{
	(void)f;
	(void)worker;
	return true;
}

/* A worker that run has started: run --forks starts none of its own. */
static bool to_own_worker(const struct explain_facts *f, uint32_t worker)
{
	return f->keeper == EXPLAIN_RUN && worker < f->kept;
}

static bool to_run(const struct explain_facts *f, uint32_t worker)
{
	(void)worker;
	return f->keeper == EXPLAIN_RUN;
}

/* What a reload replaces: of a finding about one worker, that one. */
static bool to_reloaded(const struct explain_facts *f, uint32_t worker)
{
	return f->keeper == EXPLAIN_FORKS ||
	       (f->keeper == EXPLAIN_RUN && (worker == ALL || worker < f->kept));
}

static bool to_kept(const struct explain_facts *f, uint32_t worker)
{
	(void)worker;
	return f->keeper != EXPLAIN_NOBODY;
}

static bool to_unkept(const struct explain_facts *f, uint32_t worker)
{
	(void)worker;
	return f->keeper == EXPLAIN_NOBODY && !f->gone;
}

static bool to_gone(const struct explain_facts *f, uint32_t worker)
{
	(void)worker;
	return f->gone;
}

/* Where the sockets are not what run's workers have, or something took the program off them. */
static bool to_sockets(const struct explain_facts *f, uint32_t worker)
{
	(void)worker;
	return f->unsteered || (f->keeper <= EXPLAIN_WATCH && !f->gone);
}

static bool to_connections(const struct explain_facts *f, uint32_t worker)
{
	(void)worker;
	return !f->datagrams;
}

static bool to_counted(const struct explain_facts *f, uint32_t worker)
{
	(void)worker;
	return f->counted && !f->datagrams;
}

/* Of UDP it goes by unread bytes, which nobody has to count. */
static bool to_scanned(const struct explain_facts *f, uint32_t worker)
{
	(void)worker;
	return f->counted || f->datagrams;
}

static const struct {
	const char *words;
	applies *applies;
} commands[] = {
	{ "lbctl attach", to_sockets },
	{ "lbctl doctor", to_any },
	{ "lbctl drain web ", to_any },
	{ "lbctl events web", to_kept },
	{ "lbctl explain web", to_any },
	{ "lbctl logs web 0", to_own_worker },
	{ "lbctl logs web 1", to_own_worker },
	{ "lbctl logs web 2", to_own_worker },
	{ "lbctl logs web 3", to_own_worker },
	{ "lbctl logs web has", to_reloaded },
	{ "lbctl reload web", to_reloaded },
	{ "lbctl rescue web ", to_connections },
	{ "lbctl restart web ", to_own_worker },
	{ "lbctl resume web ", to_any },
	{ "lbctl run -n 4 -- x", to_gone },
	{ "lbctl scale web ", to_run },
	{ "lbctl set web hold_ms=", to_connections },
	{ "lbctl set web latency=on", to_any },
	{ "lbctl set web limit=", to_counted },
	{ "lbctl set-limit web ", to_counted },
	{ "lbctl set-policy web least-conn", to_scanned },
	{ "lbctl set-policy web least-latency", to_counted },
	{ "lbctl set-policy web rr", to_any },
	{ "lbctl set-weight web ", to_any },
	{ "lbctl trace", to_any },
	{ "lbctl watch web", to_unkept },
};

/* --- kinds of services --- */

static const struct kind {
	const char *name;
	enum explain_keeper keeper;
	uint32_t kept;
	bool gone, datagrams, uncounted;
} kinds[] = {
	{ .name = "attached" },
	{ .name = "attached, not counted", .uncounted = true },
	{ .name = "attached, UDP", .datagrams = true },
	{ .name = "watched", .keeper = EXPLAIN_WATCH },
	{ .name = "watched, UDP", .keeper = EXPLAIN_WATCH, .datagrams = true },
	{ .name = "forks", .keeper = EXPLAIN_FORKS },
	{ .name = "run", .keeper = EXPLAIN_RUN, .kept = WORKERS },
	{ .name = "run, not counted", .keeper = EXPLAIN_RUN, .kept = WORKERS, .uncounted = true },
	{ .name = "run, UDP", .keeper = EXPLAIN_RUN, .kept = WORKERS, .datagrams = true },
	{ .name = "run, its keeper killed", .gone = true },
	{ .name = "run, all but one attached by hand", .keeper = EXPLAIN_RUN, .kept = 1 },
};

static void make_of_kind(struct explain_facts *f, const struct kind *kind)
{
	f->keeper = kind->keeper;
	f->kept = kind->kept;
	f->gone = kind->gone;
	f->again = kind->gone ? "lbctl run -n 4 -- x" : "";
	f->datagrams = kind->datagrams;
	f->counted = !kind->datagrams && !kind->uncounted;
	f->can_measure = f->counted;
}

static struct explain_finding findings[EXPLAIN_MOST(WORKERS)];

/* Each "lbctl VERB" in it. */
static void check_remedy(const struct explain_facts *f, const struct explain_finding *finding,
			 const char *kind)
{
	const char *at = finding->remedy;

	while ((at = strstr(at, "lbctl "))) {
		size_t i = 0;

		while (i < ARRAY_SIZE(commands) &&
		       strncmp(at, commands[i].words, strlen(commands[i].words)))
			i++;
		if (i == ARRAY_SIZE(commands))
			fail_msg("%s, %s: no test knows what that applies to: %s", kind,
				 explain_kind_name(finding->kind), at);
		if (!commands[i].applies(f, finding->worker))
			fail_msg("%s, %s: does not apply there: %s", kind,
				 explain_kind_name(finding->kind), finding->remedy);
		at += strlen("lbctl ");
	}
}

static void test_remedies_apply(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(kinds); j++) {
			struct explain_worker w[WORKERS];
			struct explain_facts f;
			size_t n;

			make_healthy(&f, w, WORKERS);
			rows[i].make(&f, w);
			make_of_kind(&f, &kinds[j]);
			n = explain(&f, findings, EXPLAIN_MOST(WORKERS));
			for (size_t k = 0; k < n; k++)
				check_remedy(&f, &findings[k], kinds[j].name);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_remedies_apply),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
