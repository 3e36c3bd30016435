// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See report.h. Table and JSON come from the same rows. */
#include "report.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

struct row {
	uint32_t workers;
	const char *variant;
	double median_ns, p10_ns, p90_ns; /* over batches */
	double ratio;			  /* to the fixed floor with as many workers */
	double goal;			  /* the most that the ratio should be; 0 = none */
	bool met;
};

/* In fixed floors. A scan is bounded by LB_SCAN_WINDOW, a walk by nothing but its cache misses. */
static const struct {
	uint32_t workers;
	double walk, scan;
} goals[] = {
	{ 4, 1.5, 3 },
	{ LB_MAX_WORKERS, 3, 6 },
};

static double goal_of(uint32_t workers, enum variant_id id)
{
	bool scan = !strncmp(bench_variants[id].name, "least-", strlen("least-"));

	if (!scan && id != VARIANT_RR)
		return 0;
	for (size_t i = 0; i < sizeof(goals) / sizeof(goals[0]); i++) {
		if (goals[i].workers == workers)
			return scan ? goals[i].scan : goals[i].walk;
	}
	return 0;
}

static int compare_doubles(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void summarize(struct bench *bench, uint32_t batches, struct row rows[VARIANTS])
{
	for (size_t i = 0; i < VARIANTS; i++) {
		double *ns = bench->ns[i];

		qsort(ns, batches, sizeof(*ns), compare_doubles);
		rows[i] = (struct row){
			.workers = bench->workers,
			.variant = bench_variants[i].name,
			.median_ns = (ns[(batches - 1) / 2] + ns[batches / 2]) / 2,
			.p10_ns = ns[(batches - 1) / 10],
			.p90_ns = ns[batches - 1 - (batches - 1) / 10],
			.goal = goal_of(bench->workers, i),
		};
	}
	for (size_t i = 0; i < VARIANTS; i++) {
		rows[i].ratio = rows[i].median_ns / rows[VARIANT_FIXED].median_ns;
		rows[i].met = rows[i].ratio <= rows[i].goal;
	}
}

static void print_row(const struct row *row)
{
	printf("%7u  %-21s %7.0f  %7.0f %7.0f  %7.2f", row->workers, row->variant, row->median_ns,
	       row->p10_ns, row->p90_ns, row->ratio);
	if (row->goal > 0)
		printf("  %.1f %s", row->goal, row->met ? "met" : "missed");
	putchar('\n');
}

static json_t *json_row(const struct row *row)
{
	bool goal = row->goal > 0;

	return json_pack("{s:i, s:s, s:f, s:f, s:f, s:f, s:o, s:o}", "workers", (int)row->workers,
			 "variant", row->variant, "median_ns", row->median_ns, "p10_ns",
			 row->p10_ns, "p90_ns", row->p90_ns, "ratio", row->ratio, "goal",
			 goal ? json_real(row->goal) : json_null(), "met",
			 goal ? json_boolean(row->met) : json_null());
}

static void write_table(const struct row *rows, size_t count, const char *kernel, long cpus,
			uint32_t batches, uint32_t connections)
{
	printf("ns per decision, over batches; kernel %s, %ld CPUs, %u batches of %u connections\n",
	       kernel, cpus, batches, connections);
	for (size_t i = 0; i < count; i++) {
		if (i % VARIANTS == 0)
			printf("\n%7s  %-21s %7s  %7s %7s  %7s  %s\n", "workers", "program",
			       "median", "p10", "p90", "x fixed", "goal");
		print_row(&rows[i]);
	}
}

static void write_json(const struct row *rows, size_t count, const char *kernel, long cpus,
		       uint32_t batches, uint32_t connections)
{
	json_t *list = json_array(), *all;

	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, json_row(&rows[i]));
	all = json_pack("{s:i, s:s, s:i, s:i, s:i, s:o}", "schema", 1, "kernel", kernel, "cpus",
			(int)cpus, "batches", (int)batches, "connections", (int)connections,
			"results", list);
	json_dumpf(all, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(5));
	putchar('\n');
	json_decref(all);
}

int report_write(struct bench *benches, size_t count, uint32_t batches, uint32_t connections,
		 bool json)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct row *rows = calloc(count * VARIANTS, sizeof(*rows));
	struct utsname kernel;

	if (!rows)
		return -ENOMEM;
	uname(&kernel);
	for (size_t i = 0; i < count; i++)
		summarize(&benches[i], batches, rows + i * VARIANTS);
	if (json)
		write_json(rows, count * VARIANTS, kernel.release, cpus, batches, connections);
	else
		write_table(rows, count * VARIANTS, kernel.release, cpus, batches, connections);
	free(rows);
	if (fflush(stdout))
		return -errno;
	return ferror(stdout) ? -EIO : 0;
}
