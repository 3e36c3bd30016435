# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash disable=SC1091 # read from its own folder
# what: Node.js cluster with reusePort (22.12 on): the kernel's hash
# needs: node24
# program: node
# can: reload scale
. ./node-cluster.sh
export BENCH_CLUSTER=reuseport
