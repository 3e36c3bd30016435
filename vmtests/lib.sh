# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash
# Other kernels in QEMU: fetches Debian's kernels without installing them, puts this host's programs
# with their libraries into an initramfs, boots it by emulation. Sourced by run, and by whoever boots
# a guest of another kind:
#
#	vm_fetch_kernel KERNEL       $vm_cache/KERNEL/{vmlinuz,modules.cpio,version}, as new as can be, or
#	                             the one that is pinned
#	vm_root_begin ROOT           an empty root directory with busybox
#	vm_root_add ROOT PATH...     files and directories of this host, at the same paths
#	vm_root_program ROOT NAME... programs of this host with their libraries, at the same paths
#	vm_pack ROOT KERNEL OUT      the initramfs: ROOT and that kernel's modules
#	vm_boot KERNEL INITRAMFS SECONDS [KERNEL-ARGUMENT...]    console on stdout; see there
#
# All return 0, or say on stderr what is wrong.

vm_kernels='5.10 6.1.170 6.1 6.12 7.x'
vm_cache=${XDG_CACHE_HOME:-$HOME/.cache}/lbctl-vmtest
vm_mirror=${LB_VM_MIRROR:-http://deb.debian.org}
vm_keyring=/usr/share/keyrings/debian-archive-keyring.gpg
vm_max_age_days=7
vm_packed=veth # see vm_pack_modules()

vm_fail() {
	echo "vmtests: $*" >&2
	return 1
}

# --- packages -----------------------------------------------------------------------------------

# One `ARCHIVE SUITE` a line.
vm_suites() {
	case $1 in
	5.10) printf '%s\n' 'debian bullseye' 'debian-security bullseye-security' ;;
	6.1.170) printf '%s\n' 'debian bookworm' ;;
	6.1) printf '%s\n' 'debian bookworm' 'debian-security bookworm-security' ;;
	6.12) printf '%s\n' 'debian trixie' 'debian-security trixie-security' ;;
	7.x) printf '%s\n' 'debian trixie-backports' 'debian sid' ;;
	*) vm_fail "no such kernel: $1; there are $vm_kernels" ;;
	esac
}

# vm_apt KERNEL TOOL ARGUMENT...: apt with sources, lists and cache of its own. What it knows as
# installed is an empty file: it looks up and downloads, and can't do more.
vm_apt() {
	local dir=$vm_cache/$1/apt tool=$2
	shift 2
	"$tool" -q -o Dir::State="$dir/state" -o Dir::State::status="$dir/status" \
		-o Dir::Cache="$dir/cache" -o Dir::Etc::sourcelist="$dir/sources.list" \
		-o Dir::Etc::sourceparts=- -o APT::Sandbox::User= -o Acquire::Languages=none "$@"
}

vm_update_lists() {
	local dir=$vm_cache/$1/apt suites signed=
	suites=$(vm_suites "$1") || return
	mkdir -p "$dir/state/lists/partial" "$dir/cache/archives/partial" || return
	: >"$dir/status"
	[ ! -e $vm_keyring ] || signed=" signed-by=$vm_keyring"
	while read -r suite; do
		echo "deb [arch=amd64$signed] $vm_mirror/$suite main"
	done <<<"$suites" >"$dir/sources.list"
	vm_apt "$1" apt-get update >/dev/null
}

# vm_unpack KERNEL DIR PACKAGE...: downloads and unpacks; a package that does not exist is left out.
vm_unpack() {
	local kernel=$1 into=$2 package packages=()
	shift 2
	for package in "$@"; do
		if [ -n "$(vm_apt "$kernel" apt-cache show "$package" 2>/dev/null)" ]; then
			packages+=("$package")
		fi
	done
	rm -rf "$into"
	mkdir -p "$into" || return
	(cd "$into" && vm_apt "$kernel" apt-get download "${packages[@]}" >/dev/null) || return
	for package in "$into"/*.deb; do
		dpkg -x "$package" "$into" || return
		rm "$package"
	done
}

# --- kernels ------------------------------------------------------------------------------------

# The package of the newest kernel that the suites have.
vm_newest_image() {
	local version
	version=$(vm_apt "$1" apt-cache madison linux-image-cloud-amd64 | awk '{ print $3 }' | sort -V | tail -n 1)
	vm_apt "$1" apt-cache show "linux-image-cloud-amd64=$version" | sed -n '/^Depends:/p' |
		grep -o 'linux-image-[0-9][^ ,]*' | head -n 1
}

# The newest point release has mended what many hosts still have: this is one of those. Once fetched it
# stays in the cache, as the archive may drop it.
vm_pinned_image() {
	case $1 in
	6.1.170) echo linux-image-6.1.0-47-cloud-amd64 ;; # wakes nobody for a connection that migrates
	esac
}

# A guest can do without drivers, but for the network device that tests make. The kernel's own modprobe
# finds the rest by modules.dep. Another $vm_packed where something else is packed: it is fetched anew.
vm_pack_modules() {
	local modules=$1 version=$2 root=$3 part busybox=$vm_cache/busybox
	mkdir -p "$root/lib/modules/$version/kernel/fs" || return
	for part in "$modules"/kernel/{net,lib,crypto,arch/x86/crypto,fs/autofs,drivers/net/veth.ko*}; do
		[ ! -e "$part" ] ||
			cp -r --parents -t "$root/lib/modules/$version" "$modules/.${part#"$modules"}" || return
	done
	find "$root" -name '*.ko.xz' -exec xz -d {} + || return
	cp "$modules"/modules.builtin* "$modules"/modules.order "$root/lib/modules/$version" 2>/dev/null
	"$busybox" depmod -b "$root" "$version" || return
	mkdir "$root/usr" && mv "$root/lib" "$root/usr/lib" || return
	(cd "$root" && find usr | "$busybox" cpio -o -H newc 2>/dev/null)
}

# The directory that has modules' kernel/, in the layout of any release.
vm_find_modules() {
	find "$1" -type d -path '*/lib/modules/*/kernel' -prune -printf '%h\n' | head -n 1
}

vm_refresh_kernel() {
	local dir=$vm_cache/$1 image version unpacked=$vm_cache/$1/unpacked
	vm_update_lists "$1" || return
	image=$(vm_pinned_image "$1")
	[ -n "$image" ] || image=$(vm_newest_image "$1")
	[ -n "$image" ] || vm_fail "$1: $vm_mirror has no kernel package" || return
	version=${image#linux-image-}
	if [ "$(cat "$dir/version" 2>/dev/null)" != "$version $vm_packed" ]; then
		echo "fetching $image" >&2
		# from 7.x on the image and the modules have packages of their own
		vm_unpack "$1" "$unpacked" busybox-static "$image" "linux-binary-$version" "linux-modules-$version" || return
		[ -e "$vm_cache/busybox" ] || cp "$unpacked"/*bin/busybox "$vm_cache/busybox" 2>/dev/null ||
			cp "$unpacked/usr/bin/busybox" "$vm_cache/busybox" || return
		rm -rf "$dir/version" "$dir/modules"
		find "$unpacked" -type f -name 'vmlinuz*' -exec cp {} "$dir/vmlinuz" \;
		vm_pack_modules "$(vm_find_modules "$unpacked")" "$version" "$dir/modules" >"$dir/modules.cpio" || return
		rm -rf "$dir/modules" "$unpacked"
	fi
	# its age is when it was last compared with the mirror
	echo "$version $vm_packed" >"$dir/version"
}

vm_fetch_kernel() {
	local version=$vm_cache/$1/version
	vm_suites "$1" >/dev/null || return
	if grep -q " $vm_packed\$" "$version" 2>/dev/null; then
		[ -z "$(find "$version" -mtime -$vm_max_age_days)" ] || return 0
		[ -z "$(vm_pinned_image "$1")" ] || return 0
	fi
	mkdir -p "$vm_cache" || return
	(flock 9 && vm_refresh_kernel "$1") 9>"$vm_cache/lock" && return
	[ -e "$version" ] || vm_fail "$1: can't fetch the kernel from $vm_mirror" || return
	echo "vmtests: $1: can't ask $vm_mirror for a newer one; taking $(cat "$version")" >&2
}

# --- the guest's files --------------------------------------------------------------------------

vm_root_begin() {
	local applet
	rm -rf "$1"
	mkdir -p "$1"/{dev,etc,proc,root,run,sys,tmp,usr/{bin,sbin,lib,lib64},var/{log,lib}} || return
	chmod 755 "$1"
	chmod 1777 "$1/tmp"
	ln -s usr/bin usr/sbin usr/lib usr/lib64 "$1"
	cp "$vm_cache/busybox" "$1/usr/bin/busybox" || return
	for applet in $("$vm_cache/busybox" --list); do
		[ "$applet" = busybox ] || ln -s busybox "$1/usr/bin/$applet"
	done
	ln -s ../bin/busybox "$1/usr/sbin/modprobe" # the kernel calls it by this path
}

vm_root_add() {
	local root=$1 path
	shift
	for path in "$@"; do
		mkdir -p "$root${path%/*}" && cp -rL --remove-destination "$path" "$root$path" || return
	done
}

vm_root_program() {
	local root=$1 name path
	shift
	for name in "$@"; do
		path=$(PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin command -v "$name") ||
			vm_fail "$name is not installed" || return
		vm_root_add "$root" "$path" && vm_root_libraries "$root" "$path" || return
	done
}

# vm_root_libraries ROOT FILE...
vm_root_libraries() {
	local root=$1 library
	shift
	while read -r library; do
		[ -e "$root$library" ] || vm_root_add "$root" "$library" || return
	done < <(ldd "$@" 2>/dev/null | sed -n 's:^\t[^/]*\(/[^ ]*\).*:\1:p' | sort -u)
}

# vm_root_loaded ROOT NAME: a library that a program opens by its name while it runs
vm_root_loaded() {
	local path
	path=$(/sbin/ldconfig -p | sed -n "s:^\t$2 .* => ::p" | head -n 1)
	[ -n "$path" ] || vm_fail "$2 is not installed" || return
	vm_root_add "$1" "$path" && vm_root_libraries "$1" "$path"
}

# The root directory's mode becomes that of /, so it must be one that all may pass.
vm_pack() {
	{ (cd "$1" && find . | "$vm_cache/busybox" cpio -o -H newc 2>/dev/null) &&
		cat "$vm_cache/$2/modules.cpio"; } >"$3"
}

# --- booting ------------------------------------------------------------------------------------

# Before 7.x QEMU 7.2 crashes some kernels with cx16; 7.x can't keep socket storage without it.
vm_cpu() {
	case $1 in
	7.x) echo max ;;
	*) echo max,-cx16 ;;
	esac
}

# On a busy host a guest's timer comes late: without no_timer_check a kernel may panic for it, without
# tsc=reliable it leaves the one clock that is read without a system call. mitigations=off saves a tenth
# of the time: what they mitigate, an emulated CPU does not do.
# thread=single: with a thread per CPU, QEMU 7.2 lets one CPU run an instruction of the kernel's that another
# is patching, as a tracepoint comes: an endless int3, or a panic, in syscall_trace_enter(). What locks up
# panics, and so ends. Returns what the guest wrote to the debug port less 16, as guest-exit does; 124 after
# SECONDS, 125 when it ended without (a panic, a reset, QEMU's own end).
vm_boot() {
	local kernel=$1 initramfs=$2 seconds=$3 status=0
	shift 3
	timeout --foreground --kill-after=10 "$seconds" qemu-system-x86_64 -machine q35 -accel tcg,thread=single \
		-cpu "$(vm_cpu "$kernel")" -smp 2 -m 2048 -nographic -nodefaults -serial stdio -no-reboot \
		-device isa-debug-exit,iobase=0xf4,iosize=4 -kernel "$vm_cache/$kernel/vmlinuz" \
		-initrd "$initramfs" -append "console=ttyS0 panic=-1 loglevel=5 softlockup_panic=1 watchdog_thresh=30 no_timer_check tsc=reliable mitigations=off $*" </dev/null || status=$?
	[ $status -ne 124 ] || return 124
	[ $((status % 2)) -eq 1 ] && [ $status -ge 33 ] && [ $status -lt 128 ] || return 125
	return $(((status - 1) / 2 - 16))
}
