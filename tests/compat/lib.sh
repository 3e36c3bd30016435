# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash disable=SC2034,SC2154 # shared with those who read this
# What the scripts of this folder share: namespaces, waiting, asking, counting by worker, load, what is
# left. Who reads this has set $service, the service's name, and is in the root of the repository.

repo=$PWD
tests=$repo/tests/compat
lbctl=${LBCTL_BUILD:-$repo/build}/lbctl
unset MAKEFLAGS MFLAGS # of no use to what builds here, and rustc warns of it

# --- what is wrong ---------------------------------------------------------------------------------

problems=()

bad() {
	problems+=("$*")
}

# The first one ends the row of a table, the others follow it. Returns whether there is none.
tell_problems() {
	local problem
	for problem in "${problems[@]:1}"; do
		echo "    $problem"
	done
	[ ${#problems[@]} = 0 ]
}

# --- programs --------------------------------------------------------------------------------------

# needs COMMAND: else returns 1, with `missing`
needs() {
	missing=$1
	command -v "$1" >/dev/null
}

# version_of COMMAND...: the first thing in its output that looks like a version
version_of() {
	"$@" 2>&1 | grep -oE '[0-9]+\.[0-9]+[0-9.a-z-]*' | head -n 1
}

# npm_into DIRECTORY PACKAGE...: those that are not there, before the namespaces, which have no network
npm_into() {
	local directory=$1 package
	shift
	mkdir -p "$directory"
	for package in "$@"; do
		[ ! -d "$directory/node_modules/${package%@[0-9]*}" ] || continue
		npm install --prefix "$directory" --no-audit --no-fund --ignore-scripts --loglevel=error "$@"
		return
	done
}

node_for_linux() { # MAJOR: the package of npm that is Node.js itself
	echo "node-linux-$(uname -m | sed 's/x86_64/x64/; s/aarch64/arm64/')@$1"
}

# --- namespaces ------------------------------------------------------------------------------------

need_root() {
	[ "$(id -u)" = 0 ] || { echo "${0##*/}: needs root (namespaces, BPF)" >&2 && exit 1; }
}

# in_namespaces SECONDS ARG...: this script once more, with these arguments
in_namespaces() {
	local seconds=$1
	shift
	timeout "$seconds" unshare --net --mount --pid --fork --kill-child --mount-proc "$0" "$@"
}

# There: bpffs, /run, and an empty folder of its own to be in, which is gone at the end.
enter() {
	ip link set lo up
	mount -t bpf bpf /sys/fs/bpf && mount -t tmpfs tmpfs /run || exit 1
	work=$(mktemp -d)
	chmod 755 "$work"
	trap 'rm -rf "$work"' EXIT
	cd "$work" || exit 1
}

# each_in_namespaces SECONDS NAME...: `--one NAME` for each, 77 being that it can't be had; the totals.
each_in_namespaces() {
	local seconds=$1 name passed=0 failed=0 missing=()
	shift
	for name in "$@"; do
		in_namespaces "$seconds" --one "$name"
		case $? in
		0) passed=$((passed + 1)) ;;
		77) missing+=("$name") ;;
		*) failed=$((failed + 1)) ;;
		esac
	done
	[ ${#missing[@]} = 0 ] || echo "can't be had here: ${missing[*]}"
	echo "$passed passed, $failed failed"
	[ $failed = 0 ]
}

# The programs that a script has: its functions program_NAME.
all_programs() {
	declare -F | sed -n 's/^declare -f program_//p'
}

until_true() { # SECONDS COMMAND...
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.1
	done
}

processes() {
	echo $(($(ps -e -o pid= | wc -l)))
}

nothing_more_than() { # PROCESSES
	[ "$(processes)" -le "$1" ]
}

# So many processes were there before, and no service is to be left either.
check_nothing_left() { # PROCESSES
	until_true 3 nothing_more_than "$1" || bad "left: $(ps -e -o args= | tail -n +"$(($1 + 1))" | head -n 3 | tr '\n' ';')"
}

# --- the service -----------------------------------------------------------------------------------

show() {
	"$lbctl" show "$service" --json 2>/dev/null
}

are_up() { # N
	[ "$(show | jq '[.workers[] | select(.state == "up")] | length')" = "$1" ]
}

selected() {
	show | jq -c '[.workers[].selected]'
}

# ask_many N COMMAND...: runs it N times; `spread` is how many connections each worker got.
ask_many() {
	local before i n=$1
	shift
	before=$(selected)
	for ((i = 0; i < n; i++)); do
		"$@" >>"$work/answers" 2>&1 || bad "no answer to connection $i"
	done
	spread=$(selected | jq -rc --argjson b "$before" '[., $b] | transpose | map(.[0] - (.[1] // 0)) | map(select(. > 0)) | join("/")')
}

check_spread() { # WANT N COMMAND...
	local want=$1
	shift
	ask_many "$@"
	[ "$spread" = "$want" ] || bad "spread $spread"
}

# --- load ------------------------------------------------------------------------------------------

# Of what wrk printed: `rate`, `failed`, `requests`
read_load() { # FILE
	read -r rate failed requests < <(awk '
		/requests in/ { n = $1 }
		/Socket errors/ { gsub(",", ""); bad += $4 + $6 + $8 + $10 }
		/Non-2xx/ { bad += $NF }
		/Requests.sec/ { print $2, bad + 0, n }' "$1")
}

# load_begin URL: a connection for each request, until load_end sets what read_load does
load_begin() {
	wrk -t 1 -c 16 -d 120 -H 'Connection: close' "$1" >"$work/load" 2>&1 &
	load=$!
	sleep 0.5
}

load_end() {
	sleep 0.5
	kill -INT "$load"
	wait "$load"
	read_load "$work/load"
}
