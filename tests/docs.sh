#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# docs.sh: holds the man pages and the READMEs against what lbctl says of itself and against its
# tables. Needs no root. Called by run.sh; reports as a cmocka program does.
#
# shellcheck disable=SC2016 # `...` in a pattern is Markdown
set -u -o pipefail
cd "$(dirname "$0")/.." || exit 1
export LC_ALL=C
# shellcheck source=tests/shell_tests.sh
. tests/shell_tests.sh

# shellcheck source=tests/docs_lists.sh
. tests/docs_lists.sh

pages=(user/man/*.[1-9])
readmes=(README.md */README.md tools/*/README.md)

# --- the man pages ---

# Their source without comments, fonts and escapes; macros stay.
man_source() { # [PAGE...]
	sed -e '/^\.\\"/d' -e 's/\\f[BIRP]//g; s/\\-/-/g; s/\\c$//; s/\\&//g' "${@:-${pages[@]}}"
}

# A section, of each page that has it, or with a command the part about it.
man_section() {
	man_source | awk -v title="$1" '/^\.SH / { in_it = substr($0, 5) == title } in_it'
}

man_command() {
	man_section COMMANDS | awk -v command="$1" '
		/^\.SS / { title = substr($0, 5); gsub(/"/, "", title); split(title, word, " "); in_it = word[1] == command }
		in_it'
}

# All of it in one line, without macros.
man_words() {
	man_source | sed 's/^\.[A-Z]* *//' | tr -s '\n\t ' ' '
}

# The programs in a page, as it shows them.
man_programs() { # PAGE
	sed -n '/^\.EX$/,/^\.EE$/ { s/^\.E[XE]$//; s/\\e/\\/g; s/\\(aq/'"'"'/g; s/\\-/-/g; p; }' "$1"
}

# --- tests ---

# The lists above come out of other files by patterns: an empty list would pass everything.
test_there_is_something_to_compare() {
	local list
	for list in commands policies counters metrics http_paths maps settings environment event_types exit_statuses shell_statuses keeper_verbs capabilities \
		prototypes packages; do
		[ "$("$list" | wc -l)" -ge 1 ] || echo "no $list found"
	done
	[ "$(commands | wc -l)" -ge 15 ] || echo "only $(commands | wc -l) commands found"
	[ "$(event_types | wc -l)" -ge 30 ] || echo "only $(event_types | wc -l) types of events found"
	[ "$(counters | wc -l)" -ge 16 ] || echo "only $(counters | wc -l) counters found"
}

# Each option, or one word for all; and no other.
test_usage_line_has_the_options() {
	local command usage written
	commands | while read -r command; do
		usage=$(usage_of "$command")
		[[ $usage != *'[OPTIONS]'* ]] || continue
		options_as_written "$command" | while read -r written; do
			[[ $usage == *[[\|\ ]"$written"[]\|\ ]* ]] || echo "$usage: no \"$written\""
		done
		grep -oE -e '[[| ]--?[a-z][a-z-]*' <<<"$usage" | tr -d '[| ' |
			grep -vxF -f <(options_as_written "$command" | cut -d ' ' -f 1) | sed "s/^/$command has no option /"
	done
}

test_man_has_each_usage_line() {
	local written
	written=$(man_section COMMANDS | sed -n 's/^\.SS //p' | tr -d '"')
	diff <(commands | without_pending | while read -r command; do usage_of "$command"; done | sort) <(sort <<<"$written") |
		sed -n 's/^</lbctl help says:/p; s/^>/the page says: /p'
}

test_man_has_each_option() {
	local command option written page
	commands | without_pending | while read -r command; do
		# unit takes those of run, which stand there
		page=$({ man_command "$command" && { [ "$command" != unit ] || man_command run; }; } | tr -d '"' | tr -s ' ')
		own_options_of "$command" | while read -r option; do
			written=$(option_as_written "$command" "$option")
			grep -qxF -e ".B $written" -e ".BI $written" <<<"$page" ||
				echo "$command: no \"$written\""
		done
	done
}

test_man_has_each_common_option() {
	local option
	all_options_of attach | grep -xE -e '--(help|json|dry-run)' | while read -r option; do
		man_section 'COMMON OPTIONS' | grep -qE -e "^\.[A-Z]* $option( |$)" || echo "no $option"
	done
}

# Words of other programs stand beside our own in COMING FROM.
test_man_has_no_other_option() {
	man_source | awk '/^\.SH / { theirs = /COMING FROM/ } !theirs || /lbctl/' | sed -E 's/(pkg-config|systemctl|NODE_OPTIONS=|-- node).*//' | grep -oE -e '--[a-z][a-z-]*' | sort -u |
		grep -vxF -e --option -e --version \
			-f <(commands | while read -r command; do all_options_of "$command"; done | tr -d = | sort -u) |
		sed 's/$/: no such option/'
}

test_man_quotes_each_policy() {
	local line
	policies | without_pending | while read -r line; do
		man_section POLICIES | sed 's/^\.[A-Z]* *//' | tr -s '\n ' ' ' | grep -qF -e " $line" || echo "not there: $line"
	done
}

test_man_quotes_each_counter() {
	local line words
	words=$(man_words)
	counters | without_pending | while read -r line; do
		grep -qF -e " $line" <<<"$words" || echo "not there: $line"
	done
}

# Names, one a line, that must be in the text, as the pattern says; % stands for the name.
expect_each_in() { # TEXT PATTERN
	local name
	while read -r name; do
		grep -qE -e "${2//%/$name}" <<<"$1" || echo "no $name"
	done
}

test_man_has_each_map() {
	maps | without_pending | expect_each_in "$(man_section FILES)" '^\.I ([a-z0-9]*/)?%$'
}

test_man_has_each_setting() {
	settings | expect_each_in "$(man_command set)" '^\.BI %= [A-Z]+$'
}

test_man_has_each_variable() {
	environment | expect_each_in "$(man_section ENVIRONMENT)" '^\.[A-Z]* .*\b%\b'
}

test_man_has_each_event() {
	diff <(event_types) <(man_source user/man/lbctl-json.5 |
		awk '/^\.SH / { in_it = $2 == "EVENTS" } in_it && tag { print $2 } { tag = $1 == ".TP" }' | sort) |
		sed -n 's/^</a keeper tells: /p; s/^>/the page has: /p'
}

test_man_has_each_finding() {
	diff <(findings | sort) <(man_source user/man/lbctl-json.5 | awk '/^\.B / { in_it = $2 == "explain" || in_it && $2 ~ /-/ } in_it' |
		sed -n 's/^\.IP "\([a-z-]*\)[ *]*" 4$/\1/p; s/^\.BR* \([a-z-]*\) [,.]$/\1/p' | sort) |
		sed -n 's/^</explain finds: /p; s/^>/the page has: /p'
}

test_man_has_each_metric() {
	diff <(metrics | sort) <(man_source user/man/lbctl-json.5 | sed -n 's/^\.B \(lbctl_[a-z_]*\)$/\1/p' |
		grep -vx lbctl_service_info | sort) |
		sed -n 's/^</lbctl has: /p; s/^>/the page has: /p'
}

test_man_has_each_path_of_http() {
	local path words
	words=$(man_words)
	http_paths | while read -r path; do
		case $path in
		*/resume) grep -qF '/workers/WORKER/drain ", " .../resume' <<<"$words" || echo "no $path" ;;
		*) grep -qF -e "$path" <<<"$words" || echo "no $path" ;;
		esac
	done
}

test_man_has_each_exit_status() {
	diff <(exit_statuses) <(man_section 'EXIT STATUS' | sed -n 's/^\.B \([0-9]*\)$/\1/p')
}

test_man_has_each_status_of_a_shell() {
	shell_statuses | expect_each_in "$(man_section 'EXIT STATUS')" '\b%\b'
}

# Who is trusted with them, which rights they take, and on which page they are.
test_man_has_each_verb_of_the_keeper() {
	local section
	for section in SECURITY CAPABILITIES COMMANDS; do
		keeper_verbs | expect_each_in "$(man_source user/man/lbctl.8 |
			awk -v title="$section" '/^\.SH / { in_it = $2 == title } in_it')" '\b%\b'
	done
}

# One word for one thing: the process that looks after a service.
test_a_keeper_has_no_other_name() {
	grep -niE '(^|[^-])\bcontrollers?\b' README.md user/README.md tools/examples/README.md \
		<(cat "${pages[@]}" | sed 's/\\-/-/g') || true
	grep -nE '".*[^-"]\bcontroller\b.*"' user/*/*.c || true
}

test_man_has_each_capability() {
	capabilities | expect_each_in "$(man_section CAPABILITIES)" '\b%\b'
}

test_man_has_each_library_call() {
	diff <(prototypes) <(sed -n '/^\.SH SYNOPSIS/,/^\.fi/ s/^\.BI* \(.*(.*\)/\1/p' user/man/liblbctl.3 |
		sed 's/" \([a-z_]*\) "/\1/g; s/" \([a-z_]*\) );$/\1);/; s/"//g')
}

test_man_programs_compile() {
	[ "$(man_programs user/man/liblbctl.3 | grep -c '^#include <lbctl.h>')" = 2 ] || echo "not two of them"
	man_programs user/man/liblbctl.3 |
		"${CC:-cc}" -Wall -Wextra -Werror -Wno-unused-function -Iinclude -fsyntax-only -x c -
}

# .TH NAME SECTION, as the file is called, and the version.
test_man_is_of_this_version() {
	local page name version
	version=$("$program" version | cut -d ' ' -f 2)
	for page in "${pages[@]}"; do
		name=$(basename "${page%.*}" | tr '[:lower:]' '[:upper:]')
		grep -q "^\.TH $name ${page##*.} .* \"lbctl $version\"" <(man_source "$page") ||
			echo "$page: not of version $version, or another name"
	done
}

test_man_pages_refer_to_each_other() {
	local page other
	for page in "${pages[@]}"; do
		for other in "${pages[@]}"; do
			[ "$other" = "$page" ] || grep -q "^\.BR $(basename "${other%.*}") (${other##*.})" \
				<(man_source "$page" | sed -n '/^\.SH SEE ALSO/,$p') || echo "$page: no $other"
		done
	done
}

# "lbctl-run (8)" after .BR, and "lbctl(8)" in the help of commands
test_man_pages_exist() {
	{
		man_source | sed -n 's/^\.BR \(lib\)\{0,1\}\(lbctl[a-z-]*\) (\([1-9]\)).*/\1\2.\3/p'
		printf '%s\n' "${help_of[@]}" |
			grep -oE 'lbctl[a-z-]*\([1-9]\)' | sed 's/(/./; s/)//'
	} | sort -u | while read -r page; do
		[ -e "user/man/$page" ] || echo "$page: no such page"
	done
}

# Where all that make install installs goes, in quotes.
installed() {
	make -s -n uninstall DESTDIR=/there PREFIX=/usr
}

test_man_pages_are_installed() {
	local page all
	all=$(installed)
	for page in "${pages[@]}"; do
		[[ $all == *"'/there/usr/share/man/man${page##*.}/$(basename "$page")'"* ]] || echo "$page: not installed"
	done
}

test_node_package_is_installed() {
	local dir file all
	all=$(installed)
	jq -r '.files[], "package.json"' tools/node/package.json | while read -r file; do
		[[ $all == *"'/there/usr/share/lbctl/node/$file'"* ]] || echo "$file: not installed"
	done
	jq -e --arg version "$("$program" version | sed -n '1s/^lbctl \([^ ]*\).*/\1/p')" '.version == $version' tools/node/package.json >/dev/null ||
		echo "tools/node/package.json: another version"
	dir=$(mktemp -d)
	install -D "$program" "$dir/sbin/lbctl"
	"$dir/sbin/lbctl" run --help | grep -F cluster.js && echo "it names a package that is not there"
	install -D tools/node/cluster.js "$dir/share/lbctl/node/cluster.js"
	"$dir/sbin/lbctl" run --help | grep -qF "NODE_OPTIONS='--require $dir/share/lbctl/node/cluster.js'" ||
		echo "it does not name the installed package"
	rm -r "$dir"
}

test_node_types_are_of_the_code() {
	command -v node >/dev/null || { echo "SKIP: no Node.js" && return; }
	node tests/integration/node/types.js
}

test_python_package_is_installed() {
	local file all
	all=$(installed)
	for file in README.md pyproject.toml lbctl/__init__.py; do
		[[ $all == *"'/there/usr/share/lbctl/python/$file'"* ]] || echo "$file: not installed"
	done
	grep -qx "version = \"$("$program" version | sed -n '1s/^lbctl \([^ ]*\).*/\1/p')\"" tools/python/pyproject.toml ||
		echo "tools/python/pyproject.toml: another version"
}

# --- the READMEs ---

# Their text but for the worked examples, which are of what is not there yet (examples.sh follows them).
readme_text() {
	awk '/^## /{ skip = /^## How to add / } !skip' "${readmes[@]}"
}

readme_section() { # FILE TITLE
	awk -v head="## $2" '/^## /{ in_it = $0 == head } in_it' "$1"
}

# Rows of its first column, without the links around names: | [`name`](link) | ...
first_column() {
	sed -n 's/^| \(`[^|]*`\) |.*/\1/p' | grep -o '`[^`]*`' | tr -d '`'
}

test_readme_is_short() {
	local lines
	lines=$(wc -l <README.md)
	[ "$lines" -le 260 ] || echo "README.md has $lines lines, and 260 are the most"
}

test_readme_has_each_command() {
	diff <(commands | without_pending | sort) <(readme_section README.md Commands | grep '^| [a-z]' | grep -o '`[^`]*`' | tr -d '`' | sort) |
		sed -n 's/^</lbctl has: /p; s/^>/the table has: /p'
}

# Every `lbctl COMMAND ... --option` in them.
test_readme_options_exist() {
	local line command option
	readme_text | grep -oE 'lbctl [a-z-]+ [^`#|&;]*--[a-z][a-z-]*[^`#|&;]*' | while read -r line; do
		command=$(cut -d ' ' -f 2 <<<"$line")
		grep -oE -e '--[a-z][a-z-]*' <<<"$line" | while read -r option; do
			all_options_of "$command" | tr -d = | grep -qxF -e "$option" || echo "$line: no option $option"
		done
	done
}

# Lines that hold "lbctl COMMAND ... --option": those that name an option which the command does not
# have. Options stand within a clause, before another command.
with_wrong_options() {
	local line command option
	grep -oE 'lbctl [a-z-]+ [^;,:)|]*' | sed 's/ -- .*//; s/ and .*//; s/\(.\)lbctl .*/\1/' | sort -u | while read -r line; do
		read -r _ command _ <<<"$line"
		[ -n "${help_of[$command]-}" ] || continue
		grep -oE -e ' --?[a-zA-Z][a-z-]*' <<<"$line" | tr -d ' ' | while read -r option; do
			all_options_of "$command" | tr -d = | grep -qxF -e "$option" || echo "$line: no option $option"
		done
	done
}

# "lbctl logs %s %u has what it said", and all else that lbctl says
test_sentences_name_options_that_there_are() {
	[ "$(strings -n 8 "$program" | grep -cE 'lbctl [a-z-]+ .*--?[a-z]')" -ge 20 ] || echo "hardly any sentence found"
	strings -n 8 "$program" | with_wrong_options
	with_wrong_options <<<"lbctl logs %s --worker %u has it" | grep -q . || echo "a wrong option is not found"
}

test_man_examples_have_run() {
	local page
	for page in user/man/lbctl.8 user/man/lbctl-run.8; do
		man_programs "$page" | grep -qE '^lbctl run .*-- ' || echo "$page: no example of run"
		man_programs "$page" | with_wrong_options
	done
}

# "1 workers": a count that may be 1 has %s behind its noun. Those of a table's row are no sentence,
# and some are never 1.
test_sentences_count_one() {
	strings -n 8 "$program" |
		grep -E '%(l|ll|z)?u (new )?(workers|connections|sockets|bytes|lines|times|events|datagrams|processes|namespaces|services|others)\b' |
		grep -vE -e '%u of %u workers' -e '^all %u workers' -e '%zu processes share' -e '%zu services; name one' \
			-e '^%u workers were' -e 'has %u sockets on ' -e ' to %zu others' \
			-e '%lu times in %lu decisions' -e '^%lu connections of worker %u were open' || true
}

test_readme_commands_exist() {
	local command
	readme_text | grep -oE '(\$ sudo|sudo|`|\$) (build/)?lbctl [a-z][a-z-]*' | awk '{ print $NF }' | sort -u |
		while read -r command; do
			commands | grep -qxF -e "$command" || echo "lbctl $command: no such command"
		done
}

test_readme_has_each_policy() {
	local file title
	while read -r file title; do
		diff <(policies | without_pending | cut -d ' ' -f 1 | sort) <(readme_section "$file" "$title" | first_column | sort) |
			sed -n "s|^<|lbctl has, $file has not: |p; s|^>|$file has: |p"
	done <<-END
		README.md Policies
		bpf/README.md Policies in depth
	END
}

test_readme_has_each_exit_status() {
	exit_statuses | expect_each_in "$(sed -n '/Exit status:/,/^$/p' README.md)" '\b%\b'
}

test_readme_has_each_manual_page() {
	local page
	for page in "${pages[@]}"; do
		grep -qF "]($page)" README.md || echo "no $page"
	done
}

test_readme_has_each_package() {
	diff <(packages | sort) \
		<(sed -n '/^| package/,/^$/p' tools/README.md | sed -n '3,$s/^| \([^|]*\) |.*/\1/p' | tr -d ' ' | tr , '\n' | sort) |
		sed -n 's/^</deps.sh has: /p; s/^>/the table has: /p'
}

test_readme_has_each_map() {
	maps | without_pending | expect_each_in "$(readme_section bpf/README.md Maps)" '`%`'
}

# What is in a folder has a link or stands in code.
test_readme_has_each_file() {
	local file text
	for file in bpf/*.bpf.[ch] tools/*.* tools/*/ tools/examples/*.* user/*/; do
		text=$(cat "${file%%/*}/README.md")
		case $file in
		*README.md) continue ;;
		tools/examples/?*) text=$(cat tools/examples/README.md) ;;
		esac
		file=${file%/}
		grep -qE "^   [ >]*${file##*/}/|^${file##*/}/|\(${file##*/}\)" <<<"$text" || echo "$file is in no README"
	done
}

# Without the comments on top of both.
test_readme_has_the_difference_of_two_examples() {
	diff <(awk '/^```/ { in_it = $0 == "```diff"; next } in_it' tools/examples/README.md) \
		<(diff -U1 --label master-accepts.js --label workers-listen.js \
			<(grep -v '^//' tools/examples/master-accepts.js) <(grep -v '^//' tools/examples/workers-listen.js) |
			sed 's/^ $//')
}

# By its name, or by that of its two files: `turn`, `tell.c`
test_readme_has_each_file_of_the_keeper() {
	local file name
	for file in user/keeper/*.[ch]; do
		name=${file##*/}
		grep -qE "\`(${name%.*}|$name)\`" <(readme_section user/README.md 'The keeper') || echo "no $name"
	done
}

test_readme_has_each_kernel() {
	local kernel
	sed -n "s/^vm_kernels='\(.*\)'/\1/p" vmtests/lib.sh | tr ' ' '\n' | while read -r kernel; do
		grep -q "^| promise .*| $kernel |" vmtests/README.md || echo "no $kernel"
	done
}

test_readme_make_targets_exist() {
	local target
	readme_text | grep -oE '(`|sudo |^)make [a-z-]+' | awk '{ print $NF }' | sort -u | while read -r target; do
		grep -qE "^$target:.*## " Makefile tests/fuzz/fuzz.mk || echo "make $target: no such target"
	done
}

# The anchors of a file's headings, as GitHub makes them.
anchors() {
	sed -n 's/^##* //p' "$1" | tr '[:upper:]' '[:lower:]' | sed "s/[^a-z0-9 _-]//g; s/ /-/g"
}

test_readme_links_lead_somewhere() {
	local readme link path anchor
	for readme in "${readmes[@]}"; do
		grep -oE '\]\([^)]*\)' "$readme" | sed 's/^](//; s/)$//' | grep -v '^https\?:' | sort -u | while read -r link; do
			path=${link%%#*} anchor=${link#"$path"}
			path=$(dirname "$readme")/$path
			[ -e "$path" ] || echo "$readme: $link: not there"
			[ "${link%%#*}" ] || path=$readme
			[ -z "$anchor" ] || anchors "$path" | grep -qxF -e "${anchor#\#}" || echo "$readme: $link: no such heading"
		done
	done
}

# `cmd/cmd.c` or `tests/docs.sh`, of this folder or of all
test_readme_files_exist() {
	local readme path
	for readme in "${readmes[@]}"; do
		grep -oE '`[a-zA-Z0-9_-]+/[a-zA-Z0-9_./-]+\.(c|h|sh|py|js)`' "$readme" | tr -d '`' | sort -u | while read -r path; do
			[ -e "$path" ] || [ -e "$(dirname "$readme")/$path" ] || echo "$readme: $path: not there"
		done
	done
}

# Who looks into a folder finds its README from the first one.
test_readme_leads_to_each_other() {
	local readme folder
	for readme in "${readmes[@]:1}"; do
		folder=$(dirname "$readme")
		grep -qE "\]\($folder(/README.md|/)?(#[a-z-]*)?\)" README.md || echo "README.md: no link to $folder"
	done
}

if ! "$program" version >/dev/null; then
	echo "docs.sh: $program does not run; make builds it" >&2
	exit 1
fi
run_tests
