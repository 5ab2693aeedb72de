# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
# shellcheck disable=SC2154 # the script that reads this sets name, here and source
#
# For scripts that build a kernel of Debian's source into a folder of the cache. The folder's name
# has a hash of all that the kernel is made from, so it is made once. Such a script sets
#
#   name    of the script, for messages and the folder
#   here    the folder tools/
#   source  the files that decide what is made, beside the version of the kernel
#   KERNEL  of tools/supported-kernels.txt, whose source is taken; unset for the first one
#
# calls begin_kernel, then in turn configure, kmake and install_kernel, and finish_kernel.

die() { echo "$name: $*" >&2; exit 1; }
say() { echo "$name: $*" >&2; }

# Sets `version`, and `made`, the folder.
find_kernel() {
	version=$(env -u KDIR "$here/kernel-env" version) || exit 1
	# shellcheck disable=SC2086 # one word a file
	key=$(cat $source "$here/lib/kernel-build.sh" | { cat; echo "$version"; "${CC:-gcc}" -dumpfullversion; } |
		sha256sum | cut -c1-12)
	cache=$("$here/kernel-env" cache) || exit 1
	made=$cache/$name-$key
}

# Prints the folder and ends the script if it is there.
end_if_made() {
	[ -d "$made" ] || return 0
	echo "$made"
	exit 0
}

# Ends the script if the kernel is made already. Else unpacks the source into $build, beside an
# empty folder $tree, and sets `begin`. One at a time; who waited finds the kernel made.
begin_kernel() {
	end_if_made
	for tool in flex bison bc xz; do
		command -v "$tool" >/dev/null || die "$tool is not installed; run tools/setup"
	done
	exec 9>"$cache/$name.lock"
	flock -n 9 || { say "another one is at work, waiting"; flock 9; }
	end_if_made

	tmp=$(mktemp -d "$cache/.$name-XXXXXX")
	trap 'rm -rf "$tmp"' EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
	begin=$(date +%s)
	tarball=$(env -u KDIR "$here/fetch-source") || exit 1
	say "unpacking $version"
	tree=$tmp/tree
	build=$tmp/build
	mkdir "$tree" "$build"
	quietly tar -C "$build" --strip-components=1 -xf "$tarball"
}

# Runs quietly; what it said shows only if it failed.
quietly() {
	if ! "$@" >"$tmp/log" 2>&1 </dev/null 9>&-; then
		grep -nE 'error|Error|\*\*\*' "$tmp/log" | head -n 20 >&2 || true
		tail -n 40 "$tmp/log" >&2
		die "failed: $*"
	fi
}

kmake() {
	quietly make -C "$build" ARCH=x86_64 KBUILD_BUILD_USER=vfio-cxx KBUILD_BUILD_HOST=localhost "$@"
}

# configure FILE...: as allnoconfig has it, but for the lines of the files, which must hold.
configure() {
	cat "$@" >"$tmp/fragment"
	kmake KCONFIG_ALLCONFIG="$tmp/fragment" allnoconfig
	missing=
	while read -r line; do
		case $line in
		'# '*' is not set')
			option=${line#\# }
			option=${option% is not set}
			! grep -q "^$option=" "$build/.config" || missing="$missing
	$line"
			;;
		CONFIG_*)
			grep -qxF -e "$line" "$build/.config" || missing="$missing
	$line"
			;;
		esac
	done <"$tmp/fragment"
	[ -z "$missing" ] || die "this kernel does not give what is asked for:$missing"
}

# install_kernel DIR: boot/ and lib/ as in Debian's package of a kernel image (tools/vm --kernel).
install_kernel() {
	release=$(cat "$build/include/config/kernel.release")
	kmake INSTALL_MOD_PATH="$1" modules_install
	rm -f "$1/lib/modules/$release/build" "$1/lib/modules/$release/source"
	mkdir -p "$1/boot"
	cp "$build/arch/x86/boot/bzImage" "$1/boot/vmlinuz-$release"
	cp "$build/System.map" "$1/boot/System.map-$release"
	cp "$build/.config" "$1/boot/config-$release"
}

# Moves $tree to its place in the cache, and prints that.
finish_kernel() {
	mv -T "$tree" "$made"
	say "took $((($(date +%s) - begin) / 60)) min, $(du -sh "$made" | cut -f1)"
	echo "$made"
}
