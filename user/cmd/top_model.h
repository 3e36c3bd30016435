/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What lbctl top knows: the services as they were at the last look, what changed since the one
 * before, a minute of it, and which of it is selected. Facts in; no terminal, no clock.
 */
#ifndef TOP_MODEL_H
#define TOP_MODEL_H

#include "cmd/views.h"

#define TOP_HISTORY 60	      /* looks */
#define TOP_LONGEST_OPEN_S 10 /* between looks that services stay open for, see views.h */
#define TOP_UNKNOWN (-1.0)    /* of a figure: it takes two looks */

/* The last one is the last of the `count`; the oldest go. */
struct top_history {
	float at[TOP_HISTORY];
	unsigned int count;
};

struct top_worker {
	double rate;		    /* connections, of UDP datagrams, per second */
	double held_rate;	    /* of them those that were held before */
	double cpu;		    /* percent of a CPU */
	double busy;		    /* percent of the time since the last look, see busy.h */
	uint64_t p50_ns, p99_ns;    /* first byte, of the requests since the last look; 0 = none */
	struct top_history history; /* of rate */
};

struct top_service {
	struct view view;
	struct top_worker *workers; /* view.nr_workers */
	double rate;
	struct top_history history;  /* of rate */
	struct top_history fallback; /* how many per look were left to the kernel's hash */
};

struct top {
	struct top_service *services; /* by name */
	size_t nr_services;
	struct views_trouble *unreadable;
	size_t nr_unreadable;
	uint64_t looked_ns; /* 0 = never */
	/* what is selected; both are always there if anything is */
	size_t service;
	uint32_t worker;
	bool in_workers; /* the arrows move among the workers */
};

/*
 * Takes a look over, of which nothing is left, at a time of a clock that goes on evenly. The
 * service that is selected stays so while it is there; then the one in its place is. Without
 * memory nothing changes but that the look is gone.
 */
void top_take(struct top *top, struct views *look, uint64_t now_ns);
void top_free(struct top *top);

/* NULL where there is none. */
const struct top_service *top_selected(const struct top *top);

/* Moves by so many lines, no further than there are; among services or workers. */
void top_move(struct top *top, long lines);

/* Of the looks in its history: see view_unevenness(), and how many fallbacks; or TOP_UNKNOWN. */
double top_unevenness(const struct top_service *service);
double top_fallback(const struct top_service *service);

/* The highest rate of a worker in the history of its service, which pictures are drawn against. */
double top_highest(const struct top_service *service);

/*
 * The first line that is shown of `count` where `room` are, so that the selected one is: `first` is
 * what it was.
 */
size_t top_scroll(size_t first, size_t selected, size_t room, size_t count);

#endif
