# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash disable=SC1091 # read from its own folder
# what: HAProxy (leastconn, two threads) in front of a server per worker
# needs: haproxy
# program: demo
start() {
	local worker
	{
		cat <<-END
			global
				nbthread 2
				maxconn 4000
			defaults
				mode http
				timeout connect 5s
				timeout client 60s
				timeout server 60s
				retries 3
				option redispatch 1
				retry-on conn-failure empty-response
			listen bench
				bind 127.0.0.1:$BENCH_PORT
				balance leastconn
				http-reuse always
		END
		for ((worker = 0; worker < BENCH_WORKERS; worker++)); do
			echo "	server s$worker 127.0.0.1:$((BENCH_PORT + 1 + worker))"
		done
	} >"$BENCH_DIR/haproxy.cfg"
	for ((worker = 0; worker < BENCH_WORKERS; worker++)); do
		keep "$worker" "$BENCH_BUILD/lbctl-demo-worker" "${DEMO_OPTIONS[@]}" --listen "127.0.0.1:$((BENCH_PORT + 1 + worker))" &
	done
	exec haproxy -db -f "$BENCH_DIR/haproxy.cfg"
}
