/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What tests of lbctl run with UDP share: the service is dns, and its workers answer "PID DATA". */
#ifndef HARNESS_UDP_RUNS_H
#define HARNESS_UDP_RUNS_H

#include <stdbool.h>
#include <sys/types.h>

#include "harness/runs.h"

#define UDP_EACH 25

/* Who answers, and what; 0 = nobody. */
pid_t udp_ask_for(const char *text, bool v6, char answer[64]);
pid_t udp_ask_pid(bool v6);

/*
 * UDP_EACH datagrams for each of n workers are spread exactly, by what they answer and by the
 * counters; pids[] are the workers'.
 */
void udp_expect_even(const struct run *run, const pid_t *pids, unsigned int n, bool v6);

#endif
