#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# run.sh SECONDS DRIVER...: runs each driver for so long, over the inputs in tests/fuzz/corpus/NAME
# and what earlier runs found beside the driver; 0 = over those inputs alone. Prints how many inputs
# each has tried. What breaks a promise stays beside the driver, DRIVER-crash-...
set -u
cd "$(dirname "$0")/../.." || exit 1
seconds=$1
shift
status=0

for driver; do
	name=${driver##*/fuzz_}
	# those that take whole packets and lines; the others' texts are short
	most=4096
	[[ ! $name =~ ^(channel|notify|requests)$ ]] || most=70000
	limit=(-max_total_time="$seconds")
	[ "$seconds" -gt 0 ] || limit=(-runs=0)
	seeds=()
	[ ! -d "tests/fuzz/corpus/$name" ] || seeds=("tests/fuzz/corpus/$name")
	mkdir -p "$driver.corpus"
	if nice "$driver" "${limit[@]}" -max_len="$most" -dict=tests/fuzz/keeper.dict -print_final_stats=1 -verbosity=0 \
		-timeout=10 -artifact_prefix="$driver-" "$driver.corpus" "${seeds[@]}" >"$driver.log" 2>&1; then
		awk -v name="$name" '/number_of_executed_units/ { print name ": " $2 " inputs" }' "$driver.log"
	else
		status=1
		cat "$driver.log"
	fi
done
exit $status
