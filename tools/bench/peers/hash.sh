# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash disable=SC1091 # read from its own folder
# what: plain SO_REUSEPORT: the kernel's hash picks one of the workers' sockets
# program: demo
# can: reload scale
start() {
	demo_workers 0 $((BENCH_WORKERS - 1))
	wait
}

reload() {
	replace_demo_workers 0.3
}

scale() {
	demo_workers "$BENCH_WORKERS" $(($1 - 1))
}
