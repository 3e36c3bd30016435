# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash disable=SC1091,SC2034 # read from its own folder
# what: SO_REUSEPORT, picked by lbctl at once: no connection waits for an idle worker
# program: demo
# can: reload scale lost
SETTINGS=(hold_ms=0)
. ./lbctl.sh
