# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash disable=SC1091 # read from its own folder
# what: a master in C accepts and hands the descriptors on in turn
# program: demo
start() {
	exec "$BENCH_BUILD/lb-bench" master "$BENCH_PORT" "$BENCH_WORKERS" \
		"$BENCH_BUILD/lbctl-demo-worker" "${DEMO_OPTIONS[@]}" --receive
}
