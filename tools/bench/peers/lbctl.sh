# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash disable=SC1091 # read from its own folder
# what: SO_REUSEPORT, picked by lbctl
# program: demo
# can: reload scale lost
start() {
	local report=()
	touch "$BENCH_DIR/wait"
	[ "$BENCH_POLICY" != least-load ] || report=(--report)
	demo_workers 0 $((BENCH_WORKERS - 1)) "${report[@]}"
	until [ "$("$BENCH_BUILD/lbctl" scan --json | jq 'map(.sockets) | add')" = "$BENCH_WORKERS" ]; do
		sleep 0.02
	done
	"$BENCH_BUILD/lbctl" attach --name bench --policy "$BENCH_POLICY" ":$BENCH_PORT"
	"$BENCH_BUILD/lbctl" set bench "${SETTINGS[@]:-hold_ms=auto}"
	rm "$BENCH_DIR/wait"
	exec "$BENCH_BUILD/lbctl" watch bench
}

# watch lets new sockets in within a second
reload() {
	replace_demo_workers 1.5
}

scale() {
	demo_workers "$BENCH_WORKERS" $(($1 - 1))
}

# a service that watch keeps is not detached
stop() {
	"$BENCH_BUILD/lbctl" stop bench
	"$BENCH_BUILD/lbctl" detach bench
}
