#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# coverage.sh FUZZ COVERAGE: how many lines of each parser its driver reaches with the inputs in
# tests/fuzz/corpus and in FUZZ/fuzz_NAME.corpus; the drivers are those in COVERAGE. The lines are
# marked in COVERAGE/fuzz_NAME.txt.
set -u -o pipefail
cd "$(dirname "$0")/../.." || exit 1
fuzz=$1
build=$2

# driver, file, and which of its functions read what others have chosen
parsers() {
	cat <<-'END'
		addr user/base/addr.c .
		answer user/lib/answer.c .
		bench tools/bench/answer.c .
		bench tools/bench/tool.c parse_|number|load_json|json_at|wrk_ms|or_zero|forget|check
		cgroup user/host/cgroup.c cgroup_read_(mounts|own|cpus)
		channel user/keeper/channel.c take|on_readable|hear|read
		envfile user/base/envfile.c .
		http tools/demo-worker/http.c .
		notify user/keeper/worker_notify.c take_message|pid_of|on_message
		packet user/lib/packet.c receive|take_descriptor
		pick include/lb_pick.h .
		proc user/host/procs.c procs_parse_
		proc user/host/usage.c usage_parse_stat
		proc user/lib/map.c shape_set|lbctl_map_shape_parse
		reconcile user/keeper/pass.c .
		reconcile user/keeper/pass_facts.c .
		reconcile user/keeper/reconcile.c .
		requests user/keeper/requests.c .
		route user/web/change.c .
		route user/web/route.c .
		saved user/keeper/again.c again_parse|read_line|put_word
		saved user/keeper/environments.c .
		saved user/keeper/leftovers.c leftovers_parse_stop
		saved user/keeper/runner.c runner_parse_name
		schedule user/service/schedule.c .
		shapes user/service/state_check.c .
		sockdiag user/host/sockdiag.c parse|attr_|ulp_|list_add|message_error|sockdiag_(read|sort)|compare
		state user/service/service.c .
		state user/service/settings.c .
		state user/service/state_values.c state_place|copy|state_worker_set
		target tools/bench/served.c served_read|_takes|port_of
		target tools/bench/target.c split|bad_url
		unit user/cmd/unit.c put_|unit_print|unit_check
		words user/base/parse.c .
		words user/base/suggest.c .
		yamlfile user/base/yamlfile.c .
	END
}

printf '%-10s %-32s %s\n' DRIVER FILE 'LINES REACHED'
last=
while read -r name file functions; do
	driver=$build/fuzz_$name
	inputs=()
	for folder in "tests/fuzz/corpus/$name" "$fuzz/fuzz_$name.corpus"; do
		[ ! -d "$folder" ] || inputs+=("$folder")
	done
	if [ "$name" != "$last" ]; then
		last=$name
		LLVM_PROFILE_FILE=$driver.profraw "$driver" -runs=0 "${inputs[@]}" >"$driver.log" 2>&1 </dev/null ||
			{ cat "$driver.log"; exit 1; }
		llvm-profdata merge -o "$driver.profdata" "$driver.profraw" || exit 1
		: >"$driver.txt"
	fi
	llvm-cov show "$driver" -instr-profile="$driver.profdata" "$file" >>"$driver.txt"
	# NAME regions missed % lines missed % ...
	llvm-cov report -show-functions "$driver" -instr-profile="$driver.profdata" "$file" |
		awk -v name="$name" -v file="$file" -v functions="$functions" '
			NF < 7 || $5 !~ /^[0-9]+$/ || $1 == "TOTAL" { next }
			{ sub(/.*:/, "", $1) }
			$1 ~ functions { lines += $5; missed += $6 }
			END { if (!lines) exit 1
			      printf "%-10s %-32s %4d of %4d, %3d %%\n", name, file, lines - missed, lines,
			             100 * (lines - missed) / lines }' || exit 1
done < <(parsers)
