/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What lbctl top knows as lines of text: which columns there is room for, bars and sparklines. No
 * terminal; nothing depends on colour.
 */
#ifndef TOP_TEXT_H
#define TOP_TEXT_H

#include "cmd/top_model.h"

#define TOP_LINE_BYTES 1024
#define TOP_WIDEST 240 /* columns of a line, of at most four bytes each */

enum top_look { TOP_PLAIN, TOP_TITLE, TOP_SELECTED, TOP_CAREFUL, TOP_BAD };

struct top_style {
	size_t width;  /* columns; what does not fit is left out, the least important first */
	bool utf8;     /* bars and sparklines of blocks, else of ASCII */
	bool pictures; /* with bars and sparklines */
};

/* A line of a service, or the titles (NULL). Without an end of line. */
void top_service_line(const struct top_style *style, const struct top_service *service,
		      char out[TOP_LINE_BYTES]);

/* The same of a worker; of the service's titles with TOP_TITLES. */
#define TOP_TITLES UINT32_MAX
void top_worker_line(const struct top_style *style, const struct top_service *service,
		     uint32_t worker, char out[TOP_LINE_BYTES]);

/* "16 services, 94 workers, 1204 connections/s" */
void top_summary(const struct top *top, char out[TOP_LINE_BYTES]);

/* "web  tcp 0.0.0.0:80  keeper pid 812", and what is to be said of it. */
void top_service_head(const struct top_service *service, char out[TOP_LINE_BYTES]);

enum top_look top_worker_look(const struct top_service *service, uint32_t worker);

#endif
