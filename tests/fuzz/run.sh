#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# run.sh SECONDS DRIVER...: runs each driver for so long, one on each CPU, over the inputs in
# tests/fuzz/corpus/NAME and what earlier runs found beside the driver; 0 = over those inputs alone.
# Prints how many inputs each has tried, this time and in all runs (DRIVER.total). What breaks a
# promise stays beside the driver, DRIVER-crash-...
set -u
cd "$(dirname "$0")/../.." || exit 1
seconds=$1
shift
jobs=$(nproc)
status=0
row='%-10s %12s %14s\n'

# as long as it takes to get everywhere, and no longer
longest_input() { # NAME
	case $1 in
	messages) echo 70000 ;;
	requests | text) echo 1100 ;;
	reconcile | run | services | settings | state) echo 400 ;;
	schedule | suggest) echo 130 ;;
	*) echo 4096 ;;
	esac
}

# Its log is DRIVER.log; DRIVER.failed is there if it found something.
run_driver() { # DRIVER
	local name=${1##*/fuzz_} limit=(-max_total_time="$seconds") seeds=()
	[ "$seconds" -gt 0 ] || limit=(-runs=0)
	[ ! -d "tests/fuzz/corpus/$name" ] || seeds=("tests/fuzz/corpus/$name")
	mkdir -p "$1.corpus"
	rm -f "$1.failed"
	nice "$1" "${limit[@]}" -max_len="$(longest_input "$name")" -dict=tests/fuzz/keeper.dict -print_final_stats=1 -verbosity=0 \
		-timeout=10 -entropic_scale_per_exec_time=1 -artifact_prefix="$1-" "$1.corpus" "${seeds[@]}" >"$1.log" 2>&1 ||
		: >"$1.failed"
}

# tell NAME INPUTS DRIVER
tell() {
	local before=0
	[ ! -e "$3.total" ] || read -r before <"$3.total"
	echo $((before + $2)) >"$3.total"
	# shellcheck disable=SC2059
	printf "$row" "$1" "$2" $((before + $2))
	new=$((new + $2))
	all=$((all + before + $2))
}

running=0
for driver; do
	if [ $running -eq "$jobs" ]; then
		wait -n
		running=$((running - 1))
	fi
	run_driver "$driver" &
	running=$((running + 1))
done
wait

new=0
all=0
# shellcheck disable=SC2059
printf "$row" DRIVER INPUTS 'IN ALL RUNS'
for driver; do
	if [ -e "$driver.failed" ]; then
		status=1
		cat "$driver.log"
	fi
	inputs=$(awk '/number_of_executed_units/ { print $2 }' "$driver.log")
	tell "${driver##*/fuzz_}" "${inputs:-0}" "$driver"
done
# shellcheck disable=SC2059
printf "$row" all $new $all
exit $status
