#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# suite.sh TEST...: runs these integration tests on this kernel, and tells run in lines that begin with
# "vmtest:" which kernel it is, what `lbctl doctor` finds wrong there, and what did not pass. Called
# by a guest's init, and by run for the host's own column. Exit status: 0 none failed.
set -u
cd "$(dirname "$0")/.." || exit 1
log=${LB_TEST_LOG:-build/tests/log}
export LB_TEST_FULL=1

# a guest's firmware leaves its first line unfinished
printf '\nvmtest: kernel %s\n' "$(uname -r)"
build/lbctl doctor | sed -En 's/^(no|warn|FAIL) +/vmtest: lacks /p'
# one at a time: an emulated machine has little to spare
tests/run.sh -j 1 "$@"
status=$?
for what in skipped failed totals; do
	sed "s/^/vmtest: $what /" "$log/$what"
done
exit $status
