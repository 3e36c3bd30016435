# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash
# Runs test binaries one after another and counts their cmocka results. Sourced by run-unit.sh and
# run-integration.sh; owns the totals and build/tests/log.
#
# A test that started and reported nothing (crash, sanitizer, timeout) is a failure, and so is a
# binary that ends badly although each of its tests passed. A binary without cmocka output counts
# as one test: exit status 0 passed, 77 skipped, else failed.

log_dir=${LB_TEST_LOG:-build/tests/log}
export ASAN_OPTIONS=${ASAN_OPTIONS:-print_legend=0} UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
passed=0
failed=0
skipped=0

# Prints "verdict name" per test of the log on standard input; $1 is the binary's exit status.
tests_of_log() {
	awk -v status="$1" '
	function verdict(word) { print word, current; current = ""; if (word == "failed") bad++ }
	/\[ RUN      \] / {
		if (current != "") verdict("failed")
		current = $0; sub(/.*\[ RUN      \] /, "", current); ran++
		next
	}
	current != "" && index($0, "[       OK ] " current) { verdict("passed"); next }
	current != "" && index($0, "[  SKIPPED ] " current) { verdict("skipped"); next }
	current != "" && (index($0, "[  FAILED  ] " current) || index($0, "[  ERROR   ] " current)) { verdict("failed"); next }
	END {
		if (current != "") verdict("failed")
		if (status == 77 && !bad) print "skipped (exit 77)"
		else if (!ran) print (status == 0 ? "passed" : "failed"), "(whole)"
		else if (status != 0 && !bad) print "failed (exit " status ")"
	}'
}

# run_binary PATH TIMEOUT_SEC
run_binary() {
	local path=$1 name=${1#build/tests/} status=0 started=$SECONDS n_passed=0 n_failed=0 n_skipped=0 verdict test
	local log=$log_dir/${name//\//-}.log
	mkdir -p "$log_dir"
	timeout --kill-after=10 "$2" "$path" >"$log" 2>&1 </dev/null || status=$?
	while read -r verdict test; do
		case $verdict in
		passed) n_passed=$((n_passed + 1)) ;;
		skipped)
			n_skipped=$((n_skipped + 1))
			echo "$name:$test" >>"$log_dir/skipped"
			;;
		*)
			n_failed=$((n_failed + 1))
			echo "$name:$test" >>"$log_dir/failed"
			;;
		esac
	done < <(tests_of_log "$status" <"$log")
	passed=$((passed + n_passed))
	failed=$((failed + n_failed))
	skipped=$((skipped + n_skipped))

	printf '  %-40s %3d passed %3d failed %3d skipped %4d s\n' \
		"$name" $n_passed $n_failed $n_skipped $((SECONDS - started))
	if [ $n_failed -gt 0 ]; then
		[ "$status" -ne 124 ] || echo "    no end after $2 s"
		echo "    --- last lines of $log"
		tail -n 60 "$log" | sed 's/^/    /'
	fi
}

start_log() {
	rm -rf "$log_dir"
	mkdir -p "$log_dir"
	: >"$log_dir/skipped"
	: >"$log_dir/failed"
}

# What a failed test (binary:test) said, as far as cmocka tells it apart.
complaints_of() {
	local log=${1%%:*} test=${1#*:}
	log=$log_dir/${log//\//-}.log
	sed -n "/\[ RUN      \] $test\$/,/\[  FAILED  \] $test\$/p" "$log" | tail -n 20
}

# Prints what did not pass and, as the last line, the totals; returns 1 if something failed.
print_totals() {
	local test
	if [ $skipped -gt 0 ]; then
		echo "skipped:"
		sed 's/^/  /' "$log_dir/skipped"
	fi
	if [ $failed -gt 0 ]; then
		echo "failed (logs in $log_dir):"
		while read -r test; do
			echo "  $test"
			complaints_of "$test" | sed 's/^/    /'
		done <"$log_dir/failed"
	fi
	echo "$passed passed, $failed failed, $skipped skipped" >"$log_dir/totals"
	if [ $skipped -gt 0 ]; then
		echo "$passed passed, $failed failed, $skipped skipped"
	else
		echo "$passed passed, $failed failed"
	fi
	[ $failed -eq 0 ]
}
