#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# node_cluster.sh [PROGRAM...]: cluster itself, throng, PM2, pm2-runtime, egg and Nest, unchanged, with tools/node and
# `lbctl watch`, and beside it the same as Node.js has it, in namespaces of their own. Of each: how many
# sockets listen, what events `listening` the primary had, 200 connections by worker, failed requests
# while all workers are replaced (cluster, PM2, Nest) under load, are there four again after a kill -9; then
# requests/s in pairs, 9 (PAIRS) of 3 s: a connection for each request, and keep-alive. Figures are medians
# and, in brackets, what is left without the lowest and the highest: of nine a 96 % interval of the median.
# Programs and Node.js 24 are from npm, in ~/.cache/lbctl-node (LB_NODE_CACHE). Needs root, wrk, npm, jq.
# Exit status: 0 all is as it should be (figures are not judged).
set -u -o pipefail
cd "$(dirname "$0")/../.." || exit 1
service=node
# shellcheck source=tests/compat/lib.sh
. tests/compat/lib.sh
cache=${LB_NODE_CACHE:-$HOME/.cache/lbctl-node}
modules=$cache/programs/node_modules
pairs=${PAIRS:-9}
seconds=3
declare -A port=([package]=8080 [stock]=8081)

# --- the programs: start in $dir on $PORT with their environment set, replace all, end ---------------

start_cluster() {
	node "$repo/tests/integration/node/app.js" "$PORT" "$dir/told" &
	primary=$!
}

replace_cluster() {
	kill -USR2 "$primary"
	until_true 60 grep -q replaced "$dir/told"
}

end_cluster() {
	kill "$primary"
}

start_throng() {
	echo "require('$modules/throng')({ workers: 4, worker: () => require('$repo/tests/compat/apps/http.js') });" >throng.js
	node throng.js &
	primary=$!
}

end_throng() {
	kill "$primary"
}

pm2() {
	PM2_HOME=$dir/pm2 "$modules/.bin/pm2" --silent "$@"
}

start_pm2() {
	pm2 start "$repo/tests/compat/apps/http.js" --name app -i 4
	primary=$(cat "$dir/pm2/pm2.pid")
}

replace_pm2() {
	pm2 reload app
}

# More, fewer, none, and again.
more_pm2() {
	pm2 scale app 6
	until_true 20 listen 6 || bad "$variant: no 6 after scale"
	pm2 scale app 4
	until_true 20 listen 4 || bad "$variant: no 4 after scale"
	pm2 stop app
	until_true 20 listen 0 || bad "$variant: they listen after stop"
	pm2 restart app
	until_true 20 listen 4 || bad "$variant: no 4 after restart"
}

end_pm2() {
	pm2 kill
}

start_runtime() {
	PM2_HOME=$dir/pm2 "$modules/.bin/pm2-runtime" start "$repo/tests/compat/apps/http.js" -i 4 &
	primary=$!
}

end_runtime() {
	kill -INT "$primary"
}

start_egg() {
	mkdir -p egg/app egg/config
	ln -sfn "$modules" egg/node_modules
	echo '{ "name": "egg-app", "version": "1.0.0" }' >egg/package.json
	echo "module.exports = (app) => app.router.get('/', async (ctx) => { ctx.body = 'hello'; });" >egg/app/router.js
	echo "exports.keys = 'keys';" >egg/config/config.default.js
	echo "require('$modules/egg').startCluster({ baseDir: '$dir/egg', workers: 4, port: $PORT });" >egg.js
	EGG_SERVER_ENV=prod EGG_HOME=$dir HOME=$dir node egg.js &
	primary=$!
}

end_egg() {
	kill "$primary"
}

# By cluster, as any program; there is no compiler here, so its decorators are called as functions.
start_nest() {
	ln -sfn "$modules" node_modules
	cp "$tests/apps/nest.js" .
	node nest.js &
	primary=$!
}

replace_nest() {
	kill -USR2 "$primary"
	until_true 60 grep -q replaced "$dir/log"
}

end_nest() {
	kill "$primary"
}

# --- what is looked at ------------------------------------------------------------------------------

sockets() {
	ss -Hltn "sport = :$PORT" | wc -l
}

# As many workers as that: their sockets with the package, else one for all.
listen() {
	local want=$1
	[ "$variant" = package ] || want=$(($1 > 0))
	[ "$(sockets)" = "$want" ]
}

heard() {
	[ "$(grep -c listening "$dir/events")" -ge "$1" ]
}

ask() {
	curl -fsS -o "$dir/answer" "http://127.0.0.1:$PORT/"
}

# While all workers are replaced.
replace() {
	load_begin "http://127.0.0.1:$PORT/"
	"replace_$name" >>"$dir/log" 2>&1
	sleep 2
	load_end
	[ "$failed" = 0 ] || bad "$variant: $failed of $requests requests failed while replaced"
}

# The last of the primary's children, a worker, is killed: does it make another one?
crash() {
	local pid before
	before=$(grep -c listening "$dir/events")
	pid=$(pgrep -P "$primary" | tail -n 1)
	kill -KILL "$pid"
	until_true 30 heard $((before + 1)) || bad "$variant: no other worker after a kill"
	until_true 10 listen 4 || bad "$variant: not four sockets after a kill"
}

# A program in one variant: started, and all but its speed looked at. Prints a row.
look() {
	local dir=$work/$variant failed=- requests=- spread=- row
	mkdir -p "$dir" && cd "$dir" || exit 1
	export PORT=${port[$variant]} EVENTS=$dir/events NODE_ENV=production
	export NODE_OPTIONS="--require $work/events.cjs"
	[ "$variant" = stock ] || NODE_OPTIONS+=" --require $repo/tools/node/cluster.js"
	: >events
	"start_$name" >"$dir/log" 2>&1
	primaries[$variant]=$primary
	until_true 60 heard 4 || bad "$variant: no four events"
	until_true 10 listen 4 || bad "$variant: $(sockets) sockets"
	row=$(printf '%-8s %-8s %d sockets, %d listening' "$name" "$variant" "$(sockets)" "$(grep -c listening events)")
	if [ "$variant" = package ]; then
		"$lbctl" attach --name node --policy rr ":$PORT" >"$dir/attach" 2>&1 || bad "$(cat "$dir/attach")"
		"$lbctl" watch node >"$dir/watch" 2>&1 &
		watch=$!
		until_true 20 are_up 4 || bad 'not four are up'
		check_spread 50/50/50/50 200 ask
	fi
	! declare -F "replace_$name" >/dev/null || replace
	until_true 20 listen 4 || bad "$variant: not four sockets after the change"
	crash
	! declare -F "more_$name" >/dev/null || "more_$name" >>"$dir/log" 2>&1
	echo "$row, spread $spread, failed while replaced $failed/$requests, after a kill and more $(sockets) sockets"
}

median() {
	sort -n | awk '{ v[NR] = $1 } END { cut = NR > 2; printf "%s (%s-%s)", v[int((NR + 1) / 2)], v[1 + cut], v[NR - cut] }'
}

# speed TITLE ARG...: pairs, one variant after the other, the first one in turn.
speed() {
	local title=$1 i order rate failed requests
	shift
	: >"$work/ratio"
	rm -f "$work"/rate-*
	for ((i = 0; i < pairs; i++)); do
		order='stock package'
		((i % 2)) || order='package stock'
		for variant in $order; do
			wrk -t 1 -c 16 -d "$seconds" "$@" "http://127.0.0.1:${port[$variant]}/" >"$work/now"
			read_load "$work/now"
			echo "${rate%.*}" | tee -a "$work/rate-$variant" >"$work/last-$variant"
			[ "$failed" = 0 ] || bad "$variant: $title: $failed failed"
		done
		paste "$work/last-package" "$work/last-stock" | awk '{ printf "%.2f\n", $1 / $2 }' >>"$work/ratio"
	done
	printf '%-8s %s: stock %s, package %s, ratio %s\n' "$name" "$title" "$(median <"$work/rate-stock")" \
		"$(median <"$work/rate-package")" "$(median <"$work/ratio")"
}

run_one() {
	name=$1
	declare -gA primaries=()
	enter
	PATH=$(dirname "$modules"/node-linux-*/bin/node):$PATH
	cat >"$work/events.cjs" <<-END
		require('cluster').on('listening', (worker, { port }) =>
			require('fs').appendFileSync(process.env.EVENTS, \`listening \${worker.process.pid} \${port}\n\`));
	END
	for variant in stock package; do
		look
	done
	if [ "$pairs" -gt 0 ]; then
		speed 'a connection a request' -H 'Connection: close'
		speed 'keep-alive'
	fi
	for variant in stock package; do
		dir=$work/$variant primary=${primaries[$variant]} PORT=${port[$variant]}
		"end_$name" >>"$dir/log" 2>&1
		until_true 30 listen 0 || bad "$variant: it listens after its end"
	done
	kill -INT "$watch"
	echo "$name: ${problems[0]:-ok}"
	tell_problems
}

main() {
	need_root
	[ $# -gt 0 ] || set -- cluster throng pm2 runtime egg nest
	npm_into "$cache/programs" "$(node_for_linux 24)" pm2@7 throng@5 egg@3 @nestjs/core@12 @nestjs/common@12 \
		@nestjs/platform-express@12 || exit 1
	each_in_namespaces 600 "$@"
}

if [ "${1-}" = --one ]; then
	run_one "$2"
else
	main "$@"
fi
