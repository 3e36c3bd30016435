# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash
# For test programs in shell. Runs each function test_* of the script that sources this, and reports
# as a cmocka program does. A test prints what is wrong; one that prints nothing has passed, and one
# that begins with SKIP is skipped.

run_tests() {
	local name problems began failed=0
	for name in $(declare -F | awk '$3 ~ /^test_/ { print $3 }'); do
		echo "[ RUN      ] $name"
		began=${EPOCHREALTIME/./}
		problems=$("$name" 2>&1)
		echo "took $(((${EPOCHREALTIME/./} - began) / 1000)) ms"
		case $problems in
		'') echo "[       OK ] $name" ;;
		SKIP*)
			echo "$problems"
			echo "[  SKIPPED ] $name"
			;;
		*)
			echo "$problems"
			echo "[  FAILED  ] $name"
			failed=$((failed + 1))
			;;
		esac
	done
	[ $failed -eq 0 ]
}
