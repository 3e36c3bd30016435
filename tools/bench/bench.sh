#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# bench.sh quick|full BUILD OUT: what `make bench` and `make bench-full` run (root). Results, pictures
# and report.html go to OUT; the last line is the path of the report. quick leaves out peers that
# say little beside others, and takes as many rounds as some 10 minutes on 2 CPUs allow.
set -eu

if [ $# != 3 ]; then
	echo "usage: bench.sh quick|full BUILD OUT" >&2
	exit 2
fi
bench=$2/lb-bench
out=$3
demo="hash,exclusive,master,haproxy,lbctl-rr,lbctl-least-load,lbctl-least-conn"
node="node-cluster,node-reuseport,pm2,lbctl-run"

quick() {
	"$bench" S1 --rounds 3 --out "$out" --peers "$demo,nginx,nginx-reuseport,nginx-lbctl,$node"
	"$bench" S2 --rounds 3 --out "$out" --peers "$demo,$node"
	"$bench" S3 --rounds 2 --out "$out" --peers "$demo,nginx,nginx-reuseport,$node"
	"$bench" S6 --rounds 1 --out "$out" \
		--peers "hash,lbctl-rr,lbctl-least-conn,nginx,nginx-reuseport,$node"
	"$bench" S7 --rounds 1 --out "$out" \
		--peers "hash,haproxy,lbctl-rr,lbctl-least-conn,nginx,nginx-reuseport,$node"
	"$bench" idle --seconds 3 --out "$out"
	"$bench" growth --rounds 2 --batches 8 --out "$out"
}

full() {
	"$bench" all --rounds 10 --out "$out"
	"$bench" idle --seconds 10 --out "$out"
	"$bench" growth --rounds 10 --batches 40 --out "$out"
}

case $1 in
quick | full) "$1" ;;
*)
	echo "bench.sh: '$1' is neither quick nor full" >&2
	exit 2
	;;
esac
"${0%/*}/report.py" "$out"
