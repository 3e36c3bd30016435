#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# soak.sh: tests with far more load than `make test` has, those that vmtests/README.md names, for
# some three hours; the first hour is of all at once, at random: LB_TEST_SEED says from which seed.
# As root, after `make all test-programs`; the variables may have other amounts. Called by
# `make soak`. The last line is "N passed, N failed".
set -u
cd "$(dirname "$0")/.." || exit 1
passed=0
failed=0

# soak BINARY TEST VARIABLE AMOUNT
soak() {
	local log status
	log=build/tests/soak-$1-$2.log
	printf '%s %s, %s=%s\n' "$1" "$2" "$3" "${!3:-$4}"
	env "LB_TEST_ONLY=$2" "$3=${!3:-$4}" "build/tests/integration/$1" >"$log" 2>&1 </dev/null
	status=$?
	grep -vE '^\[|^$' "$log" | tail -n 5 | sed 's/^/    /'
	if [ $status -eq 0 ] && grep -q '^\[  PASSED  \] [1-9]' "$log"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "    FAILED, status $status: $log"
	fi
}

mkdir -p build/tests
export LB_TEST_SEED=${LB_TEST_SEED:-$((RANDOM * 32768 + RANDOM))}
echo "LB_TEST_SEED=$LB_TEST_SEED"
soak soak test_all LB_TEST_SOAK 3600
soak hostile_maps 'test_*' LB_TEST_GARBAGE 1000
soak flood test_syns LB_TEST_FLOOD 100000
soak flood test_flows LB_TEST_FLOOD 200000
soak connections test_storm LB_TEST_STORM 280000
soak hold_storm test_storm LB_TEST_STORM 280000
soak rescue test_answered_meanwhile LB_TEST_STOPS 40
soak run_reload test_killed_workers LB_TEST_KILLS 100
for test in test_under_load test_under_load_with_listen test_stop_and_start; do
	soak keeper_killed $test LB_TEST_KEEPER_KILLS 670
done
soak killed_commands 'test_killed_*' LB_TEST_COMMAND_KILLS 5400
export LB_TEST_REQUESTS=${LB_TEST_REQUESTS:-150000}
for test in test_each_policy test_each_policy_with_listen; do
	soak reload_policies $test LB_TEST_RELOADS 100
done
for server in demo nginx node; do
	soak rescue_soak test_$server LB_TEST_RESCUES 3400
done
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
