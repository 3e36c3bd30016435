#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# hardening.sh: what the build promises of the programs and the library, read from their files. Needs
# no root. Called by run.sh; reports as a cmocka program does.
set -u -o pipefail
cd "$(dirname "$0")/.." || exit 1
export LC_ALL=C
# shellcheck source=tests/shell_tests.sh
. tests/shell_tests.sh

build=${LBCTL_BUILD:-build}
programs=("$build"/lbctl "$build"/lbctl-demo-worker)
library=$build/liblbctl.so

if [ -n "${SANITIZE-}" ]; then
	echo "SKIP: the sanitizers' build is no release"
	exit 77
fi

# lacks FILE WHAT PATTERN READELF-OPTION...
lacks() {
	local file=$1 what=$2 pattern=$3
	shift 3
	readelf -W "$@" "$file" | grep -E -e "$pattern" >/dev/null || echo "$file: $what"
}

test_position_independent() {
	local file
	for file in "${programs[@]}"; do
		lacks "$file" "no position independent executable" 'Flags:.*\bPIE\b' -d
	done
}

test_nothing_to_overwrite_after_the_start() {
	local file
	for file in "${programs[@]}" "$library"; do
		lacks "$file" "no GNU_RELRO" '^ +GNU_RELRO ' -l
		lacks "$file" "symbols are bound later" 'BIND_NOW|Flags:.*\bNOW\b' -d
	done
}

test_no_executable_stack() {
	local file
	for file in "${programs[@]}" "$library"; do
		lacks "$file" "the stack is executable, or nothing says that it is not" \
			'^ +GNU_STACK .* RW +0x' -l
	done
}

test_checked_calls_and_stacks() {
	local file
	for file in "${programs[@]}" "$library"; do
		lacks "$file" "no stack protector" '__stack_chk_fail' --dyn-syms
		lacks "$file" "no _FORTIFY_SOURCE" '__[a-z]+_chk\b' --dyn-syms
	done
}

test_control_flow() {
	local file
	if [ "$(uname -m)" != x86_64 ]; then
		echo "SKIP: -fcf-protection is of x86"
		return
	fi
	# the note that says so is lost where the C library's own files lack it
	for file in "${programs[@]}" "$library"; do
		[ "$(objdump -d "$file" | grep -c endbr64)" -gt 20 ] || echo "$file: no -fcf-protection"
	done
}

run_tests
