# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash disable=SC1091 # read from its own folder
# what: one shared socket, every worker is woken for each connection
# program: demo
start() {
	exec "$BENCH_BUILD/lbctl-demo-worker" "${DEMO_OPTIONS[@]}" --listen "127.0.0.1:$BENCH_PORT" --workers "$BENCH_WORKERS" \
		--shared --batch 1 --backlog 2048
}
