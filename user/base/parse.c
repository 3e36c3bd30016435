/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reading what a user wrote: numbers, names, workers, weights, policies. */
#include "base/parse.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "lb_abi.h"

static const struct {
	uint32_t policy;
	const char *summary;
} policies[] = {
#define X(number, id, name, summary) { number, summary },
	LB_POLICIES(X)
#undef X
};

static const char *const names[] = {
#define X(number, id, name, summary) name,
	LB_POLICIES(X)
#undef X
};

#define NR_POLICIES (sizeof(policies) / sizeof(policies[0]))

/* Not isdigit() and isalpha(): they follow the locale. */
static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

int parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *value)
{
	bool overflow = false;
	uint64_t sum = 0;

	if (!text || !*text)
		return -EINVAL;
	for (; *text; text++) {
		if (!is_digit(*text))
			return -EINVAL;
		if (__builtin_mul_overflow(sum, 10, &sum) ||
		    __builtin_add_overflow(sum, (uint64_t)(*text - '0'), &sum))
			overflow = true;
	}
	if (overflow || sum < min || sum > max)
		return -ERANGE;
	*value = sum;
	return 0;
}

static int parse_u32(const char *text, uint32_t min, uint32_t max, uint32_t *value)
{
	uint64_t wide;
	int err;

	err = parse_u64(text, min, max, &wide);
	if (!err)
		*value = wide;
	return err;
}

int parse_ms(const char *text, uint64_t *ms)
{
	return parse_u64(text, 0, PARSE_MAX_MS, ms);
}

int parse_seconds(const char *text, uint64_t *seconds)
{
	size_t len = text ? strlen(text) : 0;
	char digits[16];

	if (len && text[len - 1] == 's')
		len--;
	if (len >= sizeof(digits))
		return parse_u64(text, 1, PARSE_MAX_SECONDS, seconds);
	snprintf(digits, sizeof(digits), "%.*s", (int)len, text ? text : "");
	return parse_u64(digits, 1, PARSE_MAX_SECONDS, seconds);
}

int parse_weight(const char *text, uint32_t *weight)
{
	return parse_u32(text, 1, LB_MAX_WEIGHT, weight);
}

int parse_worker(const char *text, uint32_t *worker)
{
	if (text && !strcmp(text, "all")) {
		*worker = LB_ALL_WORKERS;
		return 0;
	}
	return parse_u32(text, 0, LB_MAX_WORKERS - 1, worker);
}

/* What stands before the last letter. Returns as parse_u64(). */
static int parse_before_unit(const char *text, uint64_t max, uint64_t *value)
{
	size_t len = strlen(text) - 1;
	char digits[24];

	if (len >= sizeof(digits))
		return -ERANGE;
	memcpy(digits, text, len);
	digits[len] = '\0';
	return parse_u64(digits, 1, max, value);
}

int parse_share(const char *text, uint64_t most, uint64_t *number, bool *percent)
{
	bool is_percent = text && *text && text[strlen(text) - 1] == '%';
	int err = is_percent ? parse_before_unit(text, 100, number) :
			       parse_u64(text, 1, most, number);

	if (!err)
		*percent = is_percent;
	return err;
}

int parse_bytes(const char *text, uint64_t *bytes)
{
	static const char units[] = "KMG";
	const char *unit = text && *text ? strchr(units, text[strlen(text) - 1]) : NULL;
	unsigned int shift = unit ? 10 * (unit - units + 1) : 0;
	uint64_t number;
	int err = unit ? parse_before_unit(text, INT64_MAX >> shift, &number) :
			 parse_u64(text, 1, INT64_MAX, &number);

	if (!err)
		*bytes = number << shift;
	return err;
}

int parse_signal(const char *text, int *signal_number)
{
	uint64_t number;

	if (!text)
		return -EINVAL;
	if (!parse_u64(text, 1, SIGRTMAX, &number)) {
		*signal_number = number;
		return 0;
	}
	if (!strncasecmp(text, "SIG", 3))
		text += 3;
	/* what shells call SIGPOLL */
	if (!strcasecmp(text, "IO"))
		text = "POLL";
	for (int i = 1; i < NSIG; i++) {
		if (sigabbrev_np(i) && !strcasecmp(text, sigabbrev_np(i))) {
			*signal_number = i;
			return 0;
		}
	}
	return -EINVAL;
}

int parse_name(const char *text)
{
	const char *c = text;

	if (!text || !is_letter(*c))
		return -EINVAL;
	while (is_letter(*c) || is_digit(*c) || *c == '-' || *c == '_')
		c++;
	if (*c)
		return -EINVAL;
	return c - text > LB_NAME_MAX ? -ENAMETOOLONG : 0;
}

const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

const char *parse_name_rule(void)
{
	_Static_assert(LB_NAME_MAX == 63, "as the sentence says");
	return "a name is a letter, then letters, digits, - or _; at most 63 in all";
}

int parse_policy(const char *text, uint32_t *policy)
{
	for (size_t i = 0; text && i < NR_POLICIES; i++) {
		if (!strcmp(text, names[i])) {
			*policy = policies[i].policy;
			return 0;
		}
	}
	return -EINVAL;
}

const char *policy_name(uint32_t policy)
{
	for (size_t i = 0; i < NR_POLICIES; i++)
		if (policies[i].policy == policy)
			return names[i];
	return "unknown";
}

const char *policy_summary(uint32_t policy)
{
	for (size_t i = 0; i < NR_POLICIES; i++)
		if (policies[i].policy == policy)
			return policies[i].summary;
	return "";
}

const char *const *policy_names(size_t *count)
{
	*count = NR_POLICIES;
	return names;
}
