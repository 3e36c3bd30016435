/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The one way to read a number, a name, a worker, a weight or a policy that a user wrote. The
 * whole text counts: nothing may stand before or after, and what does not fit is an error,
 * never a cut. On failure the result is left as it was.
 */
#ifndef PARSE_H
#define PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LB_NAME_MAX 63		   /* letters of a service name, without the final NUL */
#define LB_ALL_WORKERS 0xffffffffU /* what parse_worker() makes of "all" */
#define PARSE_MAX_MS 3600000	   /* one hour */
#define PARSE_MAX_SECONDS 86400	   /* one day */

/*
 * Decimal digits only: no sign, no space, no "0x"; leading zeros do not make it octal.
 * Returns 0, -EINVAL (not a number) or -ERANGE (not in min .. max, however long it is).
 */
int parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *value);

/* A time in whole milliseconds, 0 .. PARSE_MAX_MS, without a unit. Returns as parse_u64(). */
int parse_ms(const char *text, uint64_t *ms);

/* A time in whole seconds, 1 .. PARSE_MAX_SECONDS; "60s" is as "60". Returns as parse_u64(). */
int parse_seconds(const char *text, uint64_t *seconds);

/* 1 .. LB_MAX_WEIGHT. Returns as parse_u64(). */
int parse_weight(const char *text, uint32_t *weight);

/* 0 .. LB_MAX_WORKERS - 1, or "all", which gives LB_ALL_WORKERS. Returns as parse_u64(). */
int parse_worker(const char *text, uint32_t *worker);

/*
 * How many of those that there are: 1 .. most, or a share of them, 1% .. 100%, which sets *percent.
 * Returns as parse_u64().
 */
int parse_share(const char *text, uint64_t most, uint64_t *number, bool *percent);

/*
 * A size of 1 byte or more: a number, or with K, M or G behind it times 1,024, 1,024^2 or 1,024^3.
 * Returns as parse_u64(); what is more than INT64_MAX is out of range.
 */
int parse_bytes(const char *text, uint64_t *bytes);

/*
 * A signal by name, with SIG or without, in letters of any case, or by number, 1 to SIGRTMAX.
 * Returns 0 or -EINVAL.
 */
int parse_signal(const char *text, int *signal_number);

/* Is this a service name? Returns 0, -EINVAL (a wrong letter, or none) or -ENAMETOOLONG. */
int parse_name(const char *text);

/* "s" unless n is 1: "%u worker%s". */
const char *plural(uint64_t n);

/* What parse_name() accepts, for an error message or --help. */
const char *parse_name_rule(void);

/* A policy's name to its number, enum lb_policy. Returns 0 or -EINVAL. */
int parse_policy(const char *text, uint32_t *policy);

/* Never NULL: a number that this version does not know is "unknown", without a summary (""). */
const char *policy_name(uint32_t policy);
const char *policy_summary(uint32_t policy);

/* All names in the order of LB_POLICIES, for suggest() and completion. Constant memory. */
const char *const *policy_names(size_t *count);

#endif
