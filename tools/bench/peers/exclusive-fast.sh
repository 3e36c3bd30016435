# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash disable=SC1091 # read from its own folder
# what: the shared socket without worker 0, which S2 slows: what there is to gain, no peer
# program: demo
start() {
	LBCTL_WORKER=1 exec "$BENCH_BUILD/lbctl-demo-worker" "${DEMO_OPTIONS[@]}" --listen "127.0.0.1:$BENCH_PORT" \
		--workers $((BENCH_WORKERS - 1)) --shared --exclusive --batch 1 --backlog 2048
}
