# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash disable=SC1091 # read from its own folder
# what: nginx, listen ... reuseport, and lbctl attach
# needs: nginx
# program: nginx
# can: reload
# cannot: slow hold
. ./nginx.sh

start() {
	touch "$BENCH_DIR/wait"
	nginx_start reuseport &
	until [ "$("$BENCH_BUILD/lbctl" scan --json | jq 'map(.sockets) | add')" = "$BENCH_WORKERS" ]; do
		sleep 0.02
	done
	"$BENCH_BUILD/lbctl" attach --name bench --policy "$BENCH_POLICY" ":$BENCH_PORT"
	rm "$BENCH_DIR/wait"
	wait
}

stop() {
	"$BENCH_BUILD/lbctl" detach bench
}
