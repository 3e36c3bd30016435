# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash disable=SC1091 # read from its own folder
# what: lbctl run: the same server.js, unchanged, N times
# needs: node
# program: node
# can: reload scale lost
workers_up() {
	"$BENCH_BUILD/lbctl" show bench --json 2>/dev/null | jq '[.workers[] | select(.state == "up")] | length'
}

# they answer before they are registered: then it is the kernel's hash who picks
wait_for_all() {
	until [ "$(workers_up)" = "$BENCH_WORKERS" ]; do
		sleep 0.05
	done
	rm "$BENCH_DIR/wait"
}

start() {
	touch "$BENCH_DIR/wait"
	wait_for_all &
	exec "$BENCH_BUILD/lbctl" run -n "$BENCH_WORKERS" --name bench --policy "$BENCH_POLICY" -- \
		"$BENCH_NODE" "$BENCH_TOOLS/peers/server.js"
}

reload() {
	"$BENCH_BUILD/lbctl" reload bench
}

scale() {
	"$BENCH_BUILD/lbctl" scale bench "$1"
}

stop() {
	"$BENCH_BUILD/lbctl" stop bench
}
