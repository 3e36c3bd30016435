# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash disable=SC1091 # read from its own folder
# what: Node.js: a master accepts and sends each connection to the next worker
# needs: node
# program: node
. ./node-shared.sh
export BENCH_HANDLES=connection
