# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash disable=SC1091 # read from its own folder
# what: lbctl run -n N: gunicorn -w 1, N times
# needs: gunicorn
# program: gunicorn
# can: reload scale lost
# cannot: hold
. ./gunicorn.sh
. ./lbctl-run.sh

start() {
	touch "$BENCH_DIR/wait"
	wait_for_all &
	exec "$BENCH_BUILD/lbctl" run -n "$BENCH_WORKERS" --name bench --policy "$BENCH_POLICY" -- \
		"${GUNICORN[@]}" --workers 1
}
