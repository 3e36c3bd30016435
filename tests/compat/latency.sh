#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# latency.sh [SERVER...]: what latency=on measures beside what clients do that are not ours to bend: wrk
# and lb-bench load, with a connection for each request and with kept ones. Servers, each as four workers
# of `lbctl run` in namespaces of its own: the demo worker, nginx by HTTP and by TLS 1.2 and 1.3, Node.js
# that waits by a timer and that blocks. Worker 1 takes 50 ms for a request, the others 5. wrk does not
# know which worker answered, so each worker has the service for itself while the others are drained.
#
# A row is ok where p50 is within 5 % of the client's, p99 in the same bucket (four for each power of two)
# or the one beside it, and requests and connections are as many as the client's. One that is not is measured
# once more, as four late wake-ups are a p99. Needs root, after `make` and `tools/deps.sh test compat`; a
# minute for each server. Exit status: 0 all rows are ok (a server that can't be had here is listed and is no
# pass).
#
# What the two do not measure alike, and what is done about it:
# - A client's time goes on until it reads the answer, the kernel's ends as that is sent. The difference is
#   a wake-up of the client, and whatever its one thread does just then: so clients and servers have the
#   CPUs before others (SCHED_RR), and there is one client at a time where the worker does not block.
# - lbctl knows of a bucket how many it has and their mean, so p50 of times that are spread over a fourth is
#   not exact: nginx, which counts in whole milliseconds, takes 4 to 5 ms for each of several at a time, and
#   5 ms is near a bound (5.24).
# - lb-bench begins with connect(), the kernel with the request's first byte: over the loopback device some
#   50 us. wrk begins with the request, by HTTPS after the handshake.
# - Waiting for accept() is within both, as the kernel takes the request in while the worker has not
#   accepted yet: four clients of a worker that blocks wait for each other's requests.
# - wrk adds requests that it thinks it would have sent, had it not waited (coordinated omission), for each
#   that took more than twice the mean. Where all workers answer it would do so for those of the slow one;
#   at one worker all take the same. lb-bench in its closed loop adds none.
# - wrk sends until its time is over, and leaves requests without an answer: so_many.lua ends it in time.
# shellcheck disable=SC2317 # server_NAME() is called by name
set -u -o pipefail
cd "$(dirname "$0")/../.." || exit 1

service=compat
# shellcheck source=tests/compat/lib.sh
. tests/compat/lib.sh
build=${LBCTL_BUILD:-$repo/build}
port=8080
workers=4
slow_worker=1
slow_ms=50
fast_ms=5

# --- the servers: set `command`, or return 1 with `missing`; `scheme` is http and `clients` 1 otherwise ----

server_demo() {
	clients=4
	command=("$build/lbctl-demo-worker" --quiet --listen "127.0.0.1:$port" --sleep-us "${fast_ms}000"
		--slow "$slow_worker:${slow_ms}000")
}

ms_of() { # WORKER
	[ "$1" = $slow_worker ] && echo $slow_ms || echo $fast_ms
}

# One for each worker, as nothing in its configuration is a worker's own.
nginx_with() { # LISTEN-OPTIONS [PROTOCOL]
	local module=/usr/lib/nginx/modules/ngx_http_echo_module.so worker
	needs nginx || return 1
	# shellcheck disable=SC2178 # a string, as in needs()
	[ -e $module ] || { missing=${module##*/} && return 1; }
	for ((worker = 0; worker < workers; worker++)); do
		cat >"nginx-$worker.conf" <<-END
			load_module $module;
			daemon off;
			worker_processes 1;
			pid nginx-$worker.pid;
			error_log stderr;
			events {}
			http {
				access_log off;
				server {
					listen 127.0.0.1:$port $1;
					ssl_protocols ${2:-TLSv1.3};
					ssl_certificate cert.pem;
					ssl_certificate_key key.pem;
					location / { echo_sleep $(printf 0.%03d "$(ms_of $worker)"); echo hello; }
				}
			}
		END
	done
	# shellcheck disable=SC2016 # the worker's shell
	command=(sh -c 'exec nginx -p . -c nginx-$LBCTL_WORKER.conf')
}

make_certificate() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test \
		-keyout key.pem -out cert.pem 2>/dev/null
}

server_nginx() {
	make_certificate && nginx_with ''
}

server_nginx_tls12() {
	scheme=https
	make_certificate && nginx_with ssl TLSv1.2
}

server_nginx_tls13() {
	scheme=https
	make_certificate && nginx_with ssl TLSv1.3
}

node_by() { # HOW
	local worker times=()
	needs node || return 1
	for ((worker = 0; worker < workers; worker++)); do
		times+=("$(ms_of $worker)")
	done
	command=(node "$tests/apps/waits.js" "$1" "$port" "${times[@]}")
}

server_node_timer() {
	node_by timer
}

server_node_blocking() {
	clients=4
	node_by blocking
}

# --- the clients: set `client_p50` and `client_p99` in us, `requests`, `connections`, `failed` -------------

# It opens one first to see whether that can be done; of those that it closes, each is replaced, in the end
# by one that has no request any more.
client_wrk() { # MODE REQUESTS
	local header=() word
	connections=$((clients + 1))
	[ "$1" = kept ] || { header=(-H 'Connection: close') && connections=$(($2 + clients + 1)); }
	wrk -t 1 -c "$clients" -d 120 --latency -s "$tests/apps/so_many.lua" "${header[@]}" "$url" -- "$2" >"$work/wrk"
	read -r word client_p50 client_p99 requests failed < <(grep ^measured "$work/wrk")
	[ "$word" = measured ] || bad "wrk: $(tail -n 1 "$work/wrk")"
}

# Knows no HTTPS.
client_lb_bench() { # MODE REQUESTS
	local kept=()
	[ "$1" = each ] || kept=(-k)
	"$build/lb-bench" load -q -c "$clients" -r $(($2 / clients)) "${kept[@]}" --json "$url" >"$work/lb-bench"
	read -r client_p50 client_p99 requests connections failed < <(jq -r '[.percentiles_ms.p50 * 1000,
		.percentiles_ms.p99 * 1000, .transactions, .connections, .failed] | map(tostring) | join(" ")' "$work/lb-bench")
}

# --- a worker by itself -----------------------------------------------------------------------------------

tell() {
	"$lbctl" "$@" >"$work/told" 2>&1 || bad "$1: $(tail -n 1 "$work/told")"
}

only_worker() { # WORKER
	local other
	tell resume compat "$1"
	for ((other = 0; other < workers; other++)); do
		[ "$other" = "$1" ] || tell drain compat "$other"
	done
}

# From zero: what was measured before goes with it.
measure_anew() {
	tell set compat latency=off
	tell set compat latency=on
}

# measured JQ: of all workers, as those that are drained are to have nothing
measured() {
	show | jq -r "[.workers[].latency | $1] | add"
}

all_have_ended() { # CONNECTIONS
	[ "$(measured .lifetime.count)" -ge "$1" ]
}

check_counts() {
	local got
	until_true 10 all_have_ended "$connections" || true
	got="$(measured .first_byte.count) requests, $(measured .lifetime.count) connections, $(measured .wait.count) accepted"
	[ "$got" = "$requests requests, $connections connections, $connections accepted" ] ||
		bad "measured $got, of the client's $requests requests, $connections connections"
	[ "$failed" = 0 ] || bad "$failed requests failed"
}

# check_times P50 P99 CLIENT-P50 CLIENT-P99, in us
check_times() {
	local wrong
	wrong=$(awk -v p50="$1" -v p99="$2" -v client50="$3" -v client99="$4" '
		function bucket(us,	i, n, base) {
			for (base = 4.096; ; base *= 2)
				for (i = 4; i < 8; i++) {
					if (us < base * i / 4)
						return n
					n++
				}
		}
		BEGIN {
			if (p50 < 0.95 * client50 || p50 > 1.05 * client50)
				print "p50 off"
			if (bucket(p99) - bucket(client99) > 1 || bucket(client99) - bucket(p99) > 1)
				print "p99 off"
		}')
	[ -z "$wrong" ] || bad "${wrong//$'\n'/, }"
}

in_ms() { # US
	awk -v us="$1" 'BEGIN { printf "%.3f", us / 1000 }'
}

# One row; returns whether it is ok.
compare() { # CLIENT MODE WORKER
	local p50 p99
	problems=() client_p50=0 client_p99=0 requests=0 connections=0 failed=0
	only_worker "$3"
	measure_anew
	"client_$1" "$2" "$([ "$3" = $slow_worker ] && echo 100 || echo 400)"
	check_counts
	p50=$(show | jq ".workers[$3].latency.first_byte.p50_us")
	p99=$(show | jq ".workers[$3].latency.first_byte.p99_us")
	check_times "$p50" "$p99" "$client_p50" "$client_p99"
	printf '%-13s %-8s %-5s %6s %9s %8s %9s %8s %9s  %s\n' "$name" "$1" "$2" "$3" "$(in_ms "$p50")" \
		"$(in_ms "$client_p50")" "$(in_ms "$p99")" "$(in_ms "$client_p99")" "$requests" "${problems[0]:-ok}"
	tell_problems
}

# --- a server ---------------------------------------------------------------------------------------------

compare_all() {
	local client mode worker result=0
	for client in wrk lb_bench; do
		[ $client = wrk ] || [ $scheme = http ] || continue
		for mode in each kept; do
			for ((worker = 0; worker < workers; worker++)); do
				compare $client $mode $worker || compare $client $mode $worker || result=1
			done
		done
	done
	return $result
}

run_one() {
	local run result
	name=$1 scheme=http clients=1 command=()
	enter
	chrt --rr --pid 1 $$ || true
	"server_$name" || { echo "$name: missing: ${missing:-it can not be built here}" && exit 77; }
	url=$scheme://127.0.0.1:$port/
	"$lbctl" run -n $workers --name compat --policy rr -- "${command[@]}" >run.log 2>&1 &
	run=$!
	until_true 30 are_up $workers || { echo "$name: not up: $(tail -n 2 run.log)" && return 1; }
	# four requests of 50 ms, one after the other, are no stall
	tell set compat stall_ms=0 rescue_ms=0
	compare_all
	result=$?
	timeout 60 "$lbctl" stop compat >stop.log 2>&1
	wait $run
	return $result
}

main() {
	local names=("$@")
	need_root
	[ $# -gt 0 ] || mapfile -t names < <(declare -F | sed -n 's/^declare -f server_//p')
	printf '%-13s %-8s %-5s %6s %18s %18s %9s\n' '' '' '' '' 'p50, ms: kernel' 'p99, ms: kernel' ''
	printf '%-13s %-8s %-5s %6s %9s %8s %9s %8s %9s\n' server client conn. worker '' client '' client requests
	each_in_namespaces 240 "${names[@]}"
}

if [ "${1-}" = --one ]; then
	run_one "$2"
else
	main "$@"
fi
