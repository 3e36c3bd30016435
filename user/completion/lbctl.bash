# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash
#
# bash completion for lbctl. Holds no list of its own: commands and options come from `lbctl help
# --list`, what an argument is from the usage line of `lbctl help COMMAND`, the rest from the JSON
# output. Without the rights to read services it completes what needs none.

# Values of a string key of JSON as lbctl prints it, a key a line.
_lbctl_strings() {
	sed -n "s/^ *\"$1\": \"\(.*\)\",\{0,1\}$/\1/p"
}

_lbctl_services() {
	"$lbctl" list --json 2>/dev/null | _lbctl_strings service
}

# Of the groups that could be attached: 8080, udp/53. Those that lbctl steers are attached.
_lbctl_ports() {
	"$lbctl" scan --json 2>/dev/null | sed -n '
		s/^ *"proto": "\(.*\)",$/\1/; t proto
		s/^ *"addr": ".*:\([0-9]*\)",$/\1/; t port
		s/^ *"steered_by": "lbctl: .*",*$//; t steered
		/^ *}/ { g; s/^tcp\n\(.*\)/\1/p; s/^udp\n\(.*\)/udp\/\1/p; }
		d
		:proto
		h; d
		:port
		H; d
		:steered
		h' | sort -u
}

# What the usage line of $command calls its arguments, without its options: NAME WORKER WEIGHT
_lbctl_arguments() {
	"$lbctl" help "$command" 2>/dev/null |
		sed -n "1 { s/^usage: lbctl $command *//; s/|--[a-z-]*//g; s/\[-[^]]*\]//g; s/[][]//g; s/OPTIONS//; p; }"
}

# What the help of $command calls the value of an option: --policy POLICY
_lbctl_value_of() {
	"$lbctl" help "$command" 2>/dev/null | sed -n "s/^  $1 \([^ ]*\) .*/\1/p"
}

# $1: what the usage line calls it; $2: the service, if one was named
_lbctl_candidates() {
	local workers
	case $1 in
	NAME) _lbctl_services ;;
	'NAME|ADDR') _lbctl_services && _lbctl_ports ;;
	POLICY) "$lbctl" policies --json 2>/dev/null | _lbctl_strings policy ;;
	WORKER)
		workers=$("$lbctl" show ${2:+"$2"} --json 2>/dev/null | sed -n 's/^ *"worker": \([0-9]*\),$/\1/p')
		[ -z "$workers" ] || printf '%s\n' "$workers"
		[ -z "$workers" ] || [ "$command" = rescue ] || echo all
		;;
	COMMAND) "$lbctl" help --list 2>/dev/null | cut -d ' ' -f 1 ;;
	KEY=VALUE...) "$lbctl" help "$command" 2>/dev/null | sed -n '/^keys:/,/^$/ s/^  \([a-z][a-z0-9_]*\) .*/\1=/p' ;;
	ADDR | ADDR...) _lbctl_ports ;;
	CMD) compgen -c ;;
	GROUP) compgen -g ;;
	USER) compgen -u ;;
	SIGNAL) compgen -A signal SIG | sed -n '/^SIGRT/d; s/^SIG\([A-Z0-9]*\)$/\1/p' ;;
	'PID|NAME') [ ! -d /run/netns ] || command ls /run/netns ;;
	esac
}

# The candidates for argument number $1 (from 0) after the words that follow.
_lbctl_argument() {
	local index=$1 names kinds last
	shift
	read -ra kinds <<<"$(_lbctl_arguments)"
	[ ${#kinds[@]} -gt 0 ] || return
	last=$((${#kinds[@]} - 1))
	# NAME may be left out where something else follows
	if [ "${kinds[0]}" = NAME ] && [ $last -gt 0 ]; then
		names=$(_lbctl_services)
		if [ "$index" = 0 ]; then
			printf '%s\n' "$names"
			_lbctl_candidates "${kinds[1]}"
			return
		fi
		grep -qxF -e "$1" <<<"$names" || index=$((index + 1))
	fi
	case ${kinds[last]} in
	*...) [ "$index" -le $last ] || index=$last ;;
	esac
	[ "$index" -gt $last ] || _lbctl_candidates "${kinds[index]}" "${1-}"
}

_lbctl() {
	local lbctl=$1 current=$2 previous=$3 command=${COMP_WORDS[1]} options words="" i
	local -a arguments=()
	COMPREPLY=()
	if [ "$COMP_CWORD" = 1 ]; then
		words=$(_lbctl_candidates COMMAND)
		mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
		return
	fi
	options=$("$lbctl" help --list 2>/dev/null | sed -n "s/^$command //p")
	case " $options " in
	*" $previous= "*) words=$(_lbctl_candidates "$(_lbctl_value_of "$previous")") ;;
	*)
		for ((i = 2; i < COMP_CWORD; i++)); do
			case " $options " in
			*" ${COMP_WORDS[i]}= "*) i=$((i + 1)) ;;
			*) [[ ${COMP_WORDS[i]} = -* ]] || arguments+=("${COMP_WORDS[i]}") ;;
			esac
		done
		if [[ $current = -* ]]; then
			words=${options//=/}
		else
			words=$(_lbctl_argument ${#arguments[@]} "${arguments[@]}")
		fi
		;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
	if [ ${#COMPREPLY[@]} = 1 ] && [[ ${COMPREPLY[0]} = *= ]]; then
		compopt -o nospace 2>/dev/null
	fi
}

# Where lbctl knows nothing, as after a command to run, file names are as good as anything.
complete -o bashdefault -o default -F _lbctl lbctl
