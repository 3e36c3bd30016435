#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# completion.sh: holds the completion against what lbctl says of itself. Needs no root. Called by
# run.sh; reports as a cmocka program does.
set -u -o pipefail
cd "$(dirname "$0")/.." || exit 1
export LC_ALL=C
# shellcheck source=tests/shell_tests.sh
. tests/shell_tests.sh
# shellcheck source=tests/docs_lists.sh
. tests/docs_lists.sh

# complete_with PROGRAM WORD...: what bash would offer for the last word
complete_with() (
	local asked=$1
	shift
	# shellcheck disable=SC1091 # checked by itself
	. user/completion/lbctl.bash
	COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
	_lbctl "$asked" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
	[ ${#COMPREPLY[@]} -eq 0 ] || printf '%s\n' "${COMPREPLY[@]}"
)

complete_words() {
	complete_with "$program" "$@"
}

test_completion_offers_commands() {
	diff <(commands) <(complete_words lbctl "")
	[ "$(complete_words lbctl detac)" = detach ] || echo "detac: not completed to detach"
}

test_completion_offers_options() {
	local command
	commands | while read -r command; do
		diff <(all_options_of "$command" | tr -d =) <(complete_words lbctl "$command" -)
	done
}

# What it makes of the usage line: the arguments, without options and their values.
test_completion_knows_arguments() {
	local command
	# shellcheck disable=SC1091 # checked by itself
	. user/completion/lbctl.bash
	commands | while read -r command; do
		lbctl=$program _lbctl_arguments | tr ' ' '\n' |
			grep -xF -e OPTIONS -f <(options_as_written "$command" | tr ' ' '\n') | sed "s/^/$command: /"
	done
	command=reload
	[ "$(lbctl=$program _lbctl_arguments | tr -d ' ')" = NAME ] || echo 'reload: not its argument'
}

test_completion_offers_values() {
	diff <(policies | cut -d ' ' -f 1) <(complete_words lbctl attach --policy "")
	diff <(commands) <(complete_words lbctl help "")
	diff <(settings | sed 's/$/=/') <(complete_words lbctl set a-name "" 2>&1)
	diff <(compgen -u) <(complete_words lbctl run --user "")
	diff <(compgen -g) <(complete_words lbctl attach --group "")
}

# And each of them is one that lbctl takes.
test_completion_offers_signals() {
	local name
	diff <(kill -l | tr -s '\t ' '\n' | sed -n '/^SIGRT/d; s/^SIG\([A-Z0-9]*\)$/\1/p' | sort) <(complete_words lbctl signal 0 "" | sort)
	complete_words lbctl signal 0 "" | while read -r name; do
		! "$program" signal a-name 0 "$name" 2>&1 | grep 'not a signal'
	done
}

# A stand-in for lbctl that finds three groups, of which it steers one.
fake_scan() {
	[ "$1" = scan ] || { "$program" "$@"; return; }
	printf '[\n {\n  "proto": "%s",\n  "addr": "%s",\n  "steered_by": "%s"\n }\n]\n' \
		tcp 0.0.0.0:8080 'kernel hash' tcp '[::]:8080' 'kernel hash' tcp 0.0.0.0:81 'lbctl: web' \
		udp '[::]:53' 'kernel hash' tcp 127.0.0.1:443 'BPF program 7'
}

test_completion_offers_what_can_be_attached() {
	diff <(printf '%s\n' 443 8080 udp/53) <(complete_with fake_scan lbctl attach "")
}

if ! "$program" version >/dev/null; then
	echo "completion.sh: $program does not run; make builds it" >&2
	exit 1
fi
run_tests
