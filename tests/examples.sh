#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# examples.sh: follows the worked examples of bpf/README.md and user/README.md, "How to add ...": applies
# them to a copy of the tree, builds that, and looks for what they say comes of it; as root in a
# network namespace with the policy in use. Called by run.sh; reports as a cmocka program does.
set -u -o pipefail
cd "$(dirname "$0")/.." || exit 1
export LC_ALL=C
# shellcheck source=tests/shell_tests.sh
. tests/shell_tests.sh

build=${LBCTL_BUILD:-$PWD/build}
most_lines=39
connections=20

# The only block of type diff in the section "## How to add WHAT".
example() { # FILE WHAT
	awk -v head="## How to add $2" '
		/^## / { in_it = $0 == head }
		/^```/ { in_block = in_it && $0 == "```diff"; next }
		in_block' "$1"
}

each_example() { # COMMAND...
	"$@" bpf/README.md 'a policy'
	"$@" bpf/README.md 'a counter'
	"$@" user/README.md 'a command'
}

check_size() { # FILE WHAT
	local lines
	lines=$(example "$1" "$2" | wc -l)
	[ "$lines" -gt 0 ] || echo "$1: no example of how to add $2"
	[ "$lines" -le $most_lines ] || echo "$1: the example of how to add $2 has $lines lines"
}

# Each by itself, as a reader would begin with one of them.
check_applies() { # FILE WHAT
	example "$1" "$2" | patch --dry-run -d "$copy/untouched" -p1 -s -F0 || echo "$1: how to add $2: does not apply"
}

apply() { # FILE WHAT
	example "$1" "$2" | patch -d "$copy" -p1 -s -F0 --no-backup-if-mismatch
}

make_copy() {
	copy=$(mktemp -d) || exit 1
	trap 'rm -rf "$copy"' EXIT
	trap 'exit 130' INT TERM
	mkdir "$copy/untouched"
	cp -R --parents Makefile bpf include user tests/fuzz/fuzz.mk "$copy"
	cp -R bpf include user "$copy/untouched"
}

test_examples_are_short() {
	each_example check_size
}

test_examples_apply() {
	each_example check_applies
}

# All of them together, once, whichever test comes first.
is_built() {
	if [ ! -e "$copy/log" ]; then
		each_example apply >"$copy/log" 2>&1
		env -u MAKEFLAGS -u MAKELEVEL -u SANITIZE make -s -C "$copy" -j"$(nproc)" CFLAGS=-O0 build/lbctl >>"$copy/log" 2>&1
	fi
	[ -x "$copy/build/lbctl" ]
}

test_examples_build() {
	is_built || tail -n 20 "$copy/log"
}

test_policy_is_listed() {
	is_built || echo "not built"
	grep -q '^cpu  ' <("$copy/build/lbctl" policies) || echo "lbctl policies has no cpu"
}

test_command_is_listed() {
	is_built || echo "not built"
	grep -q '^where ' <("$copy/build/lbctl" help --list) || echo "lbctl help has no where"
	[ "$("$copy/build/lbctl" help where | head -n 1)" = 'usage: lbctl where [NAME]' ] || echo "lbctl help where: not its usage"
}

# --- a service of the copy's lbctl, in namespaces of its own ---

wait_until() {
	local deadline=$((SECONDS + 10))
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $deadline ] || return 1
		sleep 0.05
	done
}

expect() { # WHAT GOT WANT
	[ "$2" = "$3" ] || echo "$1: $2, not $3"
}

# Of its own CPU, the first that it may have, so it is known who gets the connections.
connect() { # ADDRESS
	taskset -c "$cpu" curl -s -H 'Connection: close' "http://$1:8080/?[1-$connections]" >/dev/null ||
		echo "connections to $1 failed"
}

all_listen() {
	[ "$("$lbctl" scan --json | jq '.[0].sockets')" = 4 ]
}

follow_inside() {
	local lbctl=$copy/build/lbctl cpu worker
	mount -t bpf bpf /sys/fs/bpf && mount -t tmpfs tmpfs /run && ip link set lo up || return
	"$build/lbctl-demo-worker" --quiet --dual -n 4 --listen '[::]:8080' &
	wait_until all_listen || echo "the workers do not listen"
	"$lbctl" attach --name web --policy cpu :8080 >/dev/null
	cpu=$(sed -n 's/^Cpus_allowed_list:[[:space:]]*\([0-9]*\).*/\1/p' /proc/self/status)
	worker=$((cpu % 4))
	connect 127.0.0.1
	expect "policy cpu, selected" "$("$lbctl" show web --json | jq ".workers[$worker].selected")" $connections
	connect '[::1]'
	expect "policy cpu, both" "$("$lbctl" show web --json | jq ".workers[$worker].selected")" $((2 * connections))
	expect "over_ipv6" "$("$lbctl" stats web --json | jq .counters.over_ipv6)" $connections
	expect "over_ipv6, Prometheus" "$("$lbctl" stats --prometheus | sed -n 's/^lbctl_over_ipv6_total{.*} //p')" $connections
	expect "bpftool, over_ipv6" "$(bpftool map dump pinned "$("$lbctl" where web)/lb_counters" | jq '.[0].value.over_ipv6')" $connections
	expect "lbctl where" "$("$lbctl" where --json | jq -r .dir)" /sys/fs/bpf/lbctl/web
	"$lbctl" detach web >/dev/null
}

test_examples_work() {
	if [ "$(id -u)" != 0 ]; then
		echo "SKIP: needs root"
		return
	fi
	is_built || echo "not built"
	timeout 60 unshare --net --mount --pid --fork --kill-child --mount-proc tests/examples.sh --inside "$copy"
}

if [ "${1-}" = --inside ]; then
	copy=$2
	follow_inside
	exit
fi
make_copy
run_tests
