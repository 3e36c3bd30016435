# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash disable=SC1091,SC2034 # read from its own folder
# what: SO_REUSEPORT, picked by lbctl, which measures latency meanwhile
# program: demo
# can: reload scale lost
SETTINGS=(hold_ms=auto latency=on)
. ./lbctl.sh
