/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* For test_explain.c: services that are well but for one thing, at the border of the rule. */
#ifndef EXPLAIN_ROWS_H
#define EXPLAIN_ROWS_H

/* X(name, what is found, of which worker, words of the remedy, what is different) */
/* clang-format off */
#define EXPLAIN_ROWS(X) \
	X(well, NOTHING, 0, "", (void)w) \
	X(measured, NOTHING, 0, "", measure(f)) \
	X(no_numbers, NOTHING, 0, "", all_opened(w, 0, 0); f->decisions = 0; f->seconds = \
	  0) \
	X(one_worker, NOTHING, 0, "", f->nr_workers = 1) \
	X(blind, EXPLAIN_BLIND, ALL, "sudo lbctl explain web", f->blind = true) \
	X(gone, EXPLAIN_KEEPER_GONE, ALL, "--name web", f->gone = true) \
	X(gone_again, EXPLAIN_KEEPER_GONE, ALL, "lbctl run -n 4 -- x", f->gone = true; \
	  f->again = "lbctl run -n 4 -- x") \
	X(unsteered, EXPLAIN_NOT_STEERED, ALL, \
	  "lbctl attach --replace --name web 127.0.0.1:8080", f->unsteered = true) \
	X(unsteered_off, EXPLAIN_NOT_STEERED, ALL, "attach", f->unsteered = true; \
	  f->taken_off = 3) \
	X(unsteered_restarted, EXPLAIN_NOT_STEERED, ALL, "attach", f->unsteered = true; \
	  f->left_out = 4; for (int i = 0; i < WORKERS; i++) make_down(&w[i])) \
	X(taken_off, EXPLAIN_TAKEN_OFF, ALL, "lbctl events web", f->taken_off = 1; \
	  f->keeper = EXPLAIN_WATCH) \
	X(takers, EXPLAIN_TAKERS, ALL, "is to end", f->takers = 1) \
	X(left_out, EXPLAIN_LEFT_OUT, ALL, "lbctl attach --name web 127.0.0.1:8080", \
	  f->left_out = 1) \
	X(left_out_run, EXPLAIN_LEFT_OUT, ALL, "is to end", f->left_out = 1; f->keeper = \
	  EXPLAIN_RUN) \
	X(one_socket, EXPLAIN_ONE_SOCKET, ALL, "no setting helps: run it", f->shared = \
	  "it is shared; run it") \
	X(one_socket_odd, EXPLAIN_ONE_SOCKET, ALL, "no setting helps", f->shared = \
	  "it is shared") \
	X(all_down, EXPLAIN_NO_WORKER, ALL, "to be started", for (int i = 0; i < WORKERS; \
	  i++) make_down(&w[i])) \
	X(all_down_run, EXPLAIN_NO_WORKER, ALL, "lbctl reload web", for (int i = 0; i < \
	  WORKERS; i++) make_down(&w[i]); f->keeper = EXPLAIN_RUN) \
	X(all_down_forks, EXPLAIN_NO_WORKER, ALL, "lbctl reload web", for (int i = 0; i < \
	  WORKERS; i++) make_down(&w[i]); f->keeper = EXPLAIN_FORKS) \
	X(all_drained, EXPLAIN_NO_WORKER, ALL, "lbctl resume web all", for (int i = 0; i < \
	  WORKERS; i++) make_drained(&w[i]); f->counters.fallback_empty = 500) \
	X(none_at_all, EXPLAIN_NO_WORKER, ALL, "to be started", f->nr_workers = 0) \
	X(throttled, EXPLAIN_THROTTLED, 2, "raise cpu.max", throttle(&w[2], "/c/w2", 50, 5, \
	  50)) \
	X(throttled_seldom, NOTHING, 0, "", throttle(&w[2], "/c/w2", 50, 4, 500)) \
	X(throttled_shortly, NOTHING, 0, "", throttle(&w[2], "/c/w2", 50, 5, 49)) \
	X(throttled_few, NOTHING, 0, "", throttle(&w[2], "/c/w2", 9, 9, 500)) \
	X(throttled_ten, EXPLAIN_THROTTLED, 2, "CPUQuota", throttle(&w[2], "/c/w2", 10, 10, \
	  500)) \
	X(throttled_all, EXPLAIN_THROTTLED, ALL, "raise cpu.max", throttle_all(w)) \
	X(throttled_hangs, EXPLAIN_THROTTLED, 2, "raise cpu.max", throttle(&w[2], "/c/w2", \
	  50, 50, 4900); w[2].stalled_ns = 2000000000) \
	X(throttled_waits, EXPLAIN_THROTTLED, ALL, "raise cpu.max", throttle_all(w); \
	  all_wait(w, 20, 40)) \
	X(hangs, EXPLAIN_HANGS, 1, "lbctl rescue web 1", w[1].stalled_ns = HANGS_NS; \
	  w[1].queued_least = 1) \
	X(hangs_not, NOTHING, 0, "", w[1].stalled_ns = HANGS_NS - 1; w[1].queued_least = \
	  1) \
	X(hangs_empty, EXPLAIN_HANGS, 1, "pid 101", w[1].stalled_ns = HANGS_NS) \
	X(hangs_run, EXPLAIN_HANGS, 1, "lbctl restart web 1", w[1].stalled_ns = HANGS_NS; \
	  f->keeper = EXPLAIN_RUN) \
	X(hangs_alone, EXPLAIN_HANGS, 0, "pid 100", w[0].stalled_ns = HANGS_NS; \
	  w[0].queued_least = 9; f->nr_workers = 1) \
	X(hangs_stranger, EXPLAIN_HANGS, 1, "pid 101", w[1].stalled_ns = HANGS_NS; f->keeper = \
	  EXPLAIN_RUN; f->kept = 1) \
	X(hangs_udp, EXPLAIN_HANGS, 1, "pid 101", w[1].stalled_ns = HANGS_NS; \
	  w[1].queued_least = 1; f->datagrams = true; f->counted = false) \
	X(restarts, EXPLAIN_RESTARTS, 3, "lbctl logs web 3", w[3].restarts = \
	  LEAST_RESTARTS; w[3].restarted = 1; w[3].up = false; f->keeper = EXPLAIN_RUN) \
	X(restarts_few, NOTHING, 0, "", w[3].restarts = LEAST_RESTARTS - 1; w[3].restarted \
	  = 1; w[3].up = false) \
	X(restarts_old, NOTHING, 0, "", w[3].restarts = 100) \
	X(restarts_gave_up, EXPLAIN_RESTARTS, 3, "lbctl events web", make_down(&w[3]); \
	  w[3].restarts = 16; f->keeper = EXPLAIN_RUN) \
	X(restarts_lost, EXPLAIN_RESTARTS, 3, "lbctl logs", w[3].restarts = 9; \
	  w[3].restarted = 4; w[3].lost = 50; w[3].up = false; f->counters.reset = 100; \
	  f->keeper = EXPLAIN_RUN) \
	X(restarts_attached, EXPLAIN_RESTARTS, 3, "who starts it", w[3].restarts = 9; \
	  w[3].restarted = 4; w[3].up = false) \
	X(down, EXPLAIN_DOWN, 0, "lbctl attach", make_down(&w[0])) \
	X(down_run, EXPLAIN_DOWN, 0, "lbctl restart web 0", make_down(&w[0]); f->keeper = \
	  EXPLAIN_RUN) \
	X(down_stranger, EXPLAIN_DOWN, 3, "none of run's workers", make_down(&w[3]); \
	  f->keeper = EXPLAIN_RUN; f->kept = 3) \
	X(down_gone, EXPLAIN_KEEPER_GONE, ALL, "lbctl watch web", make_down(&w[0]); f->gone = true; \
	  f->again = "lbctl watch web") \
	X(down_a_moment, NOTHING, 0, "", make_down(&w[0]); w[0].down = false) \
	X(a_drained, EXPLAIN_DRAINED, 1, "lbctl resume web 1", make_drained(&w[1])) \
	X(draining, NOTHING, 0, "", make_drained(&w[1]); w[1].live_last = 1) \
	X(limited, EXPLAIN_LIMITED, ALL, "lbctl set web limit=16", f->limit = 8; \
	  all_have(w, 8, 8)) \
	X(limited_run, EXPLAIN_LIMITED, ALL, "lbctl scale web +1", f->limit = 8; \
	  all_have(w, 8, 8); f->keeper = EXPLAIN_RUN) \
	X(limited_high, EXPLAIN_LIMITED, ALL, "limit=0", f->limit = LB_MAX_LIMIT; \
	  all_have(w, LB_MAX_LIMIT, LB_MAX_LIMIT)) \
	X(limited_not, NOTHING, 0, "", f->limit = 8; all_have(w, 8, 8); w[2].live_least = \
	  7) \
	X(limited_over, EXPLAIN_LIMITED, ALL, "limit=16", f->limit = 8; all_have(w, 8, 7); \
	  f->counters.all_limited = 20) \
	X(limited_over_few, NOTHING, 0, "", f->limit = 8; all_have(w, 8, 7); \
	  f->counters.all_limited = 19) \
	X(limited_no_more, NOTHING, 0, "", f->counters.all_limited = 2000) \
	X(limit, EXPLAIN_LIMIT, 2, "lbctl set-limit web 2 0", w[2].limit = 3; \
	  w[2].live_least = 3) \
	X(limit_not, NOTHING, 0, "", w[2].limit = 4; w[2].live_least = 3) \
	X(limit_of_all, NOTHING, 0, "", f->limit = 3; all_have(w, 3, 2); w[2].live_least = \
	  3) \
	X(silent, EXPLAIN_SILENT, ALL, "lbctl set-policy web least-conn", f->policy = \
	  LB_POLICY_LEAST_LOAD; f->counters.all_stale = 1000) \
	X(silent_not, NOTHING, 0, "", f->policy = LB_POLICY_LEAST_LOAD; \
	  f->counters.all_stale = 999) \
	X(silent_few, NOTHING, 0, "", f->policy = LB_POLICY_LEAST_LOAD; \
	  f->counters.all_stale = f->decisions = LEAST_VALUES - 1) \
	X(silent_other, NOTHING, 0, "", f->counters.all_stale = 2000) \
	X(silent_one, EXPLAIN_SILENT, ALL, "liblbctl", f->policy = LB_POLICY_LEAST_LOAD; \
	  f->counters.stale_probes = 4) \
	X(silent_once, NOTHING, 0, "", f->policy = LB_POLICY_LEAST_LOAD; \
	  f->counters.stale_probes = 3) \
	X(few, EXPLAIN_FEW_CLIENTS, 0, "lbctl set-policy web least-conn", f->policy = \
	  LB_POLICY_HASH; all_opened(w, 30, 0)) \
	X(few_not, NOTHING, 0, "", f->policy = LB_POLICY_HASH; all_opened(w, 29, 0)) \
	X(few_twice, EXPLAIN_FEW_CLIENTS, 0, "least-conn", f->policy = LB_POLICY_HASH; \
	  all_opened(w, 300, 100)) \
	X(few_not_twice, NOTHING, 0, "", f->policy = LB_POLICY_HASH; all_opened(w, 299, \
	  100)) \
	X(few_weight, NOTHING, 0, "", f->policy = LB_POLICY_HASH; all_opened(w, 300, 100); \
	  w[0].weight = 3) \
	X(few_udp, EXPLAIN_FEW_CLIENTS, 0, "lbctl set-policy web rr", f->policy = \
	  LB_POLICY_HASH; all_opened(w, 300, 1); f->datagrams = true; f->counted = false) \
	X(uneven, EXPLAIN_UNEVEN, 0, "lbctl set-policy web least-conn", f->policy = \
	  LB_POLICY_KERNEL; all_opened(w, 300, 100)) \
	X(uneven_not, NOTHING, 0, "", f->policy = LB_POLICY_KERNEL; all_opened(w, 299, \
	  100)) \
	X(uneven_unknown, NOTHING, 0, "", f->policy = LB_POLICY_KERNEL; all_opened(w, 300, \
	  1); f->counted = false) \
	X(uneven_wanted, NOTHING, 0, "", all_opened(w, 300, 1)) \
	X(slow, EXPLAIN_SLOW, 2, "lbctl set-policy web least-latency", slow_by_request(f, \
	  2.4, 2)) \
	X(slow_half, NOTHING, 0, "", slow_by_request(f, 2.4, 1.99)) \
	X(slow_mean, NOTHING, 0, "", slow_by_request(f, 2.39, 2)) \
	X(slow_few, NOTHING, 0, "", slow_by_request(f, 20, 20); w[2].first_byte.count = \
	  LEAST_VALUES - 1; w[2].opened = 9) \
	X(slow_enough, EXPLAIN_SLOW, 2, "least-latency", slow_by_request(f, 20, 20); \
	  w[2].first_byte.count = LEAST_VALUES) \
	X(slow_a_little, NOTHING, 0, "", all_wait_for(w, 0.1, 0.41); f->latency = true; \
	  w[2].first_byte = (struct explain_time){ 500, 9e5, 9e5, 12e5 }) \
	X(slow_at_times, EXPLAIN_SLOW, 2, "lbctl set-policy web least-latency", \
	  slow_by_request(f, 2.4, 1); w[2].first_byte.ninth_ns = 4 * MS) \
	X(slow_at_times_not, NOTHING, 0, "", slow_by_request(f, 2.4, 1); \
	  w[2].first_byte.ninth_ns = 3.9 * MS) \
	X(slow_at_few_times, NOTHING, 0, "", slow_by_request(f, 2.4, 1); \
	  w[2].first_byte.ninth_ns = 4 * MS; w[2].first_byte.count = LEAST_PACED - 1) \
	X(slow_knows, EXPLAIN_SLOW, 2, "no setting helps", slow_by_request(f, 20, 20); \
	  f->policy = LB_POLICY_LEAST_LATENCY) \
	X(slow_spared, NOTHING, 0, "", slow_by_request(f, 20, 20); f->policy = \
	  LB_POLICY_LEAST_LATENCY; w[2].opened = 90) \
	X(slow_kept, EXPLAIN_SLOW, 2, "no setting helps: a kept connection", \
	  slow_by_request(f, 20, 20); all_opened(w, 5, 5)) \
	X(slow_uncounted, EXPLAIN_SLOW, 2, "not counted", slow_by_request(f, 20, 20); \
	  f->counted = false) \
	X(pace, EXPLAIN_SLOW, 2, "lbctl set-policy web least-latency", f->policy = \
	  LB_POLICY_RR; slow_by_pace(w, 2400)) \
	X(pace_not, NOTHING, 0, "", f->policy = LB_POLICY_RR; slow_by_pace(w, 2399)) \
	X(pace_few, NOTHING, 0, "", slow_by_pace(w, 24000); w[2].opened = LEAST_PACED - 1) \
	X(pace_less, NOTHING, 0, "", slow_by_pace(w, 24000); w[2].opened = 333) \
	X(pace_as_many, EXPLAIN_SLOW, 2, "least-latency", slow_by_pace(w, 24000); \
	  w[2].opened = 334) \
	X(pace_open_longer, EXPLAIN_SLOW, 2, "least-latency", slow_by_pace(w, 24000); \
	  w[2].opened = 250) \
	X(pace_open_as_long, NOTHING, 0, "", slow_by_pace(w, 24000); w[2].opened = 251) \
	X(pace_udp, NOTHING, 0, "", slow_by_pace(w, 24000); f->datagrams = true; \
	  f->counted = false) \
	X(pace_asks, EXPLAIN_SLOW, 2, "least-latency", slow_by_pace(w, 24000); f->latency \
	  = true) \
	X(weight, EXPLAIN_WEIGHT, 2, "lbctl set-weight web 2 2", slow_by_request(f, 6, 5); \
	  w[2].weight = 10) \
	X(weight_least, EXPLAIN_WEIGHT, 2, "lbctl set-weight web 2 1", slow_by_request(f, \
	  60, 50); w[2].weight = 2) \
	X(weight_fits, NOTHING, 0, "", w[2].weight = 10) \
	X(weight_kernel, EXPLAIN_SLOW, 2, "least-latency", slow_by_request(f, 6, 5); \
	  w[2].weight = 10; f->policy = LB_POLICY_KERNEL) \
	X(kept, EXPLAIN_KEPT, 1, "a reload of the server", w[1].stayed = 11) \
	X(kept_few, NOTHING, 0, "", w[1].stayed = 10) \
	X(kept_half_again, EXPLAIN_KEPT, 1, "lbctl set-policy web least-conn", f->policy = \
	  LB_POLICY_RR; for (int i = 0; i < WORKERS; i++) w[i].stayed = i == 1 ? 60 : 33) \
	X(kept_not, NOTHING, 0, "", for (int i = 0; i < WORKERS; i++) w[i].stayed = i == 1 \
	  ? 59 : 33) \
	X(kept_weight, NOTHING, 0, "", for (int i = 0; i < WORKERS; i++) w[i].stayed = \
	  w[i].weight = i == 1 ? 60 : 20) \
	X(kept_run, EXPLAIN_KEPT, 1, "lbctl reload web", w[1].stayed = 61; f->keeper = \
	  EXPLAIN_RUN) \
	X(full, EXPLAIN_FULL, ALL, "net.core.somaxconn", f->counters.overloaded = 20) \
	X(full_few, NOTHING, 0, "", f->counters.overloaded = 19) \
	X(full_run, EXPLAIN_FULL, ALL, "lbctl scale web +1", f->counters.overloaded = 20; \
	  f->keeper = EXPLAIN_RUN) \
	X(full_now, EXPLAIN_FULL, ALL, "more workers", all_wait(w, 511, 511)) \
	X(full_forks, EXPLAIN_BEHIND, ALL, "more workers", all_wait(w, 510, 510); \
	  f->keeper = EXPLAIN_FORKS) \
	X(behind, EXPLAIN_BEHIND, ALL, "lbctl scale web +1", all_wait(w, 1, 4); f->keeper \
	  = EXPLAIN_RUN) \
	X(behind_not, NOTHING, 0, "", all_wait(w, 1, 3.9)) \
	X(behind_one_is_not, NOTHING, 0, "", all_wait(w, 1, 5); w[3].queued_least = 0) \
	X(queue, EXPLAIN_QUEUE, 1, "lbctl set-policy web least-conn", f->policy = \
	  LB_POLICY_RR; w[1].queued_least = 8; w[1].queued = 8) \
	X(queue_not, NOTHING, 0, "", w[1].queued_least = 7; w[1].queued = 8) \
	X(queue_others_too, NOTHING, 0, "", all_wait(w, 0, 2); w[1].queued_least = 8; \
	  w[1].queued = 11) \
	X(queue_least, EXPLAIN_QUEUE, 1, "lbctl trace web", w[1].queued_least = 8; \
	  w[1].queued = 8) \
	X(queue_udp, EXPLAIN_QUEUE, 1, "least-conn", f->datagrams = true; f->counted = \
	  false; f->policy = LB_POLICY_RR; w[1].queued_least = 128; w[1].queued = 200) \
	X(queue_udp_not, NOTHING, 0, "", f->datagrams = true; f->counted = false; \
	  w[1].queued_least = 127; w[1].queued = 200) \
	X(hot, EXPLAIN_HOT, 1, "lbctl set-policy web least-conn", f->policy = LB_POLICY_RR; \
	  all_use(w, 0.125); w[1].cpu = 0.5) \
	X(hot_least, EXPLAIN_HOT, 1, "least-load", all_use(w, 0.125); w[1].cpu = 0.5) \
	X(hot_not, NOTHING, 0, "", all_use(w, 0.1); w[1].cpu = 0.49) \
	X(hot_others_too, NOTHING, 0, "", all_use(w, 0.126); w[1].cpu = 0.5) \
	X(hot_unknown, NOTHING, 0, "", all_use(w, -1); w[1].cpu = 0.8) \
	X(busy, EXPLAIN_BUSY, ALL, "lbctl scale web +1", all_use(w, 0.9); f->keeper = \
	  EXPLAIN_RUN) \
	X(busy_not, NOTHING, 0, "", all_use(w, 0.9); w[0].cpu = 0.89) \
	X(busy_unknown, NOTHING, 0, "", all_use(w, -1)) \
	X(passed_by, EXPLAIN_PASSED_BY, 0, "lbctl trace web", w[0].skipped = 200) \
	X(passed_by_few, NOTHING, 0, "", w[0].skipped = 199) \
	X(lost, EXPLAIN_LOST, 0, "lbctl drain web 0", w[0].lost = 5) \
	X(lost_run, EXPLAIN_LOST, 0, "lbctl reload web", w[0].lost = 5; f->keeper = \
	  EXPLAIN_RUN) \
	X(lost_few, NOTHING, 0, "", w[0].lost = 4) \
	X(hold, EXPLAIN_HOLD, ALL, "lbctl set web hold_ms=auto", measure(f); f->hold_ns = \
	  0; all_wait_for(w, 1.5, 4.5)) \
	X(hold_short, NOTHING, 0, "", measure(f); f->hold_ns = 0; all_wait_for(w, 1.5, \
	  4.4)) \
	X(hold_no_wait, NOTHING, 0, "", measure(f); f->hold_ns = 0; all_wait_for(w, 1.4, \
	  4.5)) \
	X(hold_on, NOTHING, 0, "", measure(f); f->keeper = EXPLAIN_RUN; all_wait_for(w, \
	  1.5, 4.5)) \
	X(hold_nobody, EXPLAIN_HOLD, ALL, "lbctl watch web", measure(f); all_wait_for(w, \
	  1.5, 4.5)) \
	X(hold_can_not, EXPLAIN_HOLD, ALL, "no setting helps: nothing can be held: why", \
	  measure(f); f->obstacle = "why"; f->keeper = EXPLAIN_RUN; all_wait_for(w, 1.5, \
	  4.5)) \
	X(hold_rr, NOTHING, 0, "", measure(f); f->policy = LB_POLICY_RR; f->hold_ns = 0; \
	  all_wait_for(w, 1.5, 4.5)) \
	X(fallback_config, EXPLAIN_FALLBACK_CONFIG, ALL, "detach and attach it", \
	  f->counters.fallback_config = 20) \
	X(fallback_config_few, NOTHING, 0, "", f->counters.fallback_config = 19) \
	X(fallback_empty, EXPLAIN_FALLBACK_EMPTY, ALL, "one worker is to be up", \
	  f->counters.fallback_empty = 20) \
	X(fallback_empty_few, NOTHING, 0, "", f->counters.fallback_empty = 19) \
	X(fallback_none, EXPLAIN_FALLBACK_NONE, ALL, "lbctl trace", \
	  f->counters.fallback_none = 20) \
	X(fallback_none_few, NOTHING, 0, "", f->counters.fallback_none = 4; f->decisions = \
	  4) \
	X(fallback_none_all, EXPLAIN_FALLBACK_NONE, ALL, "lbctl trace", \
	  f->counters.fallback_none = 5; f->decisions = 5) \
	X(not_header, EXPLAIN_NOT_HEADER, ALL, "TPROXY", f->counters.not_header = 20) \
	X(not_header_few, NOTHING, 0, "", f->counters.not_header = 19) \
	X(migrate_failed, EXPLAIN_MIGRATE_FAILED, ALL, "before another one ends", \
	  f->counters.migrate_failed = 20) \
	X(migrate_failed_few, NOTHING, 0, "", f->counters.migrate_failed = 19) \
	X(reset, EXPLAIN_RESET, ALL, "before another one ends", f->counters.reset = 20) \
	X(reset_few, NOTHING, 0, "", f->counters.reset = 19) \
	X(unanswered, EXPLAIN_UNANSWERED, ALL, "keeper", f->counters.unanswered = 20) \
	X(unanswered_few, NOTHING, 0, "", f->counters.unanswered = 19) \
	X(held_late, EXPLAIN_HELD_LATE, ALL, "more workers", f->counters.held = 154; \
	  f->counters.held_late = 30) \
	X(held_late_few, NOTHING, 0, "", f->counters.held = 100; f->counters.held_late = \
	  29) \
	X(held_late_rare, NOTHING, 0, "", f->counters.held = 155; f->counters.held_late = \
	  30)
/* clang-format on */

#endif
