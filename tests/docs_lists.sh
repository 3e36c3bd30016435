# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash
# What there is to describe, for docs.sh and completion.sh: lists out of lbctl and its tables.
#
# Names in `pending` are in the tables and not in the docs yet: who documents one takes it out.

program=${LBCTL_BUILD:-build}/lbctl
# Asked once: tests look at each option of each command.
help_list=$("$program" help --list)
declare -A help_of=()
while read -r command _; do
	help_of[$command]=$("$program" help "$command")
done <<<"$help_list"
pending=''

# Lines whose first word is not pending.
without_pending() {
	awk -v pending=" $pending " '!index(pending, " " $1 " ")'
}

commands() {
	cut -d ' ' -f 1 <<<"$help_list"
}

# Options of a command: --wait= takes a value, --all takes none.
all_options_of() {
	sed -n "s/^$1 //p" <<<"$help_list" | tr ' ' '\n'
}

own_options_of() {
	all_options_of "$1" | grep -vxE -e '--(help|json|dry-run)'
}

# "attach [OPTIONS] ADDR..."
usage_of() {
	sed -n '1s/^usage: lbctl //p' <<<"${help_of[$1]}"
}

# "--policy POLICY", "--replace" or "-n N"
option_as_written() {
	grep -oE -e "^  ${2%=} [^ ]*" <<<"${help_of[$1]}" | sed 's/^ *//; s/ $//'
}

# All of its own.
options_as_written() {
	sed -nE 's/^  (--?[a-z][a-z-]*( [^ ]+)?)( .*|$)/\1/p' <<<"${help_of[$1]}" | grep -vxE -e '--(help|json|dry-run)'
}

settings() {
	sed -n '/^keys:/,/^$/ s/^  \([a-z][a-z0-9_]*\) .*/\1/p' <<<"${help_of[set]}"
}

# A name and its meaning a line.
policies() {
	"$program" policies | sed 's/  */ /'
}

counters() {
	sed -n 's/.*X(\([a-z_]*\), "\(.*\)").*/\1 \2/p' include/lb_counters.h include/lb_latency.h | grep -v '^field '
}

# Of workers and services; those of counters are called after them.
metrics() {
	sed -n 's/^\tX("\([a-z_]*\)", .*/lbctl_\1/p' user/cmd/metrics.h
}

# What lbctl export answers: /api/services/NAME/workers/WORKER/drain
http_paths() {
	sed -n 's/^\t{ [A-Z"]*, "\(\/[a-z*#/]*\)", .*/\1/p' user/web/route.c | sed 's/\*/NAME/; s/#/WORKER/'
}

maps() {
	grep -oE '= "lb_[a-z_]*"' user/service/state_maps.c | grep -oE 'lb_[a-z_]*'
}

environment() {
	grep -rhoE 'getenv\("LBCTL_[A-Z_]*|env_number\("LBCTL_[A-Z_]*' user | grep -oE 'LBCTL_.*' | sort -u
}

exit_statuses() {
	sed -n 's/^\tEXIT_[A-Z_]* = \([0-9]*\),.*/\1/p' user/base/trouble.h
}

# What whoever may give a keeper commands can ask it for, by a command of the same name.
keeper_verbs() {
	sed -n 's/^\t{ "\([a-z]*\)", [a-z]*, ADMIT_OPERATOR,.*/\1/p' user/keeper/requests.c | grep -v '^changed$'
}

# Those of run and unit alone.
shell_statuses() {
	sed -n 's/^#define PROGRAM_NOT_[A-Z]* //p' user/cmd/program.h
}

# What a keeper tells: the types of its events, of operations and of what commands have changed.
event_types() {
	{
		cat user/keeper/*.c | tr -s '\n\t ' ' ' | grep -oE 'event_tell(_worker|_process)?\([^,;{]*, "[a-z-]+"' | grep -oE '"[a-z-]+"'
		sed -n '/told_changes\[\] = {/,/};/p' user/keeper/requests.c | grep -oE '"[a-z-]+"'
		sed -n 's/.*\[PLAN_[A-Z]*\] = \("[a-z]*"\),.*/\1/p' user/keeper/plan.c
	} | tr -d '"' | sort -u
}

# What explain finds.
findings() {
	sed -n 's/^\tX([A-Z_]*, "\([a-z-]*\)").*/\1/p' user/cmd/explain_facts.h
}

capabilities() {
	sed -n 's/^\tX(\(CAP_[A-Z_]*\), .*/\1/p' user/host/caps.h
}

# A prototype of the library a line, on one line each.
prototypes() {
	sed -n 's/^LBCTL_EXPORT //p' include/lbctl.h
}

packages() {
	sed -n '/^packages_of/,/^}/p' tools/deps.sh | awk '/^\t\t/ && NF == 2 && $1 !~ /^(echo|exit)$/ { print $1 }' | sort -u
}
