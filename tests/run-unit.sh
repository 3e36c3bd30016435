#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# run-unit.sh BINARY...: the unit tests, without root. Called by `make check`.
set -u
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=tests/runner.sh
. tests/runner.sh

start_log
for binary in "$@"; do
	run_binary "$binary" 120
done
print_totals
