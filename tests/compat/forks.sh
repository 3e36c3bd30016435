#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# forks.sh [PROGRAM...]: programs that make their workers themselves, four each and unchanged, under
# `lbctl run --forks` and, started by somebody else, under `lbctl watch`, each in namespaces of its own.
# Those with a socket for each worker: how many workers there are, 40 connections in exact turn, a reload
# under load (by the program's own signal, where it has one), four again after one was killed, nothing left
# after the stop. Those with one socket for all: that it is told, and served. Needs root, after `make` and
# `tools/deps.sh compat`; called by `make compat`. Exit status: 0 none has failed (what can't be had here
# is listed and is no pass).
# shellcheck disable=SC2317 # ask() is called by name
set -u -o pipefail
cd "$(dirname "$0")/../.." || exit 1

service=compat
# shellcheck source=tests/compat/lib.sh
. tests/compat/lib.sh
port=8080
url=http://127.0.0.1:$port/
workers=4
connections=40

# --- the programs: set `version`, `command` and, of lbctl run, `options`; `shared`: one socket for all -----

program_nginx() {
	needs nginx || return 1
	version=$(version_of nginx -v)
	cat >nginx.conf <<-END
		daemon off;
		worker_processes $workers;
		pid nginx.pid;
		error_log stderr;
		events {}
		http { access_log off; server { listen $port reuseport; return 200 "hello\n"; } }
	END
	command=(nginx -p . -c nginx.conf)
	options=(--reload-signal HUP)
}

# Its threads have sockets of their own, and none can be killed alone.
program_haproxy() {
	needs haproxy || return 1
	version=$(version_of haproxy -v)
	cat >haproxy.cfg <<-END
		global
			nbthread $workers
		defaults
			mode http
			timeout connect 5s
			timeout client 10s
			timeout server 10s
		frontend front
			bind 127.0.0.1:$port shards by-thread
			http-request return status 200 content-type text/plain string hello
	END
	command=(haproxy -W -db -f haproxy.cfg)
	options=(--reload-signal USR2)
	one_process=yes
}

program_node_cluster() {
	needs node || return 1
	version=$(version_of node --version)
	command=(node "$repo/tests/integration/node/app.js" "$port" told)
	options=(--reload-signal USR2)
	# by itself Node.js shares ports from 22.12 and 23.1 on
	node -e 'const [a, b] = process.versions.node.split(".");
		process.exit(a > 23 || a == 23 && b >= 1 || a == 22 && b >= 12 ? 0 : 1)' || unwatched=yes
	environment=("NODE_OPTIONS=--require $repo/tools/node/cluster.js")
}

# Without a signal of its own: a second main process takes the first one's place.
program_node_replaced() {
	program_node_cluster && options=()
}

# By child_process.fork, without cluster.
program_node_forked() {
	program_node_cluster && options=() environment=("PORT=$port")
	command=(env "PORT=$port" node "$repo/tools/examples/workers-listen.js" "$workers")
}

program_gunicorn() {
	needs gunicorn || return 1
	version=$(version_of gunicorn --version)
	cp "$tests/apps/app.py" .
	command=(gunicorn -w "$workers" --reuse-port -b "127.0.0.1:$port" app:wsgi)
	options=(--reload-signal HUP)
	shared=yes
}

program_uvicorn() {
	needs uvicorn || return 1
	version=$(version_of uvicorn --version)
	cp "$tests/apps/app.py" .
	command=(uvicorn --workers "$workers" --host 127.0.0.1 --port "$port" --log-level warning app:asgi)
	shared=yes
}

program_hypercorn() {
	needs hypercorn || return 1
	version=$(dpkg-query -W -f '${Version}' python3-hypercorn)
	cp "$tests/apps/app.py" .
	command=(hypercorn -w "$workers" -b "127.0.0.1:$port" app:asgi)
	shared=yes
}

program_puma() {
	needs puma || return 1
	version=$(version_of puma --version)
	cp "$tests/apps/config.ru" .
	command=(puma -w "$workers" -t 2:2 -e production -b "tcp://127.0.0.1:$port" config.ru)
	shared=yes
}

program_php_fpm() {
	needs php-fpm8.2 && needs cgi-fcgi || return 1
	version=$(version_of php-fpm8.2 -v)
	cat >fpm.conf <<-END
		[global]
		daemonize = no
		error_log = /dev/stderr
		[www]
		listen = 127.0.0.1:$port
		user = nobody
		pm = static
		pm.max_children = $workers
	END
	echo '<?php echo "hello";' >app.php
	command=(php-fpm8.2 -n -F -y "$PWD/fpm.conf")
	shared=yes
	ask() {
		SCRIPT_FILENAME=$work/app.php REQUEST_METHOD=GET timeout 20 \
			cgi-fcgi -bind -connect "127.0.0.1:$port" | grep -q hello
	}
}

ask() {
	curl -fsS --max-time 20 -H 'Connection: close' -o answer "$url"
}

# --- what is looked at ------------------------------------------------------------------------------------

check_reload() {
	load_begin "$url"
	timeout 60 "$lbctl" reload compat >reload.log 2>&1 || bad "$(tail -n 1 reload.log)"
	load_end
	[ "$failed" = 0 ] || bad "$failed of $requests requests failed over a reload"
	until_true 10 are_up $workers || bad "not $workers workers after a reload"
}

is_another() { # PID
	are_up $workers && [ "$(show | jq '.workers[1].pid')" != "$1" ]
}

check_kill() {
	local pid
	[ -z "$one_process" ] || return
	pid=$(show | jq '.workers[1].pid')
	kill -KILL "$pid"
	until_true 20 is_another "$pid" || bad 'no other worker after one was killed'
}

is_told() { # FILE
	grep -qs 'is one socket that [0-9]* processes share' "$1"
}

check_shared() {
	until_true 20 is_told run.log || bad 'nobody says that the workers share one socket'
	ask || bad 'no answer'
	spread='1 socket'
}

check_run() {
	local before run
	before=$(processes)
	"$lbctl" run --forks --name compat --policy rr --kill-timeout 10000 "${options[@]}" -- "${command[@]}" >run.log 2>&1 &
	run=$!
	until_true 30 are_up "$([ -n "$shared" ] && echo 1 || echo $workers)" || bad "not up: $(tail -n 2 run.log | tr '\n' ' ')"
	if [ -n "$shared" ]; then
		check_shared
	else
		check_spread 10/10/10/10 $connections ask
		check_reload
		check_kill
	fi
	timeout 60 "$lbctl" stop compat >stop.log 2>&1 || bad "$(tail -n 1 stop.log)"
	wait $run || bad "lbctl run ended with $?"
	check_nothing_left "$before"
}

# The same program, started by somebody else, under a watch.
check_watch() {
	local program watch
	env "${environment[@]}" "${command[@]}" >program.log 2>&1 &
	program=$!
	until_true 30 ask 2>/dev/null || bad "not up by itself: $(tail -n 1 program.log)"
	[ -n "$shared" ] || "$lbctl" attach --name compat --policy rr ":$port" >attach.log 2>&1 || bad "$(tail -n 1 attach.log)"
	"$lbctl" watch "$([ -n "$shared" ] && echo ":$port" || echo compat)" >watch.log 2>&1 &
	watch=$!
	if [ -n "$shared" ]; then
		until_true 20 is_told watch.log || bad 'watch does not say that the workers share one socket'
		watched=told
	else
		until_true 10 are_up $workers || bad 'watch has not all'
		check_kill
		watched=$(show | jq '[.workers[] | select(.state == "up")] | length')
		[ "$watched" = $workers ] || bad "watch has $watched workers"
	fi
	kill $watch
	wait $watch
	kill $program
	wait $program
}

run_one() {
	local name=$1
	spread=- failed=- requests=- watched=- version='' shared='' one_process='' unwatched='' options=() environment=()
	enter
	"program_$name" || { echo "$name: missing: ${missing:-it can not be built here}" && exit 77; }
	check_run
	[ -n "$unwatched" ] || check_watch
	printf '%-13s %-10s %-12s %5s/%-6s %-5s  %s\n' "$name" "$version" "$spread" "$failed" "$requests" "$watched" "${problems[0]:-ok}"
	tell_problems
}

main() {
	local names=("$@")
	need_root
	[ $# -gt 0 ] || mapfile -t names < <(all_programs)
	printf '%-13s %-10s %-12s %-12s %-5s\n' program version spread failed/of watch
	each_in_namespaces 240 "${names[@]}"
}

if [ "${1-}" = --one ]; then
	run_one "$2"
else
	main "$@"
fi
