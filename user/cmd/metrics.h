/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every metric for Prometheus, once: its name without "lbctl_" in front, its type, its meaning, and
 * its value of a worker `w` or of a service `s` (struct view_worker, struct view). The names are a
 * contract; labels are the service and the worker's number, of which there are not many.
 */
#ifndef METRICS_H
#define METRICS_H

#include <stddef.h>
#include <stdio.h>

#include "cmd/view.h"
#include "lb_counters.h"

/* X(name, type, help, format, value); LB_SLOT_COUNTERS come in front, as worker_NAME_total */
#define WORKER_METRICS(X)                                                                          \
	X("worker_opened_total", "counter", "connections that became established", "%lu",          \
	  (unsigned long)w->opened)                                                                \
	X("worker_lost_total", "counter",                                                          \
	  "accepted connections that were open when their process ended", "%lu",                   \
	  (unsigned long)w->lost)                                                                  \
	X("worker_restarts_total", "counter", "starts after an end by itself", "%lu",              \
	  (unsigned long)w->restarts)                                                              \
	X("worker_cpu_seconds_total", "counter", "CPU time of its process", "%.3f",                \
	  w->usage.cpu_ms / 1000.0)                                                                \
	X("worker_memory_bytes", "gauge", "resident memory of its process", "%lu",                 \
	  (unsigned long)w->usage.memory_bytes)                                                    \
	X("worker_up", "gauge", "1 while the worker takes new connections", "%d",                  \
	  !strcmp(w->state, "up"))                                                                 \
	X("worker_stalled", "gauge", "1 while it accepts or reads nothing", "%d",                  \
	  !strcmp(w->state, "stalled"))                                                            \
	X("worker_draining", "gauge", "1 while it is drained", "%d",                               \
	  !strcmp(w->state, "draining"))                                                           \
	X("worker_weight", "gauge", "the worker's weight", "%u", w->weight)                        \
	X("worker_limit", "gauge", "its limit of connections, 0 is none", "%u", w->limit)          \
	X("worker_live", "gauge", "open connections", "%u", w->live)                               \
	X("worker_queued", "gauge", "connections in the accept queue, of UDP unread bytes", "%u",  \
	  w->queued)                                                                               \
	X("worker_queue_max", "gauge", "room for them", "%u", w->queue_max)                        \
	X("worker_half_open", "gauge", "handshakes under way", "%u", w->half_open)                 \
	X("worker_pace_seconds", "gauge", "what it takes per connection, 0 is unknown", "%.6f",    \
	  w->pace_us / 1e6)                                                                        \
	X("worker_load", "gauge", "the load that the worker reported last", "%lu",                 \
	  (unsigned long)w->load)

/* The same; LB_COUNTERS come in front, as NAME_total. */
#define SERVICE_METRICS(X)                                                                         \
	X("decisions_total", "counter", "decisions on new connections", "%lu",                     \
	  (unsigned long)s->decisions)                                                             \
	X("migrated_total", "counter", "waiting connections that went to another worker", "%lu",   \
	  (unsigned long)s->migrated)                                                              \
	X("rescued_total", "counter", "stalled workers' queues that were moved", "%lu",            \
	  (unsigned long)s->rescued)                                                               \
	X("taken_off_total", "counter", "times that the program was off a group, and put back",    \
	  "%lu", (unsigned long)s->taken_off)                                                      \
	X("service_workers", "gauge", "how many workers it has", "%u", s->nr_workers)              \
	X("service_unregistered", "gauge", "sockets that listen there and are in no slot", "%u",   \
	  s->unregistered)                                                                         \
	X("service_holding", "gauge", "1 while connections wait for an idle worker", "%d",         \
	  s->holding)                                                                              \
	X("service_unsteered", "gauge", "its listeners that our program is not on", "%u",          \
	  metrics_unsteered(s))                                                                    \
	X("service_keeper_up", "gauge", "1 while a keeper looks after it", "%d", s->keeper != 0)   \
	X("service_keeper_gone", "gauge", "1 where there was a keeper, and is none", "%d",         \
	  s->gone)                                                                                 \
	X("service_readable", "gauge", "1 while what comes from its sockets can be read", "%d",    \
	  !s->sockets_error)

enum metrics_format {
	METRICS_PROMETHEUS,  /* text format 0.0.4 */
	METRICS_OPENMETRICS, /* 1.0.0 */
};

/* The listeners that our program is not on; 0 where that can't be seen. */
unsigned int metrics_unsteered(const struct view *view);

/* Writes all metrics of n services, whose views have the workers' usage. */
void metrics_print(FILE *out, enum metrics_format format, const struct view *views, size_t n);

#endif
