#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# run.sh [-j N] BINARY...: runs test binaries, N at a time, and counts their cmocka results. By default
# there are two for each CPU, as they sleep more than they work; with SANITIZE one. Integration tests
# isolate themselves in namespaces of their own, so files do not meet; order.txt says which start
# first and which run alone, after all others. Owns the totals, which tests took longest, and the
# folder of the logs, build/tests/log unless LB_TEST_LOG names another.
#
# A test that started and reported nothing (crash, sanitizer, timeout) is a failure, and so is a
# binary that ends badly although each of its tests passed. A binary without cmocka output counts
# as one test: exit status 0 passed, 77 skipped, else failed. On a slow machine LB_TEST_SCALE=PERCENT
# makes less load and waits longer by as much (world.h). Exit status: 0 none failed.
set -u
cd "$(dirname "$0")/.." || exit 1

log_dir=${LB_TEST_LOG:-build/tests/log}
export ASAN_OPTIONS=${ASAN_OPTIONS:-print_legend=0} UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
# What lbctl and its children do wrong is to be found, wherever their output went. Leaks are looked
# for by the unit tests: where a test traces lbctl, that can't be done.
if [ -n "${SANITIZE-}" ]; then
	found=$PWD/${log_dir#"$PWD"/}/sanitizer
	ASAN_OPTIONS+=:detect_leaks=0:log_path=$found
	UBSAN_OPTIONS+=:log_path=$found
fi
unset MAKEFLAGS MFLAGS # what tests build by make is not of the make that calls
jobs=$(nproc)
[ -n "${SANITIZE-}" ] || jobs=$((2 * jobs))
timeout_sec=$((300 * 100 / ${LB_TEST_SCALE:-100}))
passed=0
failed=0
skipped=0
running=0
group_of=() path_of=() start_of=() # by the order in which they were started
declare -A marks=()

name_of() {
	echo "${1##*/tests/}"
}

log_of() {
	local name
	name=$(name_of "$1")
	echo "$log_dir/${name//\//-}.log"
}

# --- what a binary printed ----------------------------------------------------------------------

# Prints "verdict ms name" per test of the log on standard input; $1 is the binary's exit status. What
# says "took N ms" are the harness and shell_tests.sh.
tests_of_log() {
	awk -v status="$1" '
	function verdict(word) { print word, ms, current; current = ""; if (word == "failed") bad++ }
	/\[ RUN      \] / {
		if (current != "") verdict("failed")
		current = $0; sub(/.*\[ RUN      \] /, "", current); ran++; ms = 0
		next
	}
	/^took [0-9]+ ms$/ { ms = $2; next }
	current != "" && index($0, "[       OK ] " current) { verdict("passed"); next }
	current != "" && index($0, "[  SKIPPED ] " current) { verdict("skipped"); next }
	current != "" && (index($0, "[  FAILED  ] " current) || index($0, "[  ERROR   ] " current)) { verdict("failed"); next }
	END {
		if (current != "") verdict("failed")
		if (status == 77 && !bad) print "skipped 0 (exit 77)"
		else if (!ran) print (status == 0 ? "passed" : "failed"), 0, "(whole)"
		else if (status != 0 && !bad) print "failed 0 (exit " status ")"
	}'
}

# report PATH STATUS SECONDS: counts its tests and prints its line, and what failed.
report() {
	local name log n_passed=0 n_failed=0 n_skipped=0 verdict ms test
	name=$(name_of "$1")
	log=$(log_of "$1")
	tests_of_log "$2" <"$log" >"$log_dir/verdicts"
	while read -r verdict ms test; do
		echo "$ms $name:$test" >>"$log_dir/times"
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
	done <"$log_dir/verdicts"
	passed=$((passed + n_passed))
	failed=$((failed + n_failed))
	skipped=$((skipped + n_skipped))

	printf '  %-40s %3d passed %3d failed %3d skipped %4d s\n' "$name" $n_passed $n_failed $n_skipped "$3"
	if [ $n_failed -gt 0 ]; then
		[ "$2" -ne 124 ] || echo "    no end after $timeout_sec s"
		echo "    --- last lines of $log"
		tail -n 60 "$log" | sed 's/^/    /'
	fi
}

# What a failed test (binary:test) said, as far as cmocka tells it apart.
complaints_of() {
	local test=${1#*:}
	sed -n "/\[ RUN      \] $test\$/,/\[  FAILED  \] $test\$/p" "$(log_of "${1%%:*}")" | tail -n 20
}

# Each report of a sanitizer is a failure.
report_sanitizers() {
	local file
	for file in "$log_dir"/sanitizer.*; do
		[ -e "$file" ] || continue
		failed=$((failed + 1))
		echo "  $file"
		sed 's/^/    /' "$file" | head -n 40
	done
}

# Much less CPU time than there was is time in which tests slept.
print_times() {
	local cpu
	times >"$log_dir/cpu" # in a pipe it would be that of another shell
	cpu=$(awk -F '[ms ]+' 'NR == 2 { printf "%.0f", 60 * ($1 + $3) + $2 + $4 }' "$log_dir/cpu")
	echo "$SECONDS s, $jobs at a time, $cpu s of CPU time; slowest tests:"
	sort -rn "$log_dir/times" | head -n 20 | awk '$1 { printf "  %6.1f s  %s\n", $1 / 1000, $2 }'
}

# Prints what did not pass and, as the last line, the totals; returns 1 if something failed.
print_totals() {
	local test
	print_times
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

# --- which, and when ----------------------------------------------------------------------------

read_marks() {
	local name words
	while read -r name words; do
		marks[$name]=$words
	done < <(sed 's/[[:space:]]*#.*//; /^$/d' tests/order.txt)
}

# Those of the binaries that are marked so ("-": neither `first` nor `alone`).
marked() {
	local word=$1 path words
	shift
	for path in "$@"; do
		words=" ${marks[$(name_of "$path")]-} "
		case $word:$words in
		first:*' alone '* | -:*' first '* | -:*' alone '*) ;;
		-:* | *" $word "*) echo "$path" ;;
		esac
	done
}

# The background process tells through the pipe that it ends: `wait -n` forgets who was killed.
start() {
	local n=${#path_of[@]}
	(
		timeout --foreground --kill-after=10 "$timeout_sec" "$1" 3>&-
		echo "$n $?" >&3
	) >"$(log_of "$1")" 2>&1 </dev/null &
	group_of[n]=$!
	path_of[n]=$1
	start_of[n]=$SECONDS
	running=$((running + 1))
}

# Who was killed with its whole process group could not tell, so it is told here, behind whatever it
# told itself.
tell_killed() {
	local n
	for n in "${!group_of[@]}"; do
		kill -0 "${group_of[n]}" 2>/dev/null || echo "$n 137" >&3
	done
}

# `read -t` would not do: a runner that gets no CPU for so long misses what has been told.
tick() {
	while sleep 1 && kill -0 $$ 2>/dev/null; do
		echo tick
	done
}

finish_one() {
	local n status
	while read -r n status <&3; do
		if [ "$n" = tick ]; then
			tell_killed
		elif [ -n "${group_of[n]-}" ]; then
			break
		fi
	done
	wait "${group_of[n]}"
	kill -KILL "-${group_of[n]}" 2>/dev/null # what a binary left behind
	unset "group_of[n]"
	running=$((running - 1))
	report "${path_of[n]}" "$status" $((SECONDS - start_of[n]))
}

# run_all N PATH...
run_all() {
	local most=$1 path
	shift
	for path in "$@"; do
		[ $running -lt "$most" ] || finish_one
		start "$path"
	done
	while [ $running -gt 0 ]; do
		finish_one
	done
}

# shellcheck disable=SC2317 # by trap
end_all() {
	local group
	for group in "${group_of[@]}"; do
		kill -TERM "-$group" 2>/dev/null
	done
	exit 130
}

# shellcheck disable=SC2317 # by trap
end_ticks() {
	kill -TERM "-$ticker" 2>/dev/null
}

while getopts j: option; do
	jobs=${OPTARG-}
	if ! [[ $option$jobs =~ ^j[1-9][0-9]*$ ]]; then
		echo "usage: run.sh [-j N] BINARY..." >&2
		exit 2
	fi
done
shift $((OPTIND - 1))

rm -rf "$log_dir"
mkdir -p "$log_dir"
: >"$log_dir/skipped"
: >"$log_dir/failed"
: >"$log_dir/times"
read_marks
mapfile -t together < <(marked first "$@" && marked - "$@")
mapfile -t alone < <(marked alone "$@")
echo "tests on Linux $(uname -r), $(nproc) CPUs, $jobs at a time"
mkfifo "$log_dir/ends"
exec 3<>"$log_dir/ends"
trap end_all INT TERM HUP
# With job control each has a process group, and does not ignore SIGINT, which tests send.
set -m
tick >&3 2>/dev/null </dev/null &
ticker=$!
trap end_ticks EXIT
run_all "$jobs" "${together[@]}"
run_all 1 "${alone[@]}"
report_sanitizers
print_totals
