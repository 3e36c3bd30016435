#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# systemd.sh [--kernel KERNEL] [TEST...]: the units of `lbctl unit` under a systemd of their own:
# this host's, as pid 1 of a container in namespaces, over a copy of the root file system that is
# kept in memory; with --kernel in QEMU, on a kernel that lib.sh knows, where systemd has cgroup
# controllers to delegate (slow). The tests are in systemd-guest.sh; without names all run. Needs
# root; changes nothing outside.
# LB_OTHER_LBCTL (environment) is the lbctl that takes this one's place and gives it back, by default
# the one that make builds for such tests: it has a field more in every map value.
# Prints PASS and FAIL lines; the last line is the totals. Exit status: 0 all passed, 1 not,
# 77 this host can't.
set -eu
cd "$(dirname "$0")/.."

build=$PWD/${LBCTL_BUILD:-build}
other=${LB_OTHER_LBCTL:-$build/tests/appended/lbctl}
seconds=${LB_SYSTEMD_SECONDS:-600}
systemd=/lib/systemd/systemd

skip() {
	echo "systemd.sh: $*" >&2
	exit 77
}

# write_units ROOT OUTPUT END TEST...: an empty /etc/systemd/system, so that no service of this host
# starts, only what a boot needs, then the tests. END is the argument of systemctl that ends it all.
write_units() {
	local etc=$1/etc output=$2 end=$3 unit
	shift 3
	rm -rf "$etc/systemd/system"
	mkdir -p "$etc/systemd/system"
	: >"$etc/fstab"
	: >"$etc/machine-id"
	for unit in systemd-udevd.service systemd-udev-trigger.service systemd-timesyncd.service \
		systemd-binfmt.service systemd-sysusers.service ldconfig.service systemd-firstboot.service; do
		ln -s /dev/null "$etc/systemd/system/$unit"
	done
	cat >"$etc/systemd/system/lbctl-test.target" <<-END
		[Unit]
		Requires=sysinit.target systemd-journald.service lbctl-test.service
	END
	cat >"$etc/systemd/system/lbctl-test.service" <<-END
		[Unit]
		After=sysinit.target systemd-journald.service
		[Service]
		ExecStart=/bin/bash /out/guest $*
		StandardOutput=$output
		StandardError=$output
		ExecStopPost=/bin/systemctl $end
	END
}

# --- in a container -----------------------------------------------------------------------------

cgroup_mount() {
	awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts
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
enter_container() {
	local work=$1 log=$2
	shift 2
	mount --make-rprivate /
	mount -t tmpfs tmpfs "$work"
	mkdir "$work/upper" "$work/work" "$work/root"
	mount -t overlay overlay -o "lowerdir=/,upperdir=$work/upper,workdir=$work/work" "$work/root"
	install -D -m 755 -t "$work/root/usr/local/sbin" "$build/lbctl" "$build/lbctl-demo-worker"
	install -m 755 "$other" "$work/root/usr/local/sbin/lbctl-other"
	install -D vmtests/systemd-guest.sh "$work/root/out/guest"
	install -D vmtests/systemd-guest-lib.sh "$work/root/out/guest-lib"
	write_units "$work/root" append:/out/log '--force exit 0' "$@"
	cd "$work/root"
	make_kernel_files
	make_dev
	mount -t tmpfs -o mode=755 tmpfs run
	mount -t tmpfs tmpfs tmp
	: >out/log
	mount --bind "$log" out/log
	mkdir -p old
	pivot_root . old
	umount -l old
	exec env -i container=lbctl PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		$systemd --unit=lbctl-test.target --log-target=journal
}

run_container() {
	local log=$1 cgroup pid
	shift
	[ -n "$(cgroup_mount)" ] || skip "no cgroup v2 is mounted"
	cgroup=$(cgroup_mount)/lbctl-systemd-$$
	mkdir "$cgroup"
	# shellcheck disable=SC2064 # as it is now
	trap "clean_up; find '$cgroup' -depth -type d -exec rmdir {} + 2>/dev/null" EXIT
	(
		echo "$BASHPID" >"$cgroup/cgroup.procs"
		exec timeout --kill-after=10 "$seconds" unshare --fork --pid --kill-child --mount --net \
			--uts --ipc --cgroup "$0" --enter-container "$work" "$log" "$@" </dev/null
	) &
	pid=$!
	tail --pid=$pid -n +1 -f "$log"
	wait $pid || true
}

# --- in QEMU ------------------------------------------------------------------------------------

programs=(bash systemctl journalctl systemd-analyze systemd-tmpfiles jq wrk pgrep mount umount cat cp mv
	date head tail tr cut sort ls wc rm mkdir chmod readlink sleep cmp grep sed awk find uname curl)

build_root() {
	local root=$1 file
	shift
	vm_root_begin "$root"
	vm_root_program "$root" "${programs[@]}"
	vm_root_loaded "$root" libmicrohttpd.so.12
	ln -sf bash "$root/usr/bin/sh"
	mkdir -p "$root"/{home,out,srv} "$root/usr/local/"{bin,sbin} "$root/var/tmp" "$root/usr/lib/systemd"
	cp -a "${systemd%/*}/." "$root/usr/lib/systemd/"
	cp -a /usr/lib/tmpfiles.d "$root/usr/lib/"
	rm -rf "$root"/usr/lib/systemd/system-generators
	for file in "$systemd" "${systemd%/*}"/systemd-{journald,executor,sysctl,shutdown} \
		"$build"/lbctl{,-demo-worker} "$other"; do
		[ ! -e "$file" ] || vm_root_libraries "$root" "$file"
	done
	cp "$build/lbctl" "$build/lbctl-demo-worker" "$root/usr/local/sbin/"
	cp "$other" "$root/usr/local/sbin/lbctl-other"
	vm_root_add "$root" /etc/passwd /etc/group
	install vmtests/systemd-guest.sh "$root/out/guest"
	install -m 644 vmtests/systemd-guest-lib.sh "$root/out/guest-lib"
	ln -s /usr/lib/systemd/systemd "$root/init"
	write_units "$root" file:/dev/console '--force --force poweroff' "$@"
	slow_down "$root/usr/lib/systemd/system"
}

# An emulated machine takes its time, above all to verify BPF programs.
slow_down() {
	mkdir "$1"/{web,lbctl-test}.service.d
	printf '%s\n' '[Service]' WatchdogSec=0 TimeoutStartSec=300 TimeoutStopSec=300 >"$1/web.service.d/slow.conf"
	printf '%s\n' '[Service]' Environment=LB_DEADLINE_S=300 >"$1/lbctl-test.service.d/slow.conf"
}

run_qemu() {
	local log=$1 kernel=$2
	shift 2
	# shellcheck source=vmtests/lib.sh
	. vmtests/lib.sh
	command -v qemu-system-x86_64 >/dev/null || skip "no qemu-system-x86_64; tools/deps.sh vm installs it"
	vm_fetch_kernel "$kernel"
	build_root "$work/root" "$@"
	vm_pack "$work/root" "$kernel" "$work/initramfs"
	# ends by poweroff, so its status says nothing: the last line of the log does
	vm_boot "$kernel" "$work/initramfs" "$seconds" systemd.unit=lbctl-test.target \
		systemd.show_status=0 | sed -u 's:\r$::' | tee "$log" || true
}

# --- either -------------------------------------------------------------------------------------

clean_up() {
	rm -rf "$work" "$work.log"
}

main() {
	local kernel='' totals
	if [ "${1-}" = --kernel ]; then
		kernel=${2-}
		shift 2
	fi
	[ "$(id -u)" = 0 ] || skip "needs root (namespaces, BPF)"
	[ -x $systemd ] || skip "no systemd on this host; apt-get install systemd"
	command -v wrk jq >/dev/null || skip "no wrk or jq; make deps installs them"
	[ -x "$build/lbctl" ] || skip "$build/lbctl is not there; make builds it"
	[ -x "$other" ] || skip "$other is not there; make $other builds it"
	work=$(mktemp -d)
	: >"$work.log"
	trap clean_up EXIT
	if [ -n "$kernel" ]; then
		run_qemu "$work.log" "$kernel" "$@"
	else
		run_container "$work.log" "$@"
	fi
	totals=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$work.log" | tail -n 1)
	case $totals in
	'') echo "FAIL: it ended early" && exit 1 ;;
	*' 0 failed') ;;
	*) exit 1 ;;
	esac
}

if [ "${1-}" = --enter-container ]; then
	shift
	enter_container "$@"
fi
main "$@"
