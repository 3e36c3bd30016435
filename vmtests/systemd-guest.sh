#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Runs in the container or guest of systemd.sh, as a service of its systemd: units that `lbctl unit` printed
# are started, reloaded, restarted, killed and stopped, most of it under load. A test is a function;
# what it prints with `bad` is what is wrong. The last line is the totals.
set -u
export LC_ALL=C
cd /srv || exit 1

# shellcheck source=vmtests/systemd-guest-lib.sh
. "$(dirname "$0")/guest-lib" || exit 1

test_verify() {
	write_web
	lbctl unit --name rooted -n 2 --listen :80 -- app >$units/rooted.service
	lbctl unit --attach :8080 >$units/watched.service
	expect 'systemd-analyze verify' "$(systemd-analyze verify --man=no web.service rooted.service watched.service 2>&1)" ''
	for unit in web rooted watched; do
		systemd-analyze security --no-pager $unit.service 2>&1 | tail -n 1 | sed "s/^/    $unit: /"
	done
	rm $units/{rooted,watched}.service
}

# systemctl start returns when all workers serve; they have no capabilities, lbctl has few.
test_start() {
	local pid=
	start_web
	expect workers "$(pids | wc -w)" 4
	expect state "$(property web ActiveState)/$(property web SubState)" active/running
	expect status "$(property web StatusText)" '4 of 4 workers online'
	expect 'cgroups of workers' "$(worker_cgroups)" 4
	expect 'main process' "$(keeper)" "$(lbctl show web --json | jq .keeper.pid)"
	for pid in $(pids); do
		expect 'capabilities of a worker' "$(awk '/^Cap(Prm|Eff|Amb)/ { print $2 }' "/proc/$pid/status" | sort -u)" 0000000000000000
	done
	expect 'capabilities of lbctl' "$(property web CapabilityBoundingSet | tr ' ' '\n' | sort)" "$(unit_capabilities)"
	expect 'cgroup of a worker' "$(sed -n 's/^0:://p' "/proc/$pid/cgroup" | cut -d / -f 1-4)" /system.slice/web.service/lbctl-web
	# or neither lbctl nor the next one could be in the unit's own cgroup
	expect 'controllers below the unit' "$(cat /sys/fs/cgroup/system.slice/web.service/cgroup.subtree_control)" ''
	echo "    delegated: $(cat /sys/fs/cgroup/system.slice/web.service/cgroup.controllers)"
	systemctl status --no-pager web | sed -n '1,/^$/s/^/    | /p'
	stop_web
}

test_reload() {
	local before after i
	start_web
	before=$(pids)
	load_begin
	for i in 1 2 3; do
		systemctl reload web || bad "reload $i failed"
	done
	load_end
	after=$(pids)
	expect workers "$(wc -w <<<"$after")" 4
	for i in $before; do
		[[ " $after " != *" $i "* ]] || bad "pid $i is still there"
	done
	expect state "$(property web ActiveState)" active
	stop_web
}

# The new version ends at once: systemctl says so, the old one goes on.
test_reload_of_a_broken_version() {
	local before
	start_web
	before=$(pids)
	load_begin
	printf '#!/bin/sh\necho SyntaxError >&2\nexit 3\n' >/usr/local/bin/app
	systemctl reload web 2>/dev/null && bad "reload did not fail"
	load_end
	expect pids "$(pids)" "$before"
	expect state "$(property web ActiveState)" active
	write_app
	stop_web
}

# new_keepers HOW: three times under load, by HOW OLD-PID ROUND, a new lbctl, and the same workers.
new_keepers() {
	local before old i
	start_web
	before=$(pids)
	load_begin
	for i in 1 2 3; do
		old=$(keeper)
		"$1" "$old" "$i"
		[ "$(keeper)" != "$old" ] || bad "the same lbctl"
		expect pids "$(pids)" "$before"
	done
	load_end
	systemctl reload web || bad "reload afterwards failed"
	stop_web
}

restart_it() {
	systemctl restart web || bad "restart $2 failed"
	expect status "$(property web StatusText)" '4 of 4 workers online'
}

kill_it() {
	kill -KILL "$1"
	until_true is_back "$2"
}

# As the update of a package does it: to the other lbctl, back, and to it again.
exchange_it() {
	mv /usr/local/sbin/lbctl /tmp/lbctl
	mv /usr/local/sbin/lbctl-other /usr/local/sbin/lbctl
	mv /tmp/lbctl /usr/local/sbin/lbctl-other
	restart_it "$@"
}

test_restart() { new_keepers restart_it; }
test_upgrade_and_downgrade() { new_keepers exchange_it; }
test_kill() { new_keepers kill_it; }

# Workers inherit their stream to the journal from the first lbctl; it outlives that one.
test_journal() {
	local since worker
	start_web
	systemctl restart web
	kill -KILL "$(keeper)"
	until_true is_back 1
	sleep 1
	since=$(date +%s)
	for worker in 0 1 2 3; do
		until_true has_logged "$since" "worker $worker pid .* line"
	done
	expect 'identifiers of workers' "$(journalctl -q -o json -u web --since "@$since" --no-pager | jq -r 'select(.MESSAGE | startswith("worker")) | .SYSLOG_IDENTIFIER' | sort -u)" web
	journalctl -q -u web --no-pager | grep -q 'killed by SIGKILL' && bad "a worker died"
	stop_web
}

# A line is that of the worker whose process wrote it, by its cgroup; what follows ends with the service.
test_logs() {
	local follower
	start_web
	until_true has_logged 0 'worker 3 pid .* line 9'
	expect 'workers of lines' "$(lbctl logs web -n 1000 | sed -n 's/^\([0-9-]*\) | worker \([0-9]\) pid .*/\1\2/p' | sort -u | tr '\n' ' ')" \
		'00 11 22 33 '
	lbctl logs web -n 1000 | grep -q '^- | .*4 workers of' || bad "no line of lbctl's own"
	expect 'lines of one worker' "$(lbctl logs web 2 -n 3 | grep -c '^worker 2 pid ')" 3
	lbctl logs web 1 -f -n 0 >/tmp/logs &
	follower=$!
	until_true grep -q '^worker 1 pid ' /tmp/logs
	stop_web
	wait $follower || bad "logs -f ended with $?"
	grep -v '^worker 1 pid ' /tmp/logs && bad "lines of others"
}

# Stopped, so it answers no watchdog: systemd kills it and starts another one.
test_watchdog() {
	local before
	start_web
	set_lines WatchdogSec=2 TimeoutStopSec=2 TimeoutAbortSec=1 LimitCORE=0
	systemctl restart web
	before=$(pids)
	load_begin
	kill -STOP "$(keeper)"
	until_true is_back 1
	load_end
	expect pids "$(pids)" "$before"
	set_lines
	stop_web
}

# A worker that dies is started again, and all the while the unit is active.
test_worker_dies() {
	local before
	start_web
	before=$(pids)
	kill -KILL "${before##* }"
	until_true has web StatusText '3 of 4 workers online'
	until_true has web StatusText '4 of 4 workers online'
	expect 'other workers' "$(pids | cut -d ' ' -f 1-3)" "$(cut -d ' ' -f 1-3 <<<"$before")"
	expect state "$(property web ActiveState)" active
	stop_web
}

# Typed by hand, too, stop is stop.
test_lbctl_stop() {
	start_web
	lbctl stop web >/dev/null || bad "lbctl stop failed"
	until_true has web ActiveState inactive
	sleep 1.5
	expect state "$(property web ActiveState) $(property web NRestarts)" 'inactive 0'
	expect_nothing_left
}

# lbctl can't be asked, so ExecStopPost= ends the workers.
test_stop_of_a_stopped_lbctl() {
	start_web
	set_lines TimeoutStopSec=1
	kill -STOP "$(keeper)"
	systemctl stop web
	expect_nothing_left
	systemctl reset-failed web
	set_lines
}

# A shell of `lbctl run` dies with its workers alive: stop ends those.
test_stop_of_a_dead_lbctl() {
	start_web
	set_lines Restart=no
	systemctl restart web
	kill -KILL "$(keeper)"
	until_true has web ActiveState failed
	expect workers "$(pids | wc -w)" 4
	lbctl stop web >/dev/null || bad "lbctl stop failed"
	expect_nothing_left
	systemctl reset-failed web
	set_lines
}

# What never listens is not started, and a stop meanwhile ends it.
test_stop_while_it_starts() {
	begin_silent_web
	expect state "$(property web ActiveState)" activating
	stop_web
}

# Workers that never got ready make way for a version that does, by restart.
test_repair_by_restart() {
	begin_silent_web --ready-timeout 1000
	write_app
	systemctl restart web || bad "restart failed"
	expect workers "$(pids | wc -w)" 4
	stop_web
}

# A command that is not there is no reason to try for ever.
test_command_goes_away() {
	write_web
	rm /usr/local/bin/app
	systemctl start web 2>/dev/null && bad "start did not fail"
	sleep 1.5
	expect state "$(property web ActiveState) $(property web ExecMainStatus) $(property web NRestarts)" 'failed 127 0'
	systemctl reset-failed web
	expect_nothing_left
}

# The words that reach the worker are those that were typed.
# shellcheck disable=SC1003,SC2016 # quotes and dollars as they stand
test_quoting() {
	local -a words=('a b' '' '%n' '100%%' '$HOME' 'x${HOME}y' '$$' ';' '"' "it's" '\' 'a\nb' $'new\nline'
		$'\t\e' 'grüße €' '-n' '--' '@x' ' end ')
	cat >/usr/local/bin/app <<-'END'
		#!/bin/sh
		for word; do printf '%s\0' "$word"; done >/tmp/words
		exec lbctl-demo-worker --quiet --no-reuseport --listen :8080
	END
	chmod 755 /usr/local/bin/app
	mkdir -p '/srv/100% real'
	(cd '/srv/100% real' && lbctl unit --name web -n 1 -- app "${words[@]}" >$units/web.service)
	systemctl daemon-reload
	systemctl start web || bad "start failed"
	cmp /tmp/words <(printf '%s\0' "${words[@]}") || bad "other words: $(tr '\0' '|' </tmp/words)"
	expect directory "$(readlink "/proc/$(pids)/cwd")" '/srv/100% real'
	stop_web
	write_app
}

# lbctl apply, under load: each service is a unit, and what changes loses nothing.
test_apply() {
	local file=/srv/services.yaml unit=/run/systemd/system/lbctl@web.service before old
	write_app
	printf 'web:\n  command: app\n  n: 2\n  user: nobody\n' >$file
	lbctl apply $file || bad "apply failed"
	expect state "$(property lbctl@web ActiveState) $(property lbctl@web StatusText)" 'active 2 of 2 workers online'
	expect again "$(lbctl apply $file)" "$file: nothing to change; 1 service is as it says"
	before=$(pids)
	load_begin
	sed -i 's/n: 2/n: 3/' $file
	lbctl apply $file || bad "scale failed"
	expect 'workers that were there' "$(pids | cut -d ' ' -f 1,2)" "$before"
	before=$(pids) old=$(property lbctl@web MainPID)
	echo '  max-memory: 3G' >>$file
	lbctl apply $file || bad "another keeper failed"
	[ "$(property lbctl@web MainPID)" != "$old" ] || bad "the same keeper"
	expect 'the same workers' "$(pids)" "$before"
	kill -KILL "$(property lbctl@web MainPID)"
	until_true has lbctl@web NRestarts 1
	until_true has lbctl@web StatusText '3 of 3 workers online'
	expect 'the same workers after a crash' "$(pids)" "$before"
	echo '  instance-var: NUMBER' >>$file
	lbctl apply $file || bad "reload failed"
	[ "$(pids | wc -w) $(pids)" != "3 $before" ] || bad "the same workers after a reload"
	load_end
	expect again "$(lbctl apply $file)" "$file: nothing to change; 1 service is as it says"
	systemctl reload lbctl@web || bad "systemctl reload failed"
	lbctl logs web 1 -n 1 | grep -q '^worker 1 pid ' || bad "no logs"
	: >$file
	lbctl apply --prune $file || bad "prune failed"
	[ ! -e $unit ] || bad "left behind: $unit"
	expect_nothing_left
}

# Whatever a service is called, its unit is nobody else's.
test_apply_beside_a_unit_of_that_name() {
	local file=/srv/services.yaml exporter
	write_app
	(cd / && lbctl unit --export) >$units/lbctl-export.service || bad 'no unit'
	systemctl daemon-reload
	systemctl start lbctl-export || bad "start failed"
	exporter=$(property lbctl-export MainPID)
	printf 'export:\n  command: app\n  n: 2\n  user: nobody\n' >$file
	lbctl apply $file || bad "apply failed"
	expect workers "$(lbctl show export --json | jq '.workers | length')" 2
	expect exporter "$(property lbctl-export MainPID)" "$exporter"
	: >$file
	lbctl apply --prune $file || bad "prune failed"
	expect 'exporter after the end' "$(property lbctl-export MainPID)" "$exporter"
	systemctl stop lbctl-export
	rm $units/lbctl-export.service
	systemctl daemon-reload
	expect_nothing_left
}

# `unit --attach`: steers a server that another unit starts, across all that happens to both.
test_attach() {
	local i old
	cat >$units/server@.service <<-END
		[Service]
		ExecStart=/usr/local/sbin/lbctl-demo-worker --quiet --listen :9090
	END
	lbctl unit --attach :9090 >$units/web.service
	systemctl daemon-reload
	systemctl start web || bad "start without a server failed"
	expect state "$(property web ActiveState)" active
	systemctl start server@{0,1,2,3}
	url=http://127.0.0.1:9090/
	until_true has web StatusText '4 workers of lbctl-demo-work'
	load_begin
	systemctl restart web || bad "restart failed"
	old=$(keeper)
	kill -KILL "$old"
	until_true has web NRestarts 1
	until_true has web StatusText '4 workers of lbctl-demo-work'
	load_end
	url=http://127.0.0.1:8080/
	expect listeners "$(lbctl show tcp-9090 --json | jq -c '[.listeners[].steering]')" '[true]'
	systemctl stop web
	expect 'steering after stop' "$(lbctl show tcp-9090 --json | jq -c '[.listeners[].steering]')" '[true]'
	lbctl detach tcp-9090 >/dev/null
	systemctl stop 'server@*'
}

# The workers of web that an export says are up
exported() {
	curl -qsS "$@" | grep -c '^lbctl_worker_up{service="web",.*} 1$'
}

# Shut in as the unit has it, it sees all, and can change what it is asked to.
test_export() {
	local token=a-word-of-24-letters-xyz
	start_web
	mkdir -p /etc/lbctl
	echo $token >/etc/lbctl/token
	chmod 600 /etc/lbctl/token
	(cd / && lbctl unit --export -- --listen 127.0.0.1:9190,127.0.0.1:90,unix:/run/lbctl-export/http \
		--allow-changes --token-file /etc/lbctl/token) >$units/export.service || bad 'no unit'
	systemctl daemon-reload
	systemctl start export || bad "start failed: $(journalctl -q -u export --no-pager -n 5)"
	expect 'workers, over TCP' "$(exported http://127.0.0.1:9190/metrics)" 4
	expect 'workers, over a port below 1024' "$(exported http://127.0.0.1:90/metrics)" 4
	expect 'workers, over a Unix socket' \
		"$(exported --unix-socket /run/lbctl-export/http http://localhost/metrics)" 4
	expect readable "$(curl -qsS http://127.0.0.1:9190/metrics | grep '^lbctl_service_readable')" \
		'lbctl_service_readable{service="web"} 1'
	expect drained "$(curl -qsS -o /dev/null -w '%{http_code}' -X POST -d '{}' -H "Authorization: Bearer $token" \
		-H 'Content-Type: application/json' http://127.0.0.1:9190/api/services/web/workers/1/drain)" 200
	expect state "$(lbctl show web --json | jq -r '.workers[1].state')" draining
	expect events "$(timeout 5 curl -qsSN http://127.0.0.1:9190/api/events | grep -c '"event":"drain"')" 1
	systemctl stop export
	expect 'after stop' "$(property export ActiveState) $(property export Result)" 'inactive success'
	systemctl stop web
}

# --- all of them ---

main() {
	local name passed=0 failed=0 names=("$@")
	[ $# -gt 0 ] || mapfile -t names < <(declare -F | awk '$3 ~ /^test_/ { print $3 }')
	echo "$(systemctl --version | head -n 1), Linux $(uname -r)"
	for name in "${names[@]}"; do
		problems=0
		"$name"
		if [ $problems = 0 ]; then
			echo "PASS $name"
			passed=$((passed + 1))
		else
			echo "FAIL $name"
			failed=$((failed + 1))
			journalctl -q -u web --no-pager -n 40 | sed 's/^/    | /'
			systemctl kill --kill-whom=all -s KILL web 2>/dev/null
			systemctl stop web 2>/dev/null
			systemctl reset-failed 2>/dev/null
			rm -rf $units/web.service.d /run/lbctl /sys/fs/bpf/lbctl/*
		fi
	done
	echo "$passed passed, $failed failed"
}
main "$@"
