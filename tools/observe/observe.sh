#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# observe.sh: Prometheus looks at a service that lbctl steers, with the scrape config and the alert rules
# beside this file, in network, mount and pid namespaces of its own: when the script ends all of it is
# gone. Prints what queries of the dashboard answer, and which alerts fire: a worker that stops
# accepting is to be one. Called by `make observe` as root. Exit status: 0 if it all was so, 124 if there
# was no end in time, else 1.
#
# shellcheck disable=SC2016,SC2317 # what Grafana puts in the place of $service; what wait_until calls
set -euo pipefail
cd "$(dirname "$0")/../.."
export LC_ALL=C

build=$PWD/${LBCTL_BUILD:-build}
lbctl=$build/lbctl
here=$PWD/tools/observe
limit_sec=150
dir=/run/lbctl-observe
status=0

enter_own_world() {
	if [ "$(id -u)" != 0 ]; then
		echo "observe.sh: needs root (namespaces, BPF); run: sudo make observe" >&2
		exit 1
	fi
	exec timeout --foreground --kill-after=1 $limit_sec \
		unshare --net --mount --pid --fork --kill-child --mount-proc \
		env -i PATH="$PATH" LBCTL_BUILD="${LBCTL_BUILD:-build}" tools/observe/observe.sh --inside
}

wrong() {
	echo "observe.sh: NOT AS PROMISED: $*" >&2
	status=1
}

wait_until() { # SECONDS COMMAND...
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		if [ $SECONDS -ge $end ]; then
			wrong "waited in vain for: $*"
			return
		fi
		sleep 0.2
	done
}

start_all() {
	mount -t bpf -o mode=0700 bpf /sys/fs/bpf
	mount -t tmpfs -o mode=0755 tmpfs /run
	mkdir "$dir"
	ip link set lo up
	"$lbctl" run --name web -n 4 --policy rr -- "$build/lbctl-demo-worker" --listen 127.0.0.1:8080 --quiet >"$dir/web" 2>&1 &
	wait_until 20 is_up
	"$lbctl" set web latency=on >/dev/null
	"$lbctl" export >"$dir/export" 2>&1 &
	prometheus --config.file="$here/prometheus.yml" --storage.tsdb.path="$dir/data" \
		--web.listen-address=127.0.0.1:9090 --log.level=error >"$dir/prometheus" 2>&1 &
	load &
}

is_up() {
	[ "$("$lbctl" show web --json 2>/dev/null | jq '[.workers[] | select(.state == "up")] | length')" = 4 ]
}

load() {
	while :; do
		curl -qsS --noproxy '*' --max-time 5 -H 'Connection: close' "http://127.0.0.1:8080/?[1-40]" >/dev/null 2>&1 || true
		sleep 0.5
	done
}

# query EXPRESSION: "labels value", a line each
query() {
	curl -qsS --noproxy '*' --data-urlencode "query=$1" http://127.0.0.1:9090/api/v1/query |
		jq -r '.data.result[] | ([.metric.service, .metric.worker, .metric.policy] | map(select(.)) | join(" ")) + "  " + .value[1]'
}

scraped() {
	[ "$(query 'count_over_time(up{job="lbctl"}[1m])' 2>/dev/null | awk '{ print ($1 >= 8) }')" = 1 ]
}

# The dashboard's expression of that title, as Grafana would ask it
of_panel() {
	jq -r --arg title "$1" '.panels[] | select(.title == $title).targets[0].expr' "$here/grafana.json" |
		sed 's/\$__rate_interval/20s/g; s/\$service/.*/g'
}

# In the text format, too, which promtool reads; Prometheus itself asks for OpenMetrics.
check_metrics() {
	local said
	said=$(curl -qsS --noproxy '*' http://127.0.0.1:9190/metrics | promtool check metrics 2>&1) || wrong "promtool: $said"
}

show_panels() {
	local title answer
	while read -r title; do
		answer=$(query "$(of_panel "$title")")
		printf '%s\n' "$title" "${answer:-  nothing}" | sed '2,$s/^/    /'
		[ -n "$answer" ] || wrong "no answer for: $title"
	done <<-END
		Connections/s
		Connections/s of each worker
		Spread: largest over mean
		Memory
		Policy
	END
}

fires() {
	curl -qsS --noproxy '*' http://127.0.0.1:9090/api/v1/alerts | jq -e --arg name "$1" '
		.data.alerts[] | select(.labels.alertname == $name and .state == "firing")' >/dev/null
}

# While it is stopped, its connections go to the others.
stop_one() {
	local pid
	pid=$("$lbctl" show web --json | jq '.workers[2].pid')
	kill -STOP "$pid"
	wait_until 60 fires LbctlWorkerStalled
	! fires LbctlWorkerStalled || echo "worker 2 stopped accepting: alert LbctlWorkerStalled fires"
	kill -CONT "$pid"
}

main() {
	start_all
	wait_until 60 scraped
	echo "Prometheus has scraped lbctl export for some seconds; what panels of the dashboard show:"
	show_panels
	check_metrics
	stop_one
	"$lbctl" stop web >/dev/null
	echo "For your own Prometheus: tools/observe/prometheus.yml and rules.yml; for Grafana: grafana.json"
	exit $status
}

if [ "${1-}" = --inside ]; then
	main
else
	enter_own_world
fi
