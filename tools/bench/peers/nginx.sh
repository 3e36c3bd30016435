# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash disable=SC1091 # read from its own folder
# what: nginx, one shared socket with EPOLLEXCLUSIVE
# needs: nginx
# program: nginx
# can: reload
# cannot: slow hold
nginx_start() {
	cat >"$BENCH_DIR/nginx.conf" <<-END
		daemon off;
		worker_processes $BENCH_WORKERS;
		pid $BENCH_DIR/nginx.pid;
		error_log stderr crit;
		events {
			worker_connections 8192;
		}
		http {
			access_log off;
			keepalive_requests 1000000;
			client_body_temp_path $BENCH_DIR/b;
			proxy_temp_path $BENCH_DIR/p;
			fastcgi_temp_path $BENCH_DIR/f;
			uwsgi_temp_path $BENCH_DIR/u;
			scgi_temp_path $BENCH_DIR/s;
			server {
				listen 127.0.0.1:$BENCH_PORT $1;
				location / {
					add_header X-Worker \$pid;
					return 200 "worker \$pid pid \$pid\\n";
				}
			}
		}
	END
	nginx -p "$BENCH_DIR" -c "$BENCH_DIR/nginx.conf"
}

start() {
	nginx_start backlog=2048
}

reload() {
	kill -HUP "$(cat "$BENCH_DIR/nginx.pid")"
}
