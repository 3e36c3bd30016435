#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# coverage.sh FUZZ COVERAGE: how many lines of each parser its driver reaches with the inputs in
# tests/fuzz/corpus and in FUZZ/fuzz_NAME.corpus; the drivers are those in COVERAGE. The lines are
# marked in COVERAGE/fuzz_NAME.txt. Fails where it is less than nine of ten and nothing says why.
set -u -o pipefail
cd "$(dirname "$0")/../.." || exit 1
fuzz=$1
build=$2

# driver, file, which of its functions read what others have chosen, and why it is not 90 %, if so
parsers() {
	cat <<-'END'
		addr user/base/addr.c .
		answer user/lib/answer.c .
		bench tools/bench/answer.c .
		bench tools/bench/tool.c parse_|number|load_json|json_at|wrk_ms|or_zero|forget|check
		cgroup user/cmd/log_journal.c log_journal_worker
		cgroup user/host/cgroup.c cgroup_read_(mounts|own|cpus)
		change user/web/change.c change_(command|token)|is_|_text
		change user/web/frame.c take|frame_(read|drop)
		envfile user/base/envfile.c .
		http tools/demo-worker/http.c .
		messages user/keeper/budget.c budget_(begin|is_over)
		messages user/keeper/messages.c .
		notify user/keeper/worker_notify.c take_message|pid_of|on_message
		notify user/keeper/receive.c take_part|receive$|received_drop
		packet user/lib/packet.c receive|take_descriptor
		pick include/lb_pick.h lb_(key|scan|result|load|conn|report|queue|is_at|refusal|recent|slot|state|inverse)
		proc user/host/locks.c locks_parse
		proc user/host/procs.c procs_parse_|parse_
		proc user/host/usage.c usage_parse_stat
		proc user/host/waits.c waits_parse
		proc user/lib/map.c shape_set|lbctl_map_shape_parse
		reconcile user/keeper/pass.c .
		reconcile user/keeper/pass_facts.c .
		reconcile user/keeper/reconcile.c .
		requests user/keeper/control_read.c client_handle|run_verb|find_verb|budget_of
		requests user/keeper/lines.c lines_(room|add|take)|next_end
		requests user/keeper/requests.c .
		requests user/keeper/worker_requests.c read_join|worker_request_ the rest writes into a service's maps (join.c)
		route user/web/change.c change_(command|read)
		route user/web/route.c .
		run user/base/exit_codes.c .
		run user/base/stop_signal.c _parse
		run user/cmd/cmd.c (find|take|unknown|parse)_option|set_value|is_named|is_argument|dashes|cmd_value
		run user/cmd/cmd_run.c parse|check_|add_listen|port_proto|last_part|default_name
		run user/keeper/port_rules.c .
		saved user/keeper/again.c again_parse|read_line|put_word
		saved user/keeper/environments.c . the rest is for want of memory
		saved user/keeper/leftovers.c leftovers_parse_stop
		saved user/keeper/runner.c runner_parse_name
		schedule user/service/schedule.c .
		services user/cmd/cmd_set.c parse_|find_setting|cmd_set_check
		services user/cmd/services.c option|key|join_list|split_command|take_|check_|read_entry|parse_|services_argv
		settings user/service/settings.c .
		settings user/service/stall.c stall_age
		shapes user/service/state_check.c .
		sockdiag user/host/sockdiag.c parse|attr_|ulp_|list_add|message_error|sockdiag_(read|sort)|compare
		state user/service/service.c . the rest takes copies of processes' sockets (attach.c)
		state user/service/state_values.c state_(place|worker|update|delete)|copy_entry|common
		suggest user/base/suggest.c .
		target tools/bench/served.c served_read|_takes|port_of
		target tools/bench/target.c split|bad_url
		text user/base/text.c clean|utf8|piece|code_point|is_harmful
		title user/host/proc_title.c is_cluster_worker|proc_title_of
		unit user/cmd/unit.c put_|unit_print|unit_check_(word|path) the rest is text that never changes
		words user/base/parse.c parse_(u64|ms|seconds|weight|worker|share|bytes|signal|name$|policy)
		yamlfile user/base/yamlfile.c .
	END
}

# What reads foreign bytes, too, and has no driver.
without() {
	cat <<-'END'
		user/cmd/ask.c, follow.c         answers of a keeper: jansson reads them, and its calls each value
		user/cmd/log_tail.c              lines of a log: it looks for their ends alone (test_logs)
		user/host/family.c, freeze.c     numbers and a letter, which the kernel writes
		user/host/inspect.c              structs of our own BPF programs, and so user/service/trace.c
		user/keeper/holder.c             structs of a child of ours
		user/keeper/node.c               the first line of a program that root starts (test_node)
		user/lib/find.c                  the environment of the process that it is called in
		user/web/server.c                HTTP: libmicrohttpd reads it; what is asked is route's
	END
}

status=0
row='%-10s %-32s %s\n'
# shellcheck disable=SC2059
printf "$row" DRIVER FILE 'LINES REACHED'
last=
while read -r name file functions why; do
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
	read -r lines missed < <(llvm-cov report -show-functions "$driver" -instr-profile="$driver.profdata" "$file" |
		awk -v functions="$functions" '
			NF < 7 || $5 !~ /^[0-9]+$/ || $1 == "TOTAL" { next }
			{ sub(/.*:/, "", $1) }
			$1 ~ functions { lines += $5; missed += $6 }
			END { print lines + 0, missed + 0 }')
	[ "$lines" -gt 0 ] || { echo "$file: none of these functions: $functions" >&2; exit 1; }
	percent=$((100 * (lines - missed) / lines))
	[ $percent -lt 90 ] || why=
	if [ $percent -lt 90 ] && [ -z "$why" ]; then
		why='too few'
		status=1
	fi
	# shellcheck disable=SC2059
	printf "$row" "$name" "$file" "$(printf '%4d of %4d, %3d %%' $((lines - missed)) "$lines" $percent)${why:+: $why}"
done < <(parsers)
echo
echo 'Without a driver:'
without
exit $status
