#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# trace.sh [PAIRS [OPTION-OF-TRACE...]]: what `lbctl trace --json` misses and costs. Pairs (8) of runs with
# and without it, one or the other first in turn: 10,000 connections a second for 3 s, and as many as there
# can be of 16 clients for 3 s. 4 demo workers, least-conn, in namespaces of its own. Prints each pair, then
# medians with the least and the most: requests/s, mean and p99 in ms, CPU time of the process that traces
# by decision and by second, decisions that it has not got. Needs root, after `make`.
# shellcheck disable=SC2016 # expressions of awk
set -u -o pipefail
cd "$(dirname "$0")/../.." || exit 1

build=$PWD/${LBCTL_BUILD:-build}
lbctl=$build/lbctl
seconds=3
rate=10000
ticks=$(getconf CLK_TCK)

enter() {
	ip link set lo up
	mount -t bpf bpf /sys/fs/bpf && mount -t tmpfs tmpfs /run || exit 1
	mkdir /run/work
	"$lbctl" run -n 4 --name web --policy least-conn -- "$build/lbctl-demo-worker" --quiet \
		--listen 127.0.0.1:8080 >/run/work/run 2>&1 &
	until "$lbctl" show web --json 2>/dev/null | jq -e '[.workers[] | select(.state == "up")] | length == 4' >/dev/null; do
		sleep 0.1
	done
	# what is held is told twice, and decided once
	"$lbctl" set web hold_ms=0 >/dev/null
}

counted() { # COUNTER
	"$lbctl" stats web --json | jq ".$1 // .counters.$1"
}

cpu_ticks() { # PID
	awk '{ print $14 + $15 }' "/proc/$1/stat"
}

# load OPTION...: `figures` are requests/s, mean and p99 in ms, failed
load() {
	"$build/lb-bench" load -q --json -t "${seconds}S" "$@" http://127.0.0.1:8080/ >/run/work/load
	read -r -a figures < <(jq -r '[.transaction_rate, .response_ms, .percentiles_ms.p99, .failed] | map(tostring) | join(" ")' /run/work/load)
}

# The same, traced; `traced` are then: decisions, missing ones, CPU time in us by decision, in % of a CPU
load_traced() {
	local pid before missing decisions used
	before=$(counted decisions) missing=$(counted untraced)
	"$lbctl" trace web --json "${options[@]}" >/dev/null 2>/run/work/trace &
	pid=$!
	sleep 0.5
	load "$@"
	sleep 0.5
	used=$(cpu_ticks $pid)
	kill -INT $pid
	wait $pid
	decisions=$(($(counted decisions) - before)) missing=$(($(counted untraced) - missing))
	read -r -a traced < <(awk -v d=$decisions -v m=$missing -v u="$used" -v hz="$ticks" -v s=$seconds \
		'BEGIN { print d, m, u / hz * 1e6 / d, u / hz / s * 100 }')
}

# One pair of runs: KIND without: 4 figures, with: 4, traced: 4
pair() { # KIND FIRST OPTION...
	local kind=$1 first=$2 without=() with=() turn
	shift 2
	for turn in "$first" $((1 - first)); do
		if [ "$turn" = 0 ]; then
			load "$@"
			without=("${figures[@]}")
		else
			load_traced "$@"
			with=("${figures[@]}")
		fi
	done
	echo "$kind ${without[*]} ${with[*]} ${traced[*]}" >>/run/work/pairs
	printf '%-6s %9.0f %7.3f %7.2f %6s  %9.0f %7.3f %7.2f %6s  %7s %7s %7.2f %6.1f\n' "$kind" "${without[@]}" "${with[@]}" "${traced[@]}"
}

median_of() { # KIND EXPRESSION-OF-AWK: median (least-most)
	awk -v kind="$1" "\$1 == kind { print $2 }" /run/work/pairs | sort -g |
		awk '{ v[NR] = $1 } END { printf "%.4g (%.4g-%.4g)", (v[int((NR + 1) / 2)] + v[int((NR + 2) / 2)]) / 2, v[1], v[NR] }'
}

summary() { # KIND
	echo "$1: requests/s with by without $(median_of "$1" '$6 / $2'), mean $(median_of "$1" '$7 / $3'), p99 $(median_of "$1" '$8 / $4');" \
		"missing $(median_of "$1" '$11') of $(median_of "$1" '$10') decisions;" \
		"CPU $(median_of "$1" '$12') us a decision, $(median_of "$1" '$13') % of one"
}

inside() {
	local pairs=$1 i
	shift
	options=("$@")
	enter
	printf '%-6s %9s %7s %7s %6s  %9s %7s %7s %6s  %7s %7s %7s %6s\n' load without/s mean p99 failed \
		with/s mean p99 failed decided missing us CPU%
	for ((i = 0; i < pairs; i++)); do
		pair paced $((i % 2)) --rate $rate
		pair most $((i % 2)) -c 16
	done
	summary paced
	summary most
	"$lbctl" stop web >/dev/null
	wait
}

if [ "${1-}" = --inside ]; then
	shift
	inside "$@"
else
	[ "$(id -u)" = 0 ] || { echo "trace.sh: needs root (namespaces, BPF)" >&2 && exit 1; }
	unshare --net --mount --pid --fork --kill-child --mount-proc "$0" --inside "${1:-8}" "${@:2}"
fi
