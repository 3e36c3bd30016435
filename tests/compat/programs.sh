# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash disable=SC2034,SC2154,SC2317 # shared with run.sh
# The programs of run.sh: program_NAME, in an empty directory that is gone afterwards, writes what
# the program needs and sets `version`, `command` and `options` (of lbctl run), or returns 1 with
# `missing`. It serves on 127.0.0.1:$port: / at once, /slow after 300 ms; proxies ask the server on
# $backend for both. ask() sends one request, "fast" or "slow", for those that don't speak HTTP.

ask() {
	local path=
	[ "$1" = fast ] || path=slow
	curl -fsS --max-time 20 "http://127.0.0.1:$port/$path"
}

# --- servers of static files, and proxies ---

program_nginx() {
	needs nginx || return 1
	version=$(version_of nginx -v)
	cat >nginx.conf <<-END
		daemon off;
		worker_processes 1;
		error_log stderr;
		events {}
		http {
			access_log off;
			server {
				listen 127.0.0.1:$port;
				location / { return 200 "hello\n"; }
				location /slow { proxy_pass http://127.0.0.1:$backend; }
			}
		}
	END
	# shellcheck disable=SC2016 # the worker's shell
	command=(sh -c 'exec nginx -p . -c nginx.conf -g "pid nginx-$LBCTL_INSTANCE.pid;"')
}

program_haproxy() {
	needs haproxy || return 1
	version=$(version_of haproxy -v)
	cat >haproxy.cfg <<-END
		global
			nbthread 1
		defaults
			mode http
			timeout connect 5s
			timeout client 10s
			timeout server 10s
		frontend front
			bind 127.0.0.1:$port
			default_backend back
		backend back
			server one 127.0.0.1:$backend
	END
	command=(haproxy -W -db -f haproxy.cfg)
}

program_caddy() {
	needs caddy || return 1
	version=$(version_of caddy version)
	cat >Caddyfile <<-END
		{
			admin off
			auto_https off
		}
		http://127.0.0.1:$port {
			bind 127.0.0.1
			reverse_proxy 127.0.0.1:$backend
		}
	END
	command=(caddy run --config Caddyfile --adapter caddyfile)
}

# It insists on a file for its pid.
program_apache2() {
	needs apache2 || return 1
	version=$(version_of apache2 -v)
	cat >apache.conf <<-END
		ServerRoot "$PWD"
		ServerName localhost
		User nobody
		Group nogroup
		Listen 127.0.0.1:$port
		PidFile "$PWD/apache-\${LBCTL_INSTANCE}.pid"
		Mutex file:$PWD
		LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
		LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
		LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
		LoadModule proxy_http_module /usr/lib/apache2/modules/mod_proxy_http.so
		ErrorLog /dev/stderr
		ProxyPass / http://127.0.0.1:$backend/
		GracefulShutdownTimeout 5
	END
	command=(apache2 -D FOREGROUND -f "$PWD/apache.conf")
}

program_varnish() {
	needs varnishd || return 1
	version=$(version_of varnishd -V)
	# shellcheck disable=SC2016
	command=(sh -c 'exec varnishd -F -n "$PWD/varnish-$LBCTL_INSTANCE" -T none -a 127.0.0.1:'"$port -b 127.0.0.1:$backend -s malloc,16m")
}

program_php_fpm() {
	needs php-fpm8.2 && needs cgi-fcgi || return 1
	version=$(version_of php-fpm8.2 -v)
	cat >fpm.conf <<-END
		[global]
		daemonize = no
		error_log = /dev/stderr
		process_control_timeout = 5s
		[www]
		listen = 127.0.0.1:$port
		user = nobody
		pm = static
		pm.max_children = 4
	END
	# shellcheck disable=SC2016,SC2028 # PHP's
	echo '<?php if ($_SERVER["QUERY_STRING"] === "slow") usleep(300000); echo "hello\n";' >app.php
	command=(php-fpm8.2 -n -F -y "$PWD/fpm.conf")
	ask() {
		SCRIPT_FILENAME=$work/app.php REQUEST_METHOD=GET QUERY_STRING=$1 \
			timeout 20 cgi-fcgi -bind -connect "127.0.0.1:$port" | grep hello
	}
}

# --- Python ---

python_apps() {
	cp "$tests/apps/app.py" .
}

program_gunicorn() {
	needs gunicorn || return 1
	version=$(version_of gunicorn --version)
	python_apps
	command=(gunicorn -w 2 -b "127.0.0.1:$port" app:wsgi)
}

program_uvicorn() {
	needs uvicorn || return 1
	version=$(version_of uvicorn --version)
	python_apps
	command=(uvicorn --host 127.0.0.1 --port "$port" --log-level warning app:asgi)
}

program_hypercorn() {
	needs hypercorn || return 1
	version=$(dpkg-query -W -f '${Version}' python3-hypercorn)
	python_apps
	command=(hypercorn -w 2 -b "127.0.0.1:$port" app:asgi)
}

# --- Ruby ---

ruby_apps() {
	cp "$tests/apps/config.ru" .
}

program_puma() {
	needs puma || return 1
	version=$(version_of puma --version)
	ruby_apps
	command=(puma -w 2 -t 4:4 -e production -b "tcp://127.0.0.1:$port" config.ru)
}

program_unicorn() {
	needs unicorn || return 1
	version=$(version_of unicorn --version)
	ruby_apps
	echo 'worker_processes 4' >unicorn.rb
	command=(unicorn -c unicorn.rb -E none -l "127.0.0.1:$port" config.ru)
}

# --- JavaScript ---

node_app() {
	needs node || return 1
	version=$(version_of node --version)
	cp "$tests/apps/app.js" .
}

program_node_http() {
	node_app || return 1
	command=(node app.js)
}

program_node_cluster() {
	node_app || return 1
	cp "$tests/apps/cluster.js" .
	command=(node cluster.js)
}

program_npm_start() {
	needs npm && node_app || return 1
	echo '{ "name": "app", "version": "1.0.0", "scripts": { "start": "node app.js" } }' >package.json
	command=(npm start --silent)
}

fetch_bun() { npm_into "$cache" @oven/bun-linux-x64; }
program_bun() {
	local bun=$cache/node_modules/@oven/bun-linux-x64/bin/bun
	needs "$bun" || return 1
	version=$(version_of "$bun" --version)
	cp "$tests/apps/app.js" .
	command=("$bun" app.js)
}

fetch_deno() { npm_into "$cache" @deno/linux-x64-glibc; }
program_deno() {
	local deno=$cache/node_modules/@deno/linux-x64-glibc/deno
	needs "$deno" || return 1
	version=$(version_of "$deno" --version)
	cp "$tests/apps/deno.js" .
	command=("$deno" run -A deno.js)
}

# --- compiled ---

program_go() {
	needs go || return 1
	version=$(version_of go version)
	GOCACHE=$PWD/cache CGO_ENABLED=0 go build -o app "$tests/apps/app.go" || return 1
	command=(./app)
}

program_rust() {
	needs rustc || return 1
	version=$(version_of rustc --version)
	rustc -O -o app "$tests/apps/app.rs" || return 1
	command=(./app)
}

program_java() {
	needs javac || return 1
	version=$(version_of javac -version)
	javac -d . "$tests/apps/App.java" || return 1
	command=(java -Xmx64m -cp . App)
}

# --- no HTTP ---

program_redis() {
	needs redis-server && needs redis-cli || return 1
	version=$(version_of redis-server --version)
	command=(redis-server --port "$port" --bind 127.0.0.1 --save '' --appendonly no)
	ask() {
		local words=(PING)
		[ "$1" = fast ] || words=(BLPOP none 0.3)
		timeout 20 redis-cli -e -p "$port" "${words[@]}"
	}
}

program_unbound() {
	needs unbound && needs dig || return 1
	version=$(version_of unbound -V)
	cat >unbound.conf <<-END
		server:
			interface: 127.0.0.1@$port
			do-tcp: no
			do-daemonize: no
			use-syslog: no
			chroot: ""
			directory: "$PWD"
			username: ""
			pidfile: ""
			num-threads: 1
			so-reuseport: no
			local-zone: "test." static
			local-data: "hello.test. A 192.0.2.1"
		remote-control:
			control-enable: no
	END
	options=(--port "udp/$port")
	command=(unbound -d -c unbound.conf)
	ask() {
		dig +tries=1 +time=5 +short -p "$port" @127.0.0.1 hello.test | grep 192.0.2.1
	}
}
