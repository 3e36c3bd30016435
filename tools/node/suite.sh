#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# suite.sh [MAJOR...]: Node.js's own tests of cluster (test/parallel and test/sequential, test-cluster-*)
# as they are and once more with this package, for Node.js 18, 20, 22, 24 or those that are named.
# A line each: what passed, was skipped, failed, and how many of the TCP listens got a socket of their
# own; then each test that differs, and each listen that did not and that suite.txt has no reason for.
# Tests are from Debian's source packages (the next older ones where a version's can't be had), Node.js
# from npm, both kept in ~/.cache/lbctl-node (LB_NODE_CACHE). Nothing of the system is changed. Needs
# root (namespaces), apt, npm and, for Node.js that can't set SO_REUSEPORT, build/lbctl.
# Exit status: 0 all is as in stock Node.js and each listen has its socket or its reason.
set -u -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
lbctl=${LBCTL_BUILD:-$here/../../build}/lbctl
cache=${LB_NODE_CACHE:-$HOME/.cache/lbctl-node}
listens_js=$here/../../tests/integration/node/listens.js
seconds=60 # for one test
cgroups=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
# What the hook shares in older Node.js, 8 at most: the port that tests are told, and those of port 0.
hooked=12346,20000,20001,20002,20003,20004,20005,20006
range='20000 20006'

# --- what it takes ---------------------------------------------------------------------------------

apt() { # COMMAND ARG...: of apt, with lists of its own, of sources only
	local command=$1
	shift
	APT_CONFIG=$cache/apt.conf "apt-$command" "$@"
}

prepare_apt() {
	local suite where=http://deb.debian.org/debian
	[ ! -e "$cache/sources.list" ] || return 0
	mkdir -p "$cache/lists/partial" "$cache/archives/partial"
	cat >"$cache/apt.conf" <<-END
		Dir::Etc::SourceList "$cache/sources.list";
		Dir::Etc::SourceParts "/nonexistent";
		Dir::State::Lists "$cache/lists";
		Dir::Cache "$cache";
		APT::Sandbox::User "root";
	END
	for suite in bookworm trixie sid experimental; do
		echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $where $suite main"
	done >"$cache/sources.list"
	echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $where-security bookworm-security main" >>"$cache/sources.list"
	apt get update -qq
}

# The tests of that major version, below $cache/VERSION; sets `tests` to VERSION.
fetch_tests() {
	local version uri sum
	prepare_apt
	version=$(apt cache showsrc --only-source nodejs | sed -n "s/^Version: \($1\..*\)/\1/p" | sort -V | tail -n 1)
	[ -n "$version" ] || return 1
	tests=${version%%+*}
	[ ! -d "$cache/$tests/test" ] || return 0
	read -r uri _ _ sum < <(apt get source --print-uris "nodejs=$version" 2>/dev/null | grep '\.orig\.tar')
	/usr/lib/apt/apt-helper download-file "${uri//\'/}" "$cache/$tests.tar.xz" "$sum" >/dev/null 2>&1 || return 1
	mkdir -p "$cache/$tests"
	tar -xf "$cache/$tests.tar.xz" -C "$cache/$tests" --strip-components=1 --wildcards '*/test/common/*' \
		'*/test/fixtures/*' '*/test/parallel/test-cluster-*' '*/test/sequential/test-cluster-*' || return 1
	rm "$cache/$tests.tar.xz"
}

# Node.js of the tests' version, or else the newest one of that major version; sets `node`.
fetch_node() {
	local machine name version
	machine=$(uname -m)
	machine=${machine/x86_64/x64}
	name=node-linux-${machine/aarch64/arm64}
	for version in "$tests" "$1"; do
		[ "${version%%.*}" = "$1" ] || continue
		node=$cache/node-$version/node_modules/$name/bin/node
		[ ! -x "$node" ] || return 0
		npm install --prefix "$cache/node-$version" --no-audit --no-fund --ignore-scripts --loglevel=silent \
			"$name@$version" >/dev/null && return 0
	done
	return 1
}

sets_reuseport() {
	"$node" -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 23 || a == 23 && b >= 1 || a == 22 && b >= 12 ? 0 : 1)'
}

# --- one test, one variant -------------------------------------------------------------------------

# In a network of its own, with few ports where only they are shared.
in_net() { # COMMAND ARG...
	# shellcheck disable=SC2016 # the inner shell's
	unshare --net sh -c 'ip link set lo up && { [ -z "$RANGE" ] || echo "$RANGE" >/proc/sys/net/ipv4/ip_local_port_range; } && exec "$@"' sh "$@"
}

# one DIR TEST: in DIR/TEST.out what it printed, in DIR/TEST.listens its listens; prints a verdict.
one() {
	local dir=$1 test=$2 out flags status
	out=$dir/${test##*/}
	flags=$(sed -n 's|^// Flags: ||p' "$test")
	# shellcheck disable=SC2086 # several flags
	LISTENS=$out.listens NODE_TEST_DIR=$dir in_net timeout -k 1 $seconds "$node" $flags "$test" >"$out.out" 2>&1 </dev/null
	status=$?
	if [ $status -ne 0 ]; then
		echo "failed ${test##*/}"
	elif grep -q '^1\.\.0 # Skipped' "$out.out"; then
		echo "skipped ${test##*/}"
	else
		echo "passed ${test##*/}"
	fi
}

# What suite.txt says of a test: `primary`, `newer`, `error` or nothing.
how() {
	awk -v test="$1" '$1 == test { print $2 }' "$here/suite.txt"
}

# Into a cgroup whose hook shares some ports: that of a run whose lbctl has been killed.
enter_hook() {
	local run worker
	mount -t bpf bpf /sys/fs/bpf && mount -t tmpfs tmpfs /run || return 1
	"$lbctl" run -n 1 --name suite --port "$hooked" --ready-timeout 100000 -- sleep 100000 >/run/log 2>&1 &
	run=$!
	until worker=$(pgrep -x sleep); do
		kill -0 $run || return 1
		sleep 0.1
	done
	kill -KILL $run
	wait $run 2>/dev/null
	echo $$ >"$cgroups/$(sed -n 's/^0:://p' "/proc/$worker/cgroup")/cgroup.procs"
}

# variant DIR stock|lbctl: all tests, one after the other; verdicts in DIR/verdicts.
variant() {
	local dir=$1 test without=primary
	export RANGE=
	if ! sets_reuseport; then
		without='primary|newer'
		RANGE=$range
		[ "$2" = stock ] || enter_hook || { echo 'suite.sh: no hook' >&2 && return 1; }
	fi
	cd "$cache/$tests" || return 1
	for test in test/parallel/test-cluster-*.*js test/sequential/test-cluster-*.*js; do
		unset LBCTL_CLUSTER NODE_OPTIONS
		if [ "$2" = lbctl ] && [[ ! $(how "${test##*/}") =~ ^($without)$ ]]; then
			export NODE_OPTIONS="--require $here/cluster.js --require $listens_js" LBCTL_CLUSTER=on
		fi
		one "$dir" "$test"
	done >"$dir/verdicts"
}

# --- a version -------------------------------------------------------------------------------------

count() { # DIR VERDICT
	grep -c "^$2 " "$1/verdicts"
}

# Listens without a socket of their own, where suite.txt says nothing of the test.
unexplained() {
	local file test
	for file in "$1"/*.listens; do
		test=$(basename "$file" .listens)
		[ -n "$(how "$test")" ] || sed -n "s/.*\"own\":false,\"why\":\"\(.*\)\"}/  $test: \1/p" "$file"
	done | sort | uniq -c
}

version() {
	local major=$1 work own all status=0 try
	for ((try = major; try >= 18; try--)); do
		fetch_tests $try && break
	done
	[ $try -ge 18 ] || { echo "$major: no tests of it" && return 1; }
	fetch_node "$major" || { echo "$major: npm has no such Node.js" && return 1; }
	work=$(mktemp -d)
	mkdir -m 777 "$work/stock" "$work/lbctl"
	node=$node tests=$tests timeout 3000 unshare --mount --pid --fork --kill-child --mount-proc "$0" --variant "$work/stock" stock
	node=$node tests=$tests timeout 3000 unshare --mount --pid --fork --kill-child --mount-proc "$0" --variant "$work/lbctl" lbctl
	all=$(cat "$work"/lbctl/*.listens | wc -l)
	own=$(cat "$work"/lbctl/*.listens | grep -c '"own":true')
	printf '%-9s %-9s  %3d %3d %3d    %3d %3d %3d    %3d of %d\n' "$("$node" --version)" "$tests" \
		"$(count "$work/stock" passed)" "$(count "$work/stock" skipped)" "$(count "$work/stock" failed)" \
		"$(count "$work/lbctl" passed)" "$(count "$work/lbctl" skipped)" "$(count "$work/lbctl" failed)" "$own" "$all"
	diff "$work/stock/verdicts" "$work/lbctl/verdicts" | sed -n 's/^> /  with the package: /p; s/^< /  stock: /p' | grep . && status=1
	unexplained "$work/lbctl" | grep . && status=1
	rm -rf "$work"
	return $status
}

main() {
	local major failed=0
	[ "$(id -u)" = 0 ] || { echo 'suite.sh: needs root (namespaces)' >&2 && exit 1; }
	[ $# -gt 0 ] || set -- 18 20 22 24
	mkdir -p "$cache"
	printf '%-9s %-9s  %-11s    %-11s    %s\n' node tests 'stock' 'package' 'own sockets'
	for major in "$@"; do
		version "$major" || failed=1
	done
	exit $failed
}

if [ "${1-}" = --variant ]; then
	variant "$2" "$3"
else
	main "$@"
fi
