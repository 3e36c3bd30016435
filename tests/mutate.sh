#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# mutate.sh [-j N]: do the unit tests of the keeper's decisions notice a wrong one? Each line of the
# table in user/keeper/lifecycle.c is removed and given each other state, in turn, and each
# comparison of what decides is turned round; the tests are built with it, in a temporary copy and
# without sanitizers, and must fail. What can't be noticed stands in mutants.txt with the reason.
# Prints a line per mutant that is not caught, then the totals. Exit status: 0 all others are caught.
set -u -o pipefail
cd "$(dirname "$0")/.." || exit 1

core=(lifecycle plan pass pass_facts reconcile)
decides=(pass pass_facts reconcile)
tests=(test_reconcile_{actions,listen,waits,starts,operations,parallel,renews,ends} test_reconcile)
sequences=2000 # random ones a mutant, instead of the 100,000 of a test
seconds=10     # of CPU time, whatever else the machine does: one that takes more has no end
jobs=$(nproc)
compile=("${CC:-cc}" -std=gnu11 -D_GNU_SOURCE -O1 -Iinclude -Iuser -Itests)

while getopts j: option; do
	jobs=${OPTARG-}
	if ! [[ $option$jobs =~ ^j[1-9][0-9]*$ ]]; then
		echo "usage: mutate.sh [-j N]" >&2
		exit 2
	fi
done
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

# --- which there are: "MODULE LINE" and a command of sed ------------------------------------------

each_transition() {
	local states line text state
	states=$(sed -nE 's/^\tX\(([A-Z_]+), .*/\1/p' user/keeper/lifecycle.h)
	while IFS=: read -r line text; do
		printf 'lifecycle\t%s\td\n' "$line"
		for state in $states; do
			[[ $text == *" LIFE_$state }"* ]] ||
				printf 'lifecycle\t%s\ts/LIFE_[A-Z_]* }/LIFE_%s }/\n' "$line" "$state"
		done
	done < <(grep -nE '^\s\{ LIFE_[A-Z_]+, LIFE_[A-Z_]+, LIFE_[A-Z_]+ \},$' user/keeper/lifecycle.c)
}

# The end of a loop over an array is none of them, nor what is not code.
each_decision() {
	local rules=('==/!=' '!=/==' '\&\&/||' '||/\&\&' ' < / <= ' ' <= / < ' ' > / >= ' ' >= / > '
		'return true/return false' 'return false/return true')
	local module rule from line count n
	for module in "${decides[@]}"; do
		for rule in "${rules[@]}"; do
			from=${rule%/*}
			while IFS=: read -r line count; do
				for ((n = 1; n <= count; n++)); do
					printf '%s\t%s\ts/%s/%d\n' "$module" "$line" "$rule" "$n"
				done
			done < <(awk -v from="${from//\\/}" '
				/^#|^ \*|^\/\*|for \(|assert\(/ { next }
				{ count = 0; rest = $0
				  while (at = index(rest, from)) { count++; rest = substr(rest, at + length(from)) }
				  if (count) print NR ":" count }' "user/keeper/$module.c")
		done
	done
}

# --- one -------------------------------------------------------------------------------------------

# In a folder of its own, with the objects of all that is the same.
try() {
	local number=$1 module=$2 line=$3 command=$4 own=$work/$1 from to place test verdict='NOT caught'
	mkdir "$own"
	sed "$line$command" "user/keeper/$module.c" >"$own/$module.c"
	from=$(sed -n "${line}s/^[[:space:]]*//p" "user/keeper/$module.c")
	to=removed
	[ "$command" = d ] || to=$(sed -n "${line}s/^[[:space:]]*//p" "$own/$module.c")
	place=$module:$(awk -v line="$line" '
		NR > line { exit }
		/^[a-z].*\(/ { name = $0; sub(/\(.*/, "", name); sub(/.*[ *]/, "", name) }
		END { print name }' "user/keeper/$module.c")
	ln -s "$work"/base/*.o "$own"
	rm "$own/$module.o"
	if ! "${compile[@]}" -c "$own/$module.c" -o "$own/$module.o" 2>"$own/errors"; then
		verdict='does not compile'
	else
		for test in "${tests[@]}"; do
			"${compile[@]}" "$own"/{lifecycle,plan,pass,pass_facts,reconcile,reconcile_world,reconcile_fakes,reconcile_sockets,reconcile_events,reconcile_pass,"$test"}.o \
				-lcmocka -o "$own/$test" || exit 1
			{ (ulimit -t "$seconds" && exec "$own/$test"); } >/dev/null 2>&1 && continue
			verdict=caught
			break
		done
	fi
	[ "$verdict" != 'NOT caught' ] || ! grep -qxF "$place: $from => $to" tests/mutants.txt ||
		verdict=expected
	rm -r "$own"
	printf '%s\t%s: %s => %s\n' "$verdict" "$place" "$from" "$to" >"$work/verdict-$number"
}

# --- all -------------------------------------------------------------------------------------------

build_base() {
	local name
	mkdir "$work/base"
	sed "s/sequences = 100000/sequences = $sequences/" tests/test_reconcile.c >"$work/test_reconcile.c"
	grep -q "sequences = $sequences" "$work/test_reconcile.c" || return 1
	for name in "${core[@]/#/user/keeper/}" tests/reconcile_{world,fakes,sockets,events,pass} tests/test_reconcile_{actions,listen,waits,starts,operations,parallel,renews,ends} "$work/test_reconcile"; do
		"${compile[@]}" -c "$name.c" -o "$work/base/${name##*/}.o" || return 1
	done
	for name in "${tests[@]}"; do
		"${compile[@]}" "$work"/base/{lifecycle,plan,pass,pass_facts,reconcile,reconcile_world,reconcile_fakes,reconcile_sockets,reconcile_events,reconcile_pass,"$name"}.o \
			-lcmocka -o "$work/$name" || return 1
		"$work/$name" >"$work/out" 2>&1 || { cat "$work/out"; return 1; }
	done
}

try_all() {
	local number=0 module line command
	while IFS=$'\t' read -r module line command; do
		while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do
			wait -n
		done
		number=$((number + 1))
		try $number "$module" "$line" "$command" &
	done
	wait
}

build_base || { echo 'mutate.sh: the tests do not pass as they are' >&2; exit 1; }
{
	each_transition
	each_decision
} | try_all
cat "$work"/verdict-* | sort >"$work/verdicts"
grep -v '^caught' "$work/verdicts"
for verdict in caught expected 'does not compile' 'NOT caught'; do
	printf '%s: %d\n' "$verdict" "$(grep -c "^$verdict	" "$work/verdicts")"
done
# A reason that is none any more, too.
grep -E '^[a-z_]+:[a-z_]*: .* => ' tests/mutants.txt | while read -r known; do
	grep -qF "expected	$known" "$work/verdicts" || echo "not needed in mutants.txt: $known"
done | tee "$work/stale"
! grep -q '^NOT caught' "$work/verdicts" && ! [ -s "$work/stale" ]
