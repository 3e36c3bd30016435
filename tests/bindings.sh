#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# bindings.sh [LANGUAGE...]: the servers tools/examples/join.* join a service and report, each by what
# there is for its language (default: node, python; `make compat` has go and ruby as well). All must do
# the same, as a user without privileges, in namespaces of their own. Needs root, after `make`; called
# by run.sh; reports as a cmocka program does.
set -u -o pipefail
cd "$(dirname "$0")/.." || exit 1
export LC_ALL=C
# shellcheck source=tests/shell_tests.sh
. tests/shell_tests.sh

build=${LBCTL_BUILD:-$PWD/build}
lbctl=$build/lbctl
wait_s=$((20 * 100 / ${LB_TEST_SCALE:-100}))

# --- a world ---

# As nobody, who may join the service; what it prints is in $work/NAME.
as_nobody() { # NAME COMMAND...
	local name=$1
	shift
	env PATH=/usr/local/bin:/usr/bin:/bin HOME=/ setpriv --reuid nobody --regid nogroup --clear-groups --pdeathsig KILL \
		"$@" >"$work/$name" 2>&1 &
}

until_true() { # COMMAND...
	local end=$((SECONDS + wait_s))
	until "$@" 2>/dev/null; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.05
	done
}

said() { # NAME WORDS
	grep -q -e "$2" "$work/$1"
}

expect_said() { # NAME WORDS
	until_true said "$1" "$2" || echo "$1: not '$2': $(head -c 500 "$work/$1")"
}

expect() { # WHAT GOT WANT
	[ "$2" = "$3" ] || echo "$1: $2, not $3"
}

selected() {
	"$lbctl" stats "$service" --json | jq -c '[.workers[].selected]'
}

state_is() { # WORKER STATE
	[ "$("$lbctl" show "$service" --json | jq -r ".workers[] | select(.worker == $1) | .state")" = "$2" ]
}

# When worker 1 reported last, by the map itself.
reported() {
	bpftool map dump pinned "/sys/fs/bpf/lbctl/$service/lb_load" | jq '.[1].value.reported_ns'
}

reports_after() { # TIME
	[ "$(reported)" -gt "$1" ]
}

now_ns() {
	awk '{ printf "%.0f\n", $1 * 1e9 }' /proc/uptime
}

is_kept() {
	[ "$("$lbctl" show "$service" --json | jq .keeper.alive)" = true ] && [ -S "/run/lbctl/$service.stream" ]
}

keep() {
	"$lbctl" watch --group nogroup "$service" >"$work/watch" 2>&1 &
	keeper=$!
	until_true is_kept || echo "no keeper: $(cat "$work/watch")"
}

connect() { # COUNT
	local i
	for ((i = 0; i < $1; i++)); do
		curl -fsS --max-time 10 -o "$work/answer" http://127.0.0.1:8080/ || echo "connection $i failed"
	done
}

# --- the servers ---

# A socket as descriptor 3, for what can't set SO_REUSEPORT. It does not listen yet: lbctl watch would
# find it before its program has joined, and give it a number.
with_socket='import os, socket, sys
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
s.bind(("", 8080))
os.dup2(s.fileno(), 3)
os.set_inheritable(3, True)
os.environ["LISTEN_FDS"] = "1"
os.execvp(sys.argv[1], sys.argv[1:])'

# As where Python is older than 3.9, and a sandbox forbids to map the page of reports.
without='import mmap, runpy, socket, sys
def forbidden(*args, **named):
    raise PermissionError(1, "forbidden")
del socket.send_fds
mmap.mmap = forbidden
sys.argv[:1] = []
runpy.run_path(sys.argv[0], run_name="__main__")'

node_sets_reuseport() {
	node -e 'const [a, b] = process.versions.node.split(".");
		process.exit(a > 23 || a == 23 && b >= 1 || a == 22 && b >= 12 ? 0 : 1)'
}

# Sets `command`, or is without it where the language is not there.
command_of() { # LANGUAGE
	local examples=$work/tools/examples
	command=()
	case $1 in
	node)
		command -v node >/dev/null || return
		command=(node "$examples/join.js" 8080)
		node_sets_reuseport || [ -n "${below_run-}" ] || command=(/usr/bin/python3 -c "$with_socket" "${command[@]}")
		;;
	python) command=(/usr/bin/python3 -B "$examples/join.py" 8080) ;;
	python_without) command=(/usr/bin/python3 -B -c "$without" "$examples/join.py" 8080) ;;
	go)
		command -v go >/dev/null || return
		[ -x "$work/join-go" ] || go build -o "$work/join-go" "$examples/join.go"
		command=(env GODEBUG=multipathtcp=0 "$work/join-go" 8080)
		;;
	ruby)
		command -v ruby >/dev/null || return
		command=(ruby "$examples/join.rb" 8080)
		;;
	esac
}

# 1. joins, and gets its share  2. reports, and goes on with the next keeper  3. dies: it is down
join_and_report() {
	local before worker
	as_nobody "$1" env LBCTL_SERVICE="$service" "${command[@]}"
	worker=$!
	expect_said "$1" '^worker 1$'
	before=$(selected)
	connect 20
	expect "connections" "$(jq -nc --argjson a "$(selected)" --argjson b "$before" '[$a, $b] | transpose | map(.[0] - (.[1] // 0))')" '[10,10]'
	before=$(reported)
	until_true reports_after "${before:-0}" || echo "it does not report"
	kill -KILL $keeper
	wait $keeper 2>/dev/null
	keep
	before=$(now_ns)
	until_true reports_after "$before" || echo "it does not report to the next keeper: $(cat "$work/$1")"
	expect "workers after that" "$("$lbctl" list --json | jq '.[0].workers')" 2
	kill -KILL $worker
	wait $worker 2>/dev/null
	until_true state_is 1 down || echo "its socket is still there"
}

# Both kinds of modules, and the functions that they have.
check_modules() {
	local node=$work/tools/node
	node --input-type=module -e "import { join, report } from '$node/join.mjs';
		import cjs from '$node/join.js';
		process.exit(join === cjs.join && report === cjs.report ? 0 : 1)" || echo "join.mjs is not join.js"
}

# What else the packages have: a load of one's own, a sign of life, errors for what is no load.
declare -A by_hand=(
	[node]='const { join, report } = require("./tools/node/join");
		const server = require("net").createServer().listen({ fd: 3 });
		join(server, { service: process.argv[1], reportMs: 0 }).then((worker) => {
			console.log("worker", worker.number);
			try { report(-1); } catch (error) { console.log(error.name); }
			report(4711);
			worker.heartbeat();
			setTimeout(() => {}, 100000);
		});'
	[python]='import socket, sys, time
sys.path.insert(0, "tools/python")
import lbctl
listening = socket.socket(fileno=3)
listening.listen()
worker = lbctl.join(listening, sys.argv[1])
print("worker", worker.number, flush=True)
try:
    worker.report(-1)
except ValueError:
    print("RangeError", flush=True)
assert worker.report(4711) and worker.heartbeat()
time.sleep(100)'
)

load_is() { # WORKER LOAD
	[ "$("$lbctl" show "$service" --json | jq ".workers[] | select(.worker == $1) | .load")" = "$2" ]
}

report_by_hand() { # LANGUAGE
	local program=() worker number
	case $1 in
	node) program=(node -e "${by_hand[node]}" "$service") ;;
	python) program=(/usr/bin/python3 -B -c "${by_hand[python]}" "$service") ;;
	*) return ;;
	esac
	cd "$work" || return
	as_nobody by-hand /usr/bin/python3 -c "$with_socket" "${program[@]}"
	worker=$!
	cd "$OLDPWD" || return
	expect_said by-hand RangeError
	number=$(sed -n 's/^worker //p' "$work/by-hand")
	until_true load_is "$number" 4711 || echo "its load is not 4711: $(cat "$work/by-hand")"
	kill -KILL $worker
	wait $worker 2>/dev/null
	until_true state_is "$number" down || echo "its socket is still there"
}

# Where lbctl watch sees the socket before it has joined, that has a number already.
ask_for_a_number() {
	local worker tries
	for ((tries = 0; tries < 3; tries++)); do
		as_nobody "$1" env LBCTL_SERVICE="$service" LBCTL_WORKER=5 "${command[@]}"
		worker=$!
		expect_said "$1" '^worker '
		kill -KILL $worker
		wait $worker 2>/dev/null
		! said "$1" '^worker 5$' || return
	done
	echo "$1: not worker 5: $(cat "$work/$1")"
}

refused() { # NAME WORDS COMMAND...
	local name=$1 words=$2
	shift 2
	as_nobody "$name" "$@"
	wait $! && echo "$name: it ended with 0"
	said "$name" "can't join: .*$words" || echo "$name: not '$words': $(head -c 500 "$work/$name")"
}

refuse() {
	refused "$1" '/run/lbctl/other\|no keeper of other\|no such file\|No such file' env LBCTL_SERVICE=other "${command[@]}"
	refused "$1" '0 to 1023' env LBCTL_SERVICE="$service" LBCTL_WORKER=2000 "${command[@]}"
	chmod 0600 "/run/lbctl/$service.sock" "/run/lbctl/$service.stream"
	refused "$1" 'may not connect\|ermission denied' env LBCTL_SERVICE="$service" "${command[@]}"
	chmod 0660 "/run/lbctl/$service.sock" "/run/lbctl/$service.stream"
}

watched() { # LANGUAGE
	as_nobody demo "$work/lbctl-demo-worker" -q --listen :8080
	demo=$!
	until_true "$lbctl" attach --name "$service" --policy rr :8080 >/dev/null || echo "it can't be attached"
	keep
	join_and_report "$1"
	report_by_hand "$1"
	ask_for_a_number "$1"
	refuse "$1"
	kill $keeper $demo
	wait $keeper $demo 2>/dev/null
	"$lbctl" detach "$service" >/dev/null
}

# The same program, of which lbctl run has made workers.
run_by_lbctl() { # LANGUAGE
	local run before below_run=1
	command_of "$1"
	"$lbctl" run -n 2 --name "$service" --policy rr --user nobody --wait-ready -- "${command[@]}" >"$work/run" 2>&1 &
	run=$!
	until_true state_is 1 up || echo "it is not up: $(tail -n 5 "$work/run")"
	before=$(reported)
	until_true reports_after "${before:-0}" || echo "it does not report"
	"$lbctl" stop "$service" >/dev/null
	wait $run || echo "lbctl run ended with $?"
}

inside() { # LANGUAGE
	mount -t bpf bpf /sys/fs/bpf && mount -t tmpfs tmpfs /run && ip link set lo up || return
	mkdir -p "$work/tools"
	cp -R tools/examples tools/node tools/python "$work/tools"
	cp "$build/lbctl-demo-worker" "$work"
	chmod -R a+rX "$work"
	command_of "$1"
	if [ ${#command[@]} = 0 ]; then
		echo "SKIP: $1 is not here"
		return
	fi
	[ "$1" != node ] || check_modules
	watched "$1"
	run_by_lbctl "$1"
}

check() { # LANGUAGE
	local work
	if [ "$(id -u)" != 0 ]; then
		echo "SKIP: needs root"
		return
	fi
	work=$(mktemp -d)
	timeout $((12 * wait_s)) unshare --net --mount --pid --fork --kill-child --mount-proc tests/bindings.sh --inside "$1" "$work"
	rm -rf "$work"
}

if [ "${1-}" = --inside ]; then
	work=$3
	service=web-${work##*.} # its cgroup is seen by all of the host
	inside "$2"
	exit
fi
[ $# -gt 0 ] || set -- node python python_without
for language in "$@"; do
	eval "test_$language() { check $language; }"
done
run_tests
