#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# run.sh [PROGRAM...]: programs that people run, unchanged, as four workers of `lbctl run`, each in
# namespaces of its own: 40 connections in exact turn; a reload, a scale to 6 and back to 4 under
# load with requests of 300 ms in flight; a stop with eight of them in flight; nothing left. Needs
# root, after `make` and `tools/deps.sh compat`; called by `make compat`. A line each, then the
# totals. Exit status: 0 none has failed (what can't be had here is listed and is no pass).
set -u -o pipefail
cd "$(dirname "$0")/../.." || exit 1

service=compat
# shellcheck source=tests/compat/lib.sh
. tests/compat/lib.sh
cache=${LB_COMPAT_CACHE:-$HOME/.cache/lbctl-compat}
port=8080
backend=8099 # of proxies
workers=4
turns=10 # of each worker
clients=8

# shellcheck source=tests/compat/programs.sh
. "$tests/programs.sh"

# --- one program, in its namespaces ----------------------------------------------------------------

# Requests one after the other until there is a file `enough`; a line for each.
client() {
	until [ -e "$work/enough" ]; do
		if ask slow >"$work/client-$1" 2>&1; then
			echo ok
		else
			echo "failed: $(tail -c 200 "$work/client-$1" | tr '\n' ' ')"
		fi
	done
}

change() {
	timeout 90 "$lbctl" "$@" >"$work/change" 2>&1 || bad "$1 failed: $(tail -n 1 "$work/change")"
}

check_changes() {
	local i pids=()
	rm -f "$work/enough"
	for ((i = 0; i < clients; i++)); do
		client $i >"$work/results-$i" &
		pids+=($!)
	done
	sleep 0.5
	change reload compat
	change scale compat 6
	change scale compat 4
	sleep 0.5
	: >"$work/enough"
	wait "${pids[@]}"
	requests=$(cat "$work"/results-* | wc -l)
	failed=$(grep -hc '^failed' "$work"/results-* | paste -sd+ | bc)
	[ "$requests" -gt $clients ] || bad "only $requests requests"
	[ "$failed" = 0 ] || bad "$failed requests failed, such as: $(grep -h '^failed' "$work"/results-* | head -n 1)"
}

check_stop() {
	local i pids=() before=$1
	for ((i = 0; i < clients; i++)); do
		ask slow >"$work/last-$i" 2>&1 &
		pids+=($!)
	done
	sleep 0.15
	change stop compat
	answered=0
	for i in "${pids[@]}"; do
		wait "$i" && answered=$((answered + 1))
	done
	[ $answered = $clients ] || bad "$answered of $clients answered at the stop"
	wait "$run" || bad "lbctl run ended with $?"
	check_nothing_left "$before"
	[ -z "$("$lbctl" list --json | jq -r '.[]?.name')" ] || bad 'a service is left'
}

row() {
	printf '%-13s %-16s %-12s %5s/%-5s %3s/%s  %s\n' "$1" "$version" "$spread" "$failed" "$requests" "$answered" $clients "$2"
}

run_one() {
	local name=$1 before
	spread=- failed=- requests=- answered=- version=
	enter
	options=() command=()
	"program_$name" || { echo "$name: missing: ${missing:-it can not be built here}" && exit 77; }
	python3 "$tests/apps/backend.py" $backend >"$work/backend" 2>&1 &
	until_true 10 curl -fs -o "$work/first" "http://127.0.0.1:$backend/"
	mkdir -m 1777 "$work/log"
	before=$(processes)
	"$lbctl" run -n $workers --name compat --policy rr --kill-timeout 10000 --log-dir "$work/log" \
		"${options[@]}" -- "${command[@]}" >"$work/run" 2>&1 &
	run=$!
	if until_true 30 are_up $workers; then
		check_spread $turns/$turns/$turns/$turns $((turns * workers)) ask fast
		check_changes
		check_stop "$before"
	else
		bad "not up: $(grep -v started "$work/run" | tail -n 1) $(cat "$work"/log/*0.log 2>/dev/null | tail -n 2 | tr '\n' ' ')"
		timeout 20 "$lbctl" stop compat >/dev/null 2>&1
	fi
	row "$name" "${problems[0]:-ok}"
	tell_problems
}

# --- all of them -----------------------------------------------------------------------------------

main() {
	local names=("$@") name
	need_root
	[ $# -gt 0 ] || mapfile -t names < <(all_programs)
	for name in "${names[@]}"; do
		! declare -F "fetch_$name" >/dev/null || "fetch_$name"
	done
	printf '%-13s %-16s %-12s %-11s %-6s\n' program version spread failed/of stop
	each_in_namespaces 240 "${names[@]}"
}

if [ "${1-}" = --one ]; then
	run_one "$2"
else
	main "$@"
fi
