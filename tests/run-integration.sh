#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# run-integration.sh [UNIT...] -- INTEGRATION...: all tests, as root, one total over both kinds.
# Called by `make test`. An integration test isolates itself in namespaces of its own. On a slow
# machine LB_TEST_SCALE=PERCENT makes less load and waits longer by as much (world.h).
set -u
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=tests/runner.sh
. tests/runner.sh

timeout_sec=120
start_log
echo "unit tests"
for binary in "$@"; do
	if [ "$binary" = -- ]; then
		echo "integration tests on Linux $(uname -r), $(nproc) CPUs"
		timeout_sec=$((300 * 100 / ${LB_TEST_SCALE:-100}))
		continue
	fi
	run_binary "$binary" $timeout_sec
done
print_totals
