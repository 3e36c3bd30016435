// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See story.h. */
#include "story.h"

#include <math.h>
#include <string.h>

#define LABEL_WIDTH 28
#define CELL_MAX (SAMPLE_WORKERS * 12)

static void field_cell(const struct comparison *comparison, const struct entry *entry, int field,
		       char cell[CELL_MAX])
{
	double values[COMPARE_MAX_ROUNDS];
	size_t n = 0;

	for (unsigned int round = 0; round < comparison->rounds; round++) {
		if (entry->done[round])
			values[n++] = entry->samples[round].siege[field];
	}
	snprintf(cell, CELL_MAX, "%.*f", siege_words[field].digits, median(values, n));
}

/* A round's, not a mean: the one whose spread is nearest to the median. */
static void workers_cell(const struct comparison *comparison, const struct entry *entry,
			 char cell[CELL_MAX])
{
	double middle = compare_median(entry, comparison->rounds, METRIC_SPREAD), least = INFINITY;
	const struct sample *typical = NULL;
	size_t used = 0;

	for (unsigned int round = 0; round < comparison->rounds; round++) {
		const struct sample *sample = &entry->samples[round];
		double off = fabs(sample->values[METRIC_SPREAD] - middle);

		if (entry->done[round] && off < least) {
			least = off;
			typical = sample;
		}
	}
	*cell = '\0';
	for (size_t i = 0; typical && i < typical->nr_workers && used < CELL_MAX; i++)
		used += snprintf(cell + used, CELL_MAX - used, "%s%llu", i ? " " : "",
				 (unsigned long long)typical->connections[i]);
}

static void spread_cell(const struct comparison *comparison, const struct entry *entry,
			char cell[CELL_MAX])
{
	double least = INFINITY, most = 0;

	for (unsigned int round = 0; round < comparison->rounds; round++) {
		if (!entry->done[round])
			continue;
		least = fmin(least, entry->samples[round].values[METRIC_SPREAD]);
		most = fmax(most, entry->samples[round].values[METRIC_SPREAD]);
	}
	snprintf(cell, CELL_MAX, "%.2f (%.2f-%.2f)",
		 compare_median(entry, comparison->rounds, METRIC_SPREAD), least, most);
}

enum row {
	ROW_NAME = -1,
	ROW_WORKERS = SIEGE_COUNT, /* those before are siege's fields */
	ROW_SPREAD,
	ROW_END,
};

static void fill_cell(const struct comparison *comparison, const struct entry *entry, int row,
		      char cell[CELL_MAX])
{
	if (row == ROW_NAME)
		snprintf(cell, CELL_MAX, "%s", entry->peer->name);
	else if (row == ROW_WORKERS)
		workers_cell(comparison, entry, cell);
	else if (row == ROW_SPREAD)
		spread_cell(comparison, entry, cell);
	else
		field_cell(comparison, entry, row, cell);
}

static void print_label(FILE *out, int row)
{
	char label[64] = "";

	if (row == ROW_WORKERS)
		snprintf(label, sizeof(label), "Connections per worker");
	else if (row == ROW_SPREAD)
		snprintf(label, sizeof(label), "max/mean (all rounds)");
	else if (row != ROW_NAME)
		snprintf(label, sizeof(label), "%s%s%s", siege_words[row].name,
			 *siege_words[row].unit ? ", " : "", siege_words[row].unit);
	fprintf(out, "%-*s", LABEL_WIDTH, label);
}

static int column_width(const struct comparison *comparison, const struct entry *entry)
{
	char cell[CELL_MAX];
	size_t width = 0;

	for (int row = ROW_NAME; row < ROW_END; row++) {
		fill_cell(comparison, entry, row, cell);
		if (strlen(cell) > width)
			width = strlen(cell);
	}
	return width;
}

static bool any_took_part(const struct comparison *comparison)
{
	for (size_t i = 0; i < comparison->count; i++) {
		if (!*comparison->entries[i].trouble)
			return true;
	}
	return false;
}

void story_text(FILE *out, const struct comparison *comparison)
{
	char cell[CELL_MAX];

	if (!any_took_part(comparison))
		return;
	fputc('\n', out);
	for (int row = ROW_NAME; row < ROW_END; row++) {
		print_label(out, row);
		for (size_t i = 0; i < comparison->count; i++) {
			const struct entry *entry = &comparison->entries[i];

			if (*entry->trouble)
				continue;
			fill_cell(comparison, entry, row, cell);
			fprintf(out, "  %*s", column_width(comparison, entry), cell);
		}
		fputc('\n', out);
	}
}
