# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash
# What the peers share. A peer is a script here that defines start() and, where it can, reload(),
# scale(), lost() and stop(); lb-bench calls `peer.sh NAME FUNCTION [ARG]` in a cgroup of the peer's
# own and ends by that cgroup what is left. Its header says:
#   what:    one line for people
#   needs:   commands; or node24 (any Node.js with reusePort), pm2
#   program: what serves; only peers with the same one are compared
#   can:     reload, scale, lost: those functions are there, its own or another script's
#   cannot:  slow (no work of BENCH_WORK_US), hold (no /slow?ms=N)
#
# lost() writes to $BENCH_DIR/lost how many accepted connections died with their workers.
#
# A start() that must do something after its workers listen has a file $BENCH_DIR/wait until then.
#
# From lb-bench: BENCH_PORT (the next seven are free, too), BENCH_WORKERS, BENCH_DIR (empty, gone
# afterwards), BENCH_BUILD, BENCH_TOOLS, BENCH_NODE, BENCH_PM2, BENCH_POLICY; what a request costs:
# BENCH_WORK_US of CPU time, and BENCH_SLOW_US of sleep for worker 0.

DEMO_OPTIONS=(--quiet --work-us "$BENCH_WORK_US")
if [ "$BENCH_SLOW_US" -gt 0 ]; then
	DEMO_OPTIONS+=(--slow "0:$BENCH_SLOW_US")
fi

# keep WORKER COMMAND...: runs it, and again each time that it is killed, until it ends by itself
keep() {
	local worker=$1 status=1
	shift
	while [ $status != 0 ]; do
		LBCTL_WORKER=$worker "$@" &
		echo $! >"$BENCH_DIR/pid.$worker"
		status=0
		wait $! || status=$?
	done
}

# demo_workers FROM TO OPTION...: one process each, with a listening socket of its own
demo_workers() {
	local from=$1 to=$2 worker
	shift 2
	for ((worker = from; worker <= to; worker++)); do
		keep "$worker" "$BENCH_BUILD/lbctl-demo-worker" "${DEMO_OPTIONS[@]}" --listen "127.0.0.1:$BENCH_PORT" "$@" &
	done
}

# replace_demo_workers SECONDS: new ones beside the old ones, who then finish and go
replace_demo_workers() {
	local old
	old=$(cat "$BENCH_DIR"/pid.*)
	demo_workers 0 $((BENCH_WORKERS - 1))
	sleep "$1"
	# shellcheck disable=SC2086 # numbers
	kill -TERM $old
}

# of a peer that lbctl steers
lost() {
	"$BENCH_BUILD/lbctl" show bench --json | jq '[.workers[].lost] | add' >"$BENCH_DIR/lost"
}
