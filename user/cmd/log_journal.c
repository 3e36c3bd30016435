// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See log_journal.h. */
#include "cmd/log_journal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-journal.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "lb_abi.h"

int log_journal_open(struct log_journal *journal, const char *unit)
{
	char match[512];
	int err = sd_journal_open(&journal->journal, SD_JOURNAL_LOCAL_ONLY);

	if (err < 0)
		return err;
	if (snprintf(match, sizeof(match), "_SYSTEMD_UNIT=%s", unit) >= (int)sizeof(match))
		return -ENAMETOOLONG;
	err = sd_journal_add_match(journal->journal, match, 0);
	return err < 0 ? err : 0;
}

void log_journal_close(struct log_journal *journal)
{
	sd_journal_close(journal->journal);
	journal->journal = NULL;
}

uint32_t log_journal_worker(const char *cgroup, const char *service)
{
	char part[LB_NAME_MAX + 16], number[16];
	const char *at;
	uint64_t worker;
	size_t len;

	snprintf(part, sizeof(part), "/lbctl-%s/w", service);
	at = strstr(cgroup, part);
	if (!at)
		return LOG_NO_WORKER;
	at += strlen(part);
	len = strcspn(at, "-");
	if (len >= sizeof(number))
		return LOG_NO_WORKER;
	memcpy(number, at, len);
	number[len] = '\0';
	return parse_u64(number, 0, LB_MAX_WORKERS - 1, &worker) ? LOG_NO_WORKER : worker;
}

/* A field's value, which may hold any byte: *len of them. NULL = it has none. */
static const char *value_of(struct log_journal *journal, const char *field, size_t *len)
{
	const void *data;
	size_t n;

	if (sd_journal_get_data(journal->journal, field, &data, &n) < 0)
		return NULL;
	/* NAME=VALUE */
	*len = n - strlen(field) - 1;
	return (const char *)data + strlen(field) + 1;
}

static uint32_t worker_of(struct log_journal *journal)
{
	size_t len;
	const char *value = value_of(journal, "_SYSTEMD_CGROUP", &len);
	_cleanup_free_ char *cgroup = value ? strndup(value, len) : NULL;

	return cgroup ? log_journal_worker(cgroup, journal->service) : LOG_NO_WORKER;
}

static bool is_wanted(struct log_journal *journal)
{
	return journal->worker == LB_ALL_WORKERS || worker_of(journal) == journal->worker;
}

static void tell(struct log_journal *journal)
{
	uint32_t worker = worker_of(journal);
	const char *text;
	size_t len;

	if (!is_wanted(journal))
		return;
	text = value_of(journal, "MESSAGE", &len);
	if (text)
		journal->line(journal->arg, worker, text, len);
}

static int tell_following(struct log_journal *journal)
{
	int more;

	while ((more = sd_journal_next(journal->journal)) > 0)
		tell(journal);
	return more;
}

int log_journal_last(struct log_journal *journal, uint64_t lines)
{
	int more = sd_journal_seek_tail(journal->journal);

	if (more < 0)
		return more;
	while ((more = sd_journal_previous(journal->journal)) > 0) {
		if (!lines)
			return tell_following(journal);
		lines -= is_wanted(journal);
		if (!lines)
			break;
	}
	if (more > 0)
		tell(journal);
	else if (!more)
		more = sd_journal_seek_head(journal->journal);
	return more < 0 ? more : tell_following(journal);
}

int log_journal_follow(struct log_journal *journal, unsigned int wait_ms)
{
	int err = sd_journal_wait(journal->journal, wait_ms * 1000ULL);

	return err < 0 ? err : tell_following(journal);
}
