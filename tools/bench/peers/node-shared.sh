# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash disable=SC1091 # read from its own folder
# what: Node.js: each worker is sent the one listening socket, the first to accept has it
# needs: node
# program: node
export BENCH_HANDLES=server

start() {
	exec "$BENCH_NODE" "$BENCH_TOOLS/peers/handles.js"
}
