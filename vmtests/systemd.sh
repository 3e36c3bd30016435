#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# systemd.sh [TEST...]: the units of `lbctl unit` under a systemd of their own: this host's, as
# pid 1 of a container in namespaces, over a copy of the root file system that is kept in memory.
# The tests are in systemd-guest.sh; without names all run. Needs root; changes nothing outside.
# Prints PASS and FAIL lines; the last line is the totals. Exit status: 0 all passed, 1 not,
# 77 this host can't.
set -eu
cd "$(dirname "$0")/.."

build=$PWD/${LBCTL_BUILD:-build}
seconds=${LB_SYSTEMD_SECONDS:-600}

skip() {
	echo "systemd.sh: $*" >&2
	exit 77
}

cgroup_mount() {
	awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts
}

# An empty /etc/systemd/system: no service of this host starts, only what a boot needs.
write_units() {
	rm -rf etc/systemd/system etc/fstab
	mkdir -p etc/systemd/system
	: >etc/fstab
	: >etc/machine-id
	for unit in systemd-udevd.service systemd-udev-trigger.service systemd-timesyncd.service \
		systemd-binfmt.service systemd-sysusers.service ldconfig.service systemd-firstboot.service; do
		ln -s /dev/null "etc/systemd/system/$unit"
	done
	cat >etc/systemd/system/lbctl-test.target <<-END
		[Unit]
		Requires=sysinit.target systemd-journald.service lbctl-test.service
		AllowIsolate=yes
	END
	cat >etc/systemd/system/lbctl-test.service <<-END
		[Unit]
		After=sysinit.target systemd-journald.service
		[Service]
		ExecStart=/bin/bash /out/guest $*
		StandardOutput=append:/out/log
		StandardError=append:/out/log
		ExecStopPost=/bin/systemctl --force exit 9
	END
}

make_dev() {
	mount -t tmpfs -o mode=755 tmpfs dev
	mkdir dev/pts dev/shm
	for node in null zero full random urandom tty; do
		: >"dev/$node"
		mount --bind "/dev/$node" "dev/$node"
	done
	mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
	ln -s pts/ptmx dev/ptmx
	ln -s /proc/self/fd dev/fd
	: >dev/console
}

# What is not the container's own is read-only: sysctls of the kernel, all of sysfs.
make_kernel_files() {
	mount -t proc proc proc
	mount --bind proc/sys proc/sys
	mount -o remount,bind,ro proc/sys
	mount -t sysfs -o ro sysfs sys
	mount -t cgroup2 cgroup2 sys/fs/cgroup
	mount -t bpf -o mode=700 bpf sys/fs/bpf
}

# In the new namespaces, as their pid 1.
container() {
	local root=$1
	shift
	mount --make-rprivate /
	mount -t tmpfs tmpfs "$root"
	mkdir "$root/upper" "$root/work" "$root/root" "$root/out"
	cp vmtests/systemd-guest.sh "$root/out/guest"
	exec 3<>"$root.log"
	mount -t overlay overlay -o "lowerdir=/,upperdir=$root/upper,workdir=$root/work" "$root/root"
	cd "$root/root"
	make_kernel_files
	make_dev
	mount -t tmpfs -o mode=755 tmpfs run
	mount -t tmpfs tmpfs tmp
	mkdir -p out old
	mount --bind "$root/out" out
	: >out/log
	mount --bind "$root.log" out/log
	install -D -m 755 "$build/lbctl" "$build/lbctl-demo-worker" usr/local/sbin/
	install -D -m 644 "$OLDPWD/user/man/lbctl.8" usr/local/share/man/man8/lbctl.8
	write_units "$@"
	pivot_root . old
	umount -l old
	exec env -i container=lbctl PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		/lib/systemd/systemd --unit=lbctl-test.target --log-target=journal
}

# Prints the log as it grows; its last line is the totals.
follow() {
	tail --pid="$1" -n +1 -f "$2"
}

main() {
	local root cgroup status=0 pid
	[ "$(id -u)" = 0 ] || skip "needs root (namespaces, BPF)"
	[ -x /lib/systemd/systemd ] || skip "no systemd on this host; apt-get install systemd"
	command -v wrk jq >/dev/null || skip "no wrk or jq; make deps installs them"
	[ -n "$(cgroup_mount)" ] || skip "no cgroup v2 is mounted"
	[ -x "$build/lbctl" ] || skip "$build/lbctl is not there; make builds it"
	root=$(mktemp -d)
	cgroup=$(cgroup_mount)/lbctl-systemd-$$
	: >"$root.log"
	mkdir "$cgroup"
	# shellcheck disable=SC2064 # as they are now
	trap "rm -rf '$root' '$root.log'; find '$cgroup' -depth -type d -exec rmdir {} + 2>/dev/null" EXIT
	(
		echo "$BASHPID" >"$cgroup/cgroup.procs"
		exec timeout --kill-after=10 "$seconds" unshare --fork --pid --kill-child --mount --net \
			--uts --ipc --cgroup "$0" --container "$root" "$@" </dev/null
	) &
	pid=$!
	follow $pid "$root.log"
	wait $pid || status=$?
	if ! tail -n 1 "$root.log" | grep -qE '^[0-9]+ passed, [0-9]+ failed$'; then
		echo "FAIL: the container ended early (status $status)"
		exit 1
	fi
	[ "$status" = 0 ] || exit 1
}

if [ "${1-}" = --container ]; then
	shift
	container "$@"
fi
main "$@"
