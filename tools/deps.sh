#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# deps.sh GROUP...: makes sure that what the groups (build, test, vm, bench, observe, compat, fuzz, lint) need is there.
# Silent when it is; else names what is missing and installs it with apt-get (Debian, Ubuntu; as root).
# A package is there when what it is wanted for is (command, header, module), however it was installed.
set -euo pipefail

PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
policy=/usr/sbin/policy-rc.d
saved=$policy.before-lbctl
forbidding=
machine=$(uname -m)

# package, then the command, header (ends in .h), library of clang (.a) or module of Python (.py) that
# we want it for
packages_of() {
	case $1 in
	build) cat <<-END ;;
		make make
		gcc gcc
		libc6-dev stdio.h
		clang clang
		llvm llvm-strip
		bpftool bpftool
		libbpf-dev bpf/libbpf.h
		libelf-dev libelf.h
		zlib1g-dev zlib.h
		libjansson-dev jansson.h
		libsystemd-dev systemd/sd-event.h
		libmicrohttpd-dev microhttpd.h
		libncurses-dev curses.h
		libyaml-dev yaml.h
		pkg-config pkg-config
	END
	test) cat <<-END ;;
		libcmocka-dev cmocka.h
		nginx-light nginx
		nodejs node
		siege siege
		wrk wrk
		unbound unbound
		dnsperf dnsperf
		nftables nft
		iproute2 ss
		procps ps
		curl curl
		strace strace
		python3 python3
		python3-jsonschema jsonschema.py
		gnuplot-nox gnuplot
		jq jq
		gawk gawk
		util-linux unshare
		patch patch
		tmux tmux
	END
	vm) cat <<-END ;;
		qemu-system-x86 qemu-system-x86_64
		xz-utils xz
	END
	bench) cat <<-END ;;
		gunicorn gunicorn
		nodejs node
		npm npm
		nginx-light nginx
		haproxy haproxy
		siege siege
		wrk wrk
		apache2-utils ab
		gnuplot-nox gnuplot
		python3 python3
		jq jq
		util-linux unshare
	END
	observe) cat <<-END ;;
		prometheus prometheus
		prometheus promtool
	END
	compat) cat <<-END ;;
		nginx-light nginx
		haproxy haproxy
		caddy caddy
		apache2 apache2
		varnish varnishd
		php-fpm php-fpm8.2
		libfcgi-bin cgi-fcgi
		gunicorn gunicorn
		uvicorn uvicorn
		python3-hypercorn hypercorn
		puma puma
		unicorn unicorn
		nodejs node
		npm npm
		golang-go go
		ruby ruby
		rustc rustc
		default-jdk-headless javac
		redis-server redis-server
		redis-tools redis-cli
		unbound unbound
		bind9-dnsutils dig
		python3 python3
		curl curl
		jq jq
		util-linux unshare
	END
	fuzz) cat <<-END ;;
		libclang-rt-dev libclang_rt.fuzzer-$machine.a
		libcmocka-dev cmocka.h
		llvm llvm-cov
		llvm llvm-profdata
	END
	lint) cat <<-END ;;
		clang-format clang-format
		cppcheck cppcheck
		shellcheck shellcheck
		codespell codespell
		mandoc mandoc
		groff-base groff
	END
	*)
		echo "deps.sh: unknown group '$1': build, test, vm, bench, observe, compat, fuzz or lint" >&2
		exit 2
		;;
	esac
}

has_header() {
	local dir
	for dir in /usr/include /usr/local/include /usr/include/*-linux-gnu*; do
		[ -e "$dir/$1" ] && return 0
	done
	return 1
}

is_there() {
	case $1 in
	*.h) has_header "$1" ;;
	*.a) [ -e "$(clang -print-file-name="$1" 2>/dev/null)" ] ;;
	*.py) python3 -c "import ${1%.py}" 2>/dev/null ;;
	*) command -v "$1" >/dev/null ;;
	esac
}

find_missing() {
	local group package wanted
	for group in "$@"; do
		while read -r package wanted; do
			is_there "$wanted" || missing+=("$package")
		done < <(packages_of "$group")
	done
}

# Ubuntu has bpftool in its kernel tools.
name_for_this_release() {
	local i found
	found=$(LC_ALL=C apt-cache policy bpftool)
	case $found in
	*'Candidate: '[0-9]*) return ;;
	esac
	for i in "${!missing[@]}"; do
		[ "${missing[i]}" != bpftool ] || missing[i]=linux-tools-generic
	done
}

# Packages must not start a server on this host: while apt-get runs, policy-rc.d forbids it. What
# was there before is put back, whatever ends this script; should it be killed, its file allows
# everything from then on.
forbid_services() {
	trap restore_services EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	if [ -e "$policy" ] && [ ! -e "$saved" ]; then
		mv "$policy" "$saved"
	fi
	forbidding=yes
	printf '#!/bin/sh\nkill -0 %d 2>/dev/null && exit 101\nexit 0\n' $$ >"$policy"
	chmod 755 "$policy"
}

restore_services() {
	if [ -e "$saved" ]; then
		mv -f "$saved" "$policy"
	elif [ -n "$forbidding" ]; then
		rm -f "$policy"
	fi
}

# ... nor at the next boot, when it was us who brought it.
disable_new() {
	if command -v systemctl >/dev/null; then
		systemctl disable --quiet "$1.service" >/dev/null 2>&1 || true
	fi
	update-rc.d "$1" disable >/dev/null 2>&1 || true
}

install_missing() {
	export DEBIAN_FRONTEND=noninteractive
	local apt=(apt-get -q -y -o Dpkg::Use-Pty=0) package
	"${apt[@]}" update </dev/null
	name_for_this_release
	forbid_services
	"${apt[@]}" install --no-install-recommends "${missing[@]}" </dev/null
	for package in "${missing[@]}"; do
		case $package in
		nginx-light) disable_new nginx ;;
		php-fpm) disable_new php8.2-fpm ;;
		unbound | haproxy | caddy | prometheus | apache2 | varnish | redis-server) disable_new "$package" ;;
		esac
	done
}

missing=()
for group in "$@"; do
	packages_of "$group" >/dev/null
done
find_missing "$@"
[ ${#missing[@]} -gt 0 ] || exit 0

echo "missing packages: ${missing[*]}"
if ! command -v apt-get >/dev/null; then
	echo "deps.sh: can't install them: this is not Debian or Ubuntu; install what those Debian packages hold" >&2
	exit 1
fi
if [ "$(id -u)" != 0 ]; then
	echo "deps.sh: can't install them: not root; run: sudo apt-get install ${missing[*]}" >&2
	exit 1
fi
install_missing

missing=()
hash -r
find_missing "$@"
if [ ${#missing[@]} -gt 0 ]; then
	echo "deps.sh: still missing after the installation: ${missing[*]}" >&2
	exit 1
fi
