# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash disable=SC1091 # read from its own folder
# what: gunicorn -w N: one process forks the workers, which share its socket
# needs: gunicorn
# program: gunicorn
# cannot: hold
GUNICORN=(gunicorn --log-level critical --backlog 2048 --chdir "$BENCH_TOOLS/peers" --config
	"$BENCH_TOOLS/peers/app.py" --bind "127.0.0.1:$BENCH_PORT" app:app)

start() {
	exec "${GUNICORN[@]}" --workers "$BENCH_WORKERS"
}
