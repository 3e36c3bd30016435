# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash disable=SC1091 # read from its own folder
# what: Node.js cluster, SCHED_RR: the primary accepts and hands on
# needs: node
# program: node
# can: reload scale
export BENCH_CLUSTER=rr

start() {
	exec "$BENCH_NODE" "$BENCH_TOOLS/peers/cluster.js"
}

reload() {
	kill -HUP "$(cat "$BENCH_DIR/primary")"
}

scale() {
	kill -USR2 "$(cat "$BENCH_DIR/primary")"
}
