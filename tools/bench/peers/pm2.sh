# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash disable=SC1091 # read from its own folder
# what: PM2 in cluster mode
# needs: pm2
# program: node
# can: reload scale
export PM2_HOME=$BENCH_DIR/pm2

start() {
	exec "$BENCH_NODE" "$BENCH_PM2/bin/pm2" start --no-daemon "$BENCH_TOOLS/peers/server.js" \
		--name bench -i "$BENCH_WORKERS" --wait-ready --listen-timeout 5000 --kill-timeout 5000
}

reload() {
	"$BENCH_NODE" "$BENCH_PM2/bin/pm2" reload bench
}

scale() {
	"$BENCH_NODE" "$BENCH_PM2/bin/pm2" scale bench "$1"
}
