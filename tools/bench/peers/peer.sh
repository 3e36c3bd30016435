#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# peer.sh NAME FUNCTION [ARG]: what lb-bench runs; lib.sh says how.
set -eu
cd "$(dirname "$0")"
# shellcheck source=lib.sh disable=SC1091
. ./lib.sh
# shellcheck source=/dev/null
. "./$1.sh"
shift
"$@"
