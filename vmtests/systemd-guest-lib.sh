# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash
# What the tests of systemd-guest.sh share: what is expected, the service web, load.

units=/etc/systemd/system
url=http://127.0.0.1:8080/
deadline_s=${LB_DEADLINE_S:-30}
problems=0

bad() {
	echo "    $*"
	problems=$((problems + 1))
}

expect() { # WHAT GOT WANT
	[ "$2" = "$3" ] || bad "$1: got \"$2\", want \"$3\""
}

# until_true COMMAND...: waits, at most $deadline_s
until_true() {
	local end=$((SECONDS + deadline_s))
	until "$@"; do
		if [ $SECONDS -ge $end ]; then
			bad "not within $deadline_s s: $*"
			return 1
		fi
		sleep 0.05
	done
}

property() { # UNIT PROPERTY
	systemctl show -P "$2" "$1"
}

keeper() {
	property web MainPID
}

has() { # UNIT PROPERTY VALUE
	[ "$(property "$1" "$2")" = "$3" ]
}

# systemd has restarted it so many times, and it is ready again.
is_back() {
	has web NRestarts "$1" && has web ActiveState active
}

# Of the workers that serve, in the order of their numbers.
pids() {
	lbctl show web --json | jq -r '[.workers[] | select(.state == "up") | .pid] | join(" ")'
}

worker_cgroups() {
	(cd /sys/fs/cgroup/system.slice/web.service/lbctl-web 2>/dev/null && ls -d w*) | wc -l
}

# A server that logs all the time, and dies when it can't.
write_app() {
	cat >/usr/local/bin/app <<-'END'
		#!/bin/sh
		(trap '' PIPE; n=0; while echo "worker $LBCTL_WORKER pid $$ line $n"; do n=$((n + 1)); sleep 0.1; done; kill -KILL $$) &
		exec lbctl-demo-worker --quiet --no-reuseport --listen :8080
	END
	chmod 755 /usr/local/bin/app
}

# The unit as printed; it runs what is in the file by then.
write_web() {
	write_app
	lbctl unit --name web -n 4 --user nobody "$@" -- app >$units/web.service || bad "lbctl unit failed"
	systemctl daemon-reload
}

start_web() {
	write_web
	systemctl start web || bad "start failed"
}

# One that never listens: systemd waits for its workers.
begin_silent_web() {
	write_web "$@"
	printf '#!/bin/sh\nexec sleep 1000\n' >/usr/local/bin/app
	systemctl start --no-block web
	until_true has web StatusText '0 of 4 workers online'
}

set_lines() { # LINE...: as a drop-in
	mkdir -p $units/web.service.d
	printf '%s\n' '[Service]' "$@" >$units/web.service.d/test.conf
	systemctl daemon-reload
}

load_begin() {
	wrk -t 1 -c 16 -d 120s --timeout 10s -H 'Connection: close' $url >/tmp/wrk 2>&1 &
	load=$!
	sleep 0.3
}

# No error, no answer but 200, and something was answered.
load_end() {
	local requests
	sleep 0.3
	kill -INT "$load"
	wait "$load"
	requests=$(sed -n 's/^ *\([0-9]*\) requests in .*/\1/p' /tmp/wrk)
	echo "    ${requests:-0} requests"
	[ "${requests:-0}" -gt 0 ] || bad "no request was answered: $(cat /tmp/wrk)"
	grep -E 'Socket errors|Non-2xx' /tmp/wrk && bad "requests failed"
}

has_logged() { # SINCE PATTERN
	journalctl -q -o cat -u web --since "@$1" --no-pager | grep -q "$2"
}

# Nothing of the service is left: processes, cgroup, pins, files.
expect_nothing_left() {
	local path
	for path in /sys/fs/cgroup/system.slice/web.service /sys/fs/bpf/lbctl/web /run/lbctl/web.*; do
		[ ! -e "$path" ] || bad "left behind: $path"
	done
	pgrep -u nobody >/dev/null && bad "processes left behind: $(pgrep -a -u nobody)"
}

stop_web() {
	systemctl stop web || bad "stop failed"
	expect 'state after stop' "$(property web ActiveState) $(property web Result)" 'inactive success'
	expect_nothing_left
}

# Exactly the capabilities that the unit names, as a list of words.
unit_capabilities() {
	sed -n 's/^CapabilityBoundingSet=//p' $units/web.service | tr 'A-Z ' 'a-z\n' | sort
}
