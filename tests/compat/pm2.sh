#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# pm2.sh: what PM2 is told and what lbctl is told for the same (lbctl-run(8), COMING FROM PM2), one after
# the other with the same program, in namespaces of their own: a row for each, with what came of it and
# how long it took. PM2 and Node.js 24 are from npm, in ~/.cache/lbctl-node (LB_NODE_CACHE). Needs root,
# wrk, npm, jq. Exit status: 0 lbctl does what is wanted in each row (what PM2 does is not judged).
set -u -o pipefail
cd "$(dirname "$0")/../.." || exit 1
service=app
# shellcheck source=tests/compat/lib.sh
. tests/compat/lib.sh
cache=${LB_NODE_CACHE:-$HOME/.cache/lbctl-node}
modules=$cache/programs/node_modules
declare -A port=([pm2]=8081 [lbctl]=8080)
status=0

pm2() {
	PM2_HOME=$work/home "$modules/.bin/pm2" "$@"
}

write_files() {
	cat >app.js <<-'END'
		const http = require('http');
		console.log(`${process.pid} begins, VALUE ${process.env.VALUE}`);
		http.createServer((request, response) => setTimeout(() => response.end('ok'), 5)).listen(process.env.PORT);
		process.on('SIGUSR2', () => console.log(`${process.pid} has SIGUSR2`));
	END
	echo "module.exports = { apps: [{ name: 'app', script: 'app.js', instances: 4, exec_mode: 'cluster' }] };" >ecosystem.config.js
	printf 'app:\n  command: [node, app.js]\n  n: 4\n  log-dir: logs\n' >services.yaml
	mkdir logs
}

pids() {
	if [ "$variant" = pm2 ]; then
		pm2 jlist 2>/dev/null | tail -n 1 | jq -r '.[] | select(.pm2_env.status == "online") | .pid'
	else
		show | jq -r '.workers[] | select(.state == "up") | .pid'
	fi
}

logs() {
	if [ "$variant" = pm2 ]; then
		cat "$work"/home/logs/app-out*.log
	else
		cat logs/app-*.log
	fi
}

# --- what came of it, as a text of which each row says what is wanted ---

count() {
	echo "$(pids | wc -l) online"
}

replaced() {
	local now
	now=$(pids)
	echo "$(comm -13 <(sort <<<"$before") <(sort <<<"$now") | wc -l) of $(wc -l <<<"$now") replaced"
}

none_failed() {
	echo "$(replaced), $([ "$failed" = 0 ] && echo none || echo some) failed"
}

has_value() {
	local pid n=0
	sleep 0.5
	for pid in $(pids); do
		n=$((n + $(logs | grep -c "^$pid begins, VALUE 2")))
	done
	echo "$n have it"
}

signalled() {
	sleep 0.5
	echo "$(logs | grep -c 'has SIGUSR2') have it"
}

log_lines() {
	echo "$(grep -c begins "$work/output") lines"
}

log_bytes() {
	echo "$(logs | wc -c) bytes"
}

# --- the rows ---

# row WANT OUTCOME PM2-COMMAND LBCTL-COMMAND
row() {
	local want=$1 outcome=$2 begin took got
	local -A command=([pm2]=$3 [lbctl]=$4)
	for variant in pm2 lbctl; do
		before=$(pids)
		[ "$outcome" != none_failed ] || load_begin "http://127.0.0.1:${port[$variant]}/"
		begin=$(date +%s.%N)
		PORT=${port[$variant]} eval "${command[$variant]}" >"$work/output" 2>&1 </dev/null ||
			cat "$work/output"
		took=$(awk -v a="$begin" -v b="$(date +%s.%N)" 'BEGIN { printf "%.1f", b - a }')
		[ "$outcome" != none_failed ] || load_end # waits, which no other shell can
		got=$($outcome)
		printf '%-38s %-28s %5s s\n' "${command[$variant]}" "$got" "$took"
		[ "$variant" = pm2 ] || [ "$got" = "$want" ] || { echo "  not $want"; status=1; }
	done
}

rows() {
	row '4 online' count 'pm2 start ecosystem.config.js' 'lbctl apply services.yaml'
	row '0 of 4 replaced' replaced 'pm2 startOrReload ecosystem.config.js' 'lbctl apply services.yaml'
	row '4 lines' log_lines 'pm2 logs app --nostream --lines 40' 'lbctl logs app -n 40'
	row '1 of 4 replaced' replaced 'pm2 restart 2' 'lbctl restart app 2'
	row '6 online' count 'pm2 scale app 6' 'lbctl scale app 6'
	row '7 online' count 'pm2 scale app +1' 'lbctl scale app +1'
	row '4 online' count 'pm2 scale app 4' 'lbctl scale app 4'
	row '4 of 4 replaced, none failed' none_failed 'pm2 reload app' 'lbctl reload app'
	row '4 have it' has_value 'VALUE=2 pm2 restart app --update-env' 'VALUE=2 lbctl reload app --update-env'
	row '4 have it' signalled 'pm2 sendSignal SIGUSR2 app' 'lbctl signal app all USR2'
	row '0 bytes' log_bytes 'pm2 flush app' 'truncate -s 0 logs/app-*.log'
	row '0 online' count 'pm2 delete app' 'lbctl stop app'
}

run() {
	enter
	mount -t tmpfs tmpfs /var/log || exit 1
	trap 'pm2 kill >/dev/null 2>&1; rm -rf "$work"' EXIT
	mkdir bin app
	ln -s "$lbctl" bin/lbctl
	PATH=$work/bin:$(dirname "$modules"/node-linux-*/bin/node):$PATH
	cd app || exit 1
	write_files
	rows
	exit $status
}

if [ "${1-}" = --run ]; then
	run
fi
need_root
npm_into "$cache/programs" "$(node_for_linux 24)" pm2@7 || exit 1
in_namespaces 600 --run
