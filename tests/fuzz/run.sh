#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# run.sh SECONDS DRIVER...: runs each driver for so long, over the inputs in tests/fuzz/corpus/NAME
# and what earlier runs found beside the driver; 0 = over those inputs alone. Prints how many inputs
# each has tried, this time and in all runs (DRIVER.total). What breaks a promise stays beside the
# driver, DRIVER-crash-...
set -u
cd "$(dirname "$0")/../.." || exit 1
seconds=$1
shift
status=0
row='%-10s %12s %14s\n'

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

new=0
all=0
# shellcheck disable=SC2059
printf "$row" DRIVER INPUTS 'IN ALL RUNS'
for driver; do
	name=${driver##*/fuzz_}
	# as long as it takes to get everywhere, and no longer
	case $name in
	messages) most=70000 ;;
	requests | text) most=1100 ;;
	reconcile | run | services | settings | state) most=400 ;;
	schedule | suggest) most=130 ;;
	*) most=4096 ;;
	esac
	limit=(-max_total_time="$seconds")
	[ "$seconds" -gt 0 ] || limit=(-runs=0)
	seeds=()
	[ ! -d "tests/fuzz/corpus/$name" ] || seeds=("tests/fuzz/corpus/$name")
	mkdir -p "$driver.corpus"
	nice "$driver" "${limit[@]}" -max_len="$most" -dict=tests/fuzz/keeper.dict -print_final_stats=1 -verbosity=0 \
		-timeout=10 -entropic_scale_per_exec_time=1 -artifact_prefix="$driver-" "$driver.corpus" "${seeds[@]}" >"$driver.log" 2>&1 ||
		{ status=1; cat "$driver.log"; }
	inputs=$(awk '/number_of_executed_units/ { print $2 }' "$driver.log")
	tell "$name" "${inputs:-0}" "$driver"
done
# shellcheck disable=SC2059
printf "$row" all $new $all
exit $status
