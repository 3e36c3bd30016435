#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# runner.sh: holds run.sh against what it promises, with programs that behave in every way. Called by
# run.sh; reports as a cmocka program does. A test that prints nothing has passed.
set -u
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=tests/shell_tests.sh
. tests/shell_tests.sh
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT

# program NAME TEXT: a shell script.
program() {
	printf '#!/bin/sh\n%s\n' "$2" >"$dir/$1"
	chmod +x "$dir/$1"
}

# expect WANT BINARY...: the totals, and what is said of each that is not passed.
expect() {
	local want=$1
	shift
	LB_TEST_LOG=$dir/log LB_TEST_SCALE=10000 tests/run.sh -j 3 "${@/#/$dir/}" >"$dir/out" 2>&1
	diff <(echo "$want") <(cat "$dir/log/skipped" "$dir/log/failed" "$dir/log/totals")
	[ "$(tail -n 1 "$dir/out" | grep -c ' passed, .* failed')" -eq 1 ] || cat "$dir/out"
}

test_good() {
	program good 'echo "[ RUN      ] a"; echo "[       OK ] a"'
	expect '1 passed, 0 failed, 0 skipped' good
}

test_bad() {
	program bad 'echo "[ RUN      ] a"; echo why; echo "[  FAILED  ] a"; exit 1'
	expect "$(printf '%s\n' "$dir/bad:a" '0 passed, 1 failed, 0 skipped')" bad
	grep -q '^    why$' "$dir/out" || echo "it does not say why"
}

# The one that begins a test and says no more, and the one whose end is bad although its tests are not.
test_bad_ends() {
	program crashes 'echo "[ RUN      ] a"; kill -SEGV $$'
	expect "$(printf '%s\n' "$dir/crashes:a" '0 passed, 1 failed, 0 skipped')" crashes
	program killed 'echo "[ RUN      ] a"; kill -KILL $$'
	expect "$(printf '%s\n' "$dir/killed:a" '0 passed, 1 failed, 0 skipped')" killed
	program leaks 'echo "[ RUN      ] a"; echo "[       OK ] a"; exit 1'
	expect "$(printf '%s\n' "$dir/leaks:(exit 1)" '1 passed, 1 failed, 0 skipped')" leaks
}

# With all of its process group, and so with who would have told.
test_killed_with_its_group() {
	program group 'echo "[ RUN      ] a"; kill -KILL 0'
	expect "$(printf '%s\n' "$dir/group:a" '0 passed, 1 failed, 0 skipped')" group
}

# A machine that gives the runner no CPU for seconds, as often as not while something ends.
test_stopped_runner() {
	local delay names=() runner
	for delay in 1 2 3 4 5 6 7 8; do
		program "ends$delay" "echo '[ RUN      ] a'; sleep 0.$delay; echo '[       OK ] a'"
		names+=("$dir/ends$delay")
	done
	LB_TEST_LOG=$dir/log tests/run.sh -j 3 "${names[@]}" >"$dir/out" 2>&1 &
	runner=$!
	for delay in 1 2 3 4 5 6; do
		kill -STOP $runner && sleep 1.2 && kill -CONT $runner && sleep 0.0$delay
	done 2>/dev/null
	wait $runner || cat "$dir/out"
}

test_no_end() {
	program hangs 'echo "[ RUN      ] a"; sleep 1000'
	expect "$(printf '%s\n' "$dir/hangs:a" '0 passed, 1 failed, 0 skipped')" hangs
	grep -q 'no end after 3 s' "$dir/out" || echo "it does not say that there was no end"
}

test_skips() {
	program skips 'echo "[ RUN      ] a"; echo "[  SKIPPED ] a"'
	expect "$(printf '%s\n' "$dir/skips:a" '0 passed, 0 failed, 1 skipped')" skips
	program skips_all 'exit 77'
	expect "$(printf '%s\n' "$dir/skips_all:(exit 77)" '0 passed, 0 failed, 1 skipped')" skips_all
}

# Three run at a time, as each waits for the other two, and no output is mixed with another's.
test_side_by_side() {
	local name
	for name in one two three; do
		program "$name" "echo '[ RUN      ] $name'; : >$dir/is-$name
			while [ ! -e $dir/is-one ] || [ ! -e $dir/is-two ] || [ ! -e $dir/is-three ]; do sleep 0.05; done
			echo '[       OK ] $name'; exit 0"
	done
	expect '3 passed, 0 failed, 0 skipped' one two three
	[ "$(grep -c ' 1 passed   0 failed   0 skipped ' "$dir/out")" -eq 3 ] || cat "$dir/out"
}

# By the test that took longest, whichever file has it.
test_slowest() {
	program quick 'echo "[ RUN      ] a"; echo "took 20 ms"; echo "[       OK ] a"'
	# shellcheck disable=SC2016
	program mixed 'for test in b:1500 c:10; do
		echo "[ RUN      ] ${test%:*}"; echo "took ${test#*:} ms"; echo "[       OK ] ${test%:*}"; done'
	program untold 'echo "[ RUN      ] d"; echo "[       OK ] d"'
	expect '4 passed, 0 failed, 0 skipped' quick mixed untold
	diff <(printf '     %s\n' "1.5 s  $dir/mixed:b" "0.0 s  $dir/quick:a" "0.0 s  $dir/mixed:c") \
		<(sed '1,/slowest tests:$/d; /passed/d' "$dir/out")
}

test_two_for_each_cpu() {
	program good 'echo "[ RUN      ] a"; echo "[       OK ] a"'
	LB_TEST_LOG=$dir/log SANITIZE='' tests/run.sh "$dir/good" >"$dir/out" 2>&1
	grep -q " $((2 * $(nproc))) at a time$" "$dir/out" || cat "$dir/out"
	LB_TEST_LOG=$dir/log SANITIZE=1 tests/run.sh "$dir/good" >"$dir/out" 2>&1
	grep -q " $(nproc) at a time$" "$dir/out" || cat "$dir/out"
}

test_usage() {
	tests/run.sh -j 0 x >"$dir/out" 2>&1
	[ $? -eq 2 ] || echo "-j 0: not refused"
}

run_tests
