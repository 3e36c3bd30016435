# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash disable=SC1091 # read from its own folder
# what: the same, and what waits for 20 ms is moved to idle workers
# program: demo
# can: reload scale lost
. ./lbctl.sh
# shellcheck disable=SC2034 # lbctl.sh's start() takes it
settings=steal_ms=20
