#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# demo.sh: what lbctl does, shown on four small web servers in network, mount and pid namespaces of
# their own, with a bpffs and a /run of their own: when the script ends, by whatever, all of it is
# gone. Called by `make demo` as root. Every number is counted from the servers' answers. Exit
# status: 0 if what is printed is what lbctl promises, 124 if there was no end in time, else 1.
#
# shellcheck disable=SC2317 # functions that only wait_until calls
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C

build=${LBCTL_BUILD:-build}
lbctl=$build/lbctl
limit_sec=30
dir=/run/lbctl-demo
url=http://127.0.0.1:8080/
status=0

enter_own_world() {
	if [ "$(id -u)" != 0 ]; then
		echo "demo.sh: needs root (namespaces, BPF); run: sudo make demo" >&2
		exit 1
	fi
	exec timeout --foreground --kill-after=1 $limit_sec \
		unshare --net --mount --pid --fork --kill-child --mount-proc \
		env -i PATH="$PATH" LBCTL_BUILD="$build" tools/demo.sh --inside
}

furnish_own_world() {
	if ! mount -t bpf -o mode=0700 bpf /sys/fs/bpf || ! mount -t tmpfs -o mode=0755 tmpfs /run; then
		echo "demo.sh: may not mount here (a container?); lbctl doctor says what it takes" >&2
		exit 1
	fi
	mkdir "$dir"
	ip link set lo up
}

wrong() {
	echo "demo.sh: NOT AS PROMISED: $*" >&2
	status=1
}

wait_until() {
	local end=$((SECONDS + 5))
	until "$@"; do
		if [ $SECONDS -ge $end ]; then
			echo "demo.sh: waited in vain for: $*" >&2
			exit 1
		fi
		sleep 0.01
	done
}

# --- servers and clients ---

declare -A pid_of

# start_worker NUMBER [OPTION...]; they know nothing of lbctl, but report how busy they are
start_worker() {
	local number=$1
	shift
	LBCTL_WORKER=$number "$build/lbctl-demo-worker" --listen 127.0.0.1:8080 --report --quiet "$@" &
	pid_of[$number]=$!
	disown
	wait_until listens "${pid_of[$number]}"
}

# queued PID: connections that wait in its accept queue, as the kernel says
queued() {
	"$lbctl" scan --json | jq --argjson pid "$1" '.[0] | .queued[.pids | index($pid)] // empty'
}

listens() {
	[ -n "$(queued "$1" 2>/dev/null)" ]
}

# connect COUNT AT_ONCE: a connection for each request; prints "worker W pid P ..." per answer
connect() {
	curl -qsS --noproxy '*' --max-time 10 -H 'Connection: close' \
		--parallel --parallel-immediate --parallel-max "$2" "$url?[1-$1]" 2>>"$dir/errors" || true
}

# Answers of workers 0 to 3, from a file of answers: "50 50 50 50"
spread() {
	awk '$1 == "worker" { n[$2]++ } END { print n[0] + 0, n[1] + 0, n[2] + 0, n[3] + 0 }' "$1"
}

total() {
	local sum=0 n
	for n in "$@"; do
		sum=$((sum + n))
	done
	echo $sum
}

max_over_mean() {
	printf '%s\n' "$@" | awk '{ sum += $1; if ($1 > max) max = $1 } END { printf "%.2f", sum ? max * NR / sum : 0 }'
}

# --- scenes ---

print_spread() {
	local name=$1
	shift
	printf '%-44s %5d %5d %5d %5d' "$name" "$@"
}

# even NAME: 200 connections, one after the other, and who answered them
even() {
	local counts
	connect 200 1 >"$dir/answers"
	read -ra counts <<<"$(spread "$dir/answers")"
	print_spread "$1" "${counts[@]}"
	printf '%12s\n' "$(max_over_mean "${counts[@]}")"
	[ "$(total "${counts[@]}")" = 200 ] || wrong "$1: not all of 200 connections were answered"
}

expect_exact() {
	[ "$(spread "$dir/answers")" = "50 50 50 50" ] || wrong "$1: not 50 50 50 50"
}

# until_killed SECONDS COMMAND...: runs lbctl, kill -9 after that time; counts in kills if it came to that
until_killed() {
	local seconds=$1 result=0
	shift
	timeout --signal=KILL "$seconds" "$lbctl" "$@" >/dev/null || result=$?
	[ $result != 137 ] || kills=$((kills + 1))
}

# Kills lbctl wherever it happens to be, while connections come in.
kill_lbctl() {
	local i
	kills=0
	connect 200 1 >"$dir/meanwhile" &
	until_killed 0.2 stats demo --interval 1
	for i in {1..9}; do
		until_killed "0.00$i" attach --name demo :8080
	done
	wait
} 2>/dev/null

all_but_waiting_answered() {
	waiting=$(queued "${pid_of[2]}")
	answered=$(wc -l <"$dir/answers")
	[ $((waiting + answered)) = 40 ]
}

# killed NAME: worker 2 stops, 40 clients come, worker 2 is killed; sets waiting, rescued
killed() {
	local counts by=""
	kill -STOP "${pid_of[2]}"
	connect 40 40 >"$dir/answers" &
	wait_until all_but_waiting_answered
	kill -KILL "${pid_of[2]}"
	wait
	tail -n +$((answered + 1)) "$dir/answers" >"$dir/rescued"
	read -ra counts <<<"$(spread "$dir/rescued")"
	rescued=$(total "${counts[@]}")
	[ "$rescued" = 0 ] || by=$(awk '{ print $2 }' "$dir/rescued" | sort -nu | paste -sd ' ')
	printf '%-44s %5d waiting, %d answered%s\n' "$1" "$waiting" "$rescued" "${by:+ (by $by)}"
}

can_migrate() {
	"$lbctl" doctor --json | jq -e '.checks[] | select(.text | startswith("migration")) | .level == "ok"' >/dev/null
}

# slowed NAME: 8 clients at a time, worker 2 being slow; how they were spread, how long it took
slowed() {
	local counts from=${EPOCHREALTIME/[^0-9]/}
	connect 200 8 >"$dir/answers"
	local took=$((${EPOCHREALTIME/[^0-9]/} - from))
	read -ra counts <<<"$(spread "$dir/answers")"
	print_spread "$1" "${counts[@]}"
	printf '%9d.%02d s\n' $((took / 1000000)) $((took / 10000 % 100))
	slow_share=${counts[2]}
	[ "$(total "${counts[@]}")" = 200 ] || wrong "$1: not all of 200 connections were answered"
}

report_times() {
	bpftool -j map dump pinned /sys/fs/bpf/lbctl/demo/lb_load |
		jq -c '[.[0:4][].formatted.value.reported_ns]'
}

# all_report TIMES: each worker has reported since report_times printed this
all_report() {
	jq -ne --argjson before "$1" --argjson now "$(report_times)" \
		'[range(4) | $now[.] > $before[.]] | all' >/dev/null
}

bpftool_agrees() {
	local fields='selected, skipped, migrated_in, migrated_out' dumped shown
	dumped=$(bpftool -j map dump pinned /sys/fs/bpf/lbctl/demo/lb_stats |
		jq -c "[.[0:4][].formatted.value | [.${fields//, /, .}]]")
	shown=$("$lbctl" show demo --json | jq -c "[.workers[] | [.${fields//, /, .}]]")
	[ "$dumped" = "$shown" ] || wrong "bpftool says $dumped, lbctl show $shown"
	echo "$shown" | jq -r 'map(.[0]) | map(tostring) | join(" ")'
}

if [ "${1-}" != --inside ]; then
	enter_own_world
fi
trap 'exit 130' INT
trap 'exit 143' TERM HUP
furnish_own_world

echo "Linux $(uname -r), $(nproc) CPUs; in namespaces of its own, this host is not touched"
echo
for number in 0 1 2 3; do
	start_worker "$number"
done
printf '%-42s worker 0     1     2     3    max/mean\n' "4 workers, 200 connections"
even "kernel hash (plain SO_REUSEPORT)"
"$lbctl" attach --name demo --policy rr :8080 >/dev/null
even "lbctl, rr"
expect_exact "lbctl, rr"
kill_lbctl
[ "$(wc -l <"$dir/meanwhile")" = 200 ] || wrong "connections failed while lbctl was killed"
if pgrep -x lbctl >"$dir/left"; then
	wrong "lbctl still runs: $(paste -sd ' ' "$dir/left")"
fi
even "lbctl kill -9'd $kills times, none runs"
expect_exact "lbctl killed"

echo
echo "40 connections, worker 2 stops accepting, then it is killed"
"$lbctl" detach demo >/dev/null
killed "kernel hash"
start_worker 2
"$lbctl" attach --name demo --policy rr :8080 >/dev/null
killed "lbctl"
if ! can_migrate; then
	echo "this kernel can't hand a closed listener's queue on (Linux 5.14 and later do)"
elif [ "$waiting" != 10 ] || [ "$rescued" != 10 ]; then
	wrong "of 10 connections $waiting waited and $rescued were answered"
fi

echo
echo "worker 2 is back and takes 20 ms a request; 200 connections, 8 at a time"
start_worker 2 --slow 2:20000
"$lbctl" attach --name demo :8080 >/dev/null
slowed "lbctl, rr"
"$lbctl" set-policy demo least-load >/dev/null
wait_until all_report "$(report_times)"
slowed "lbctl, least-load"
[ "$slow_share" -lt 50 ] || wrong "least-load gave the slow worker $slow_share of 200"

echo
numbers=$(bpftool_agrees)
[ $status != 0 ] || echo "bpftool map dump pinned /sys/fs/bpf/lbctl/demo/lb_stats
agrees with lbctl show: selected $numbers"
echo
echo "Next: sudo $build/lbctl scan         (what can be attached on this host; changes nothing)"
exit $status
