# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash disable=SC1091 # read from its own folder
# what: nginx, listen ... reuseport: the kernel's hash
# needs: nginx
# program: nginx
# can: reload
# cannot: slow hold
. ./nginx.sh

start() {
	nginx_start reuseport
}
