#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# For the guests' scripts of the demos. What they print of the modules, the device and the user are
# "key: value" lines, which the host judges (demos.py).
memlock_kib=65536

fail() { echo "demo: $*" >&2; exit 1; }

build_id() {
	# The note's last 20 bytes are the identity that the linker gave the module.
	note=/sys/module/$1/notes/.note.gnu.build-id
	[ -r "$note" ] && tail -c 20 "$note" | od -An -v -tx1 | tr -d ' \n'
}

print_modules() { # NAME...
	for module; do
		echo "module $module: $(build_id "$module") $(modinfo -F filename "$module")"
	done
}

# Gives the first PCI device whose file of that name has the content, and which vfio-pci does not
# have yet, to vfio-pci, and its group to an unprivileged user. Sets bdf, and adds it to given.
given=
give_device() { # FILE CONTENT
	bdf=
	for dev in /sys/bus/pci/devices/*; do
		[ "$(cat "$dev/$1")" = "$2" ] && [ ! -e "/sys/bus/pci/drivers/vfio-pci/${dev##*/}" ] &&
			bdf=${dev##*/} && break
	done
	[ -n "$bdf" ] || fail "no further PCI device with $1 $2"
	given="$given $bdf"
	[ -e "$dev/iommu_group" ] || fail "$bdf is behind no IOMMU"
	group=$(basename "$(readlink "$dev/iommu_group")")

	echo vfio-pci >"$dev/driver_override"
	echo "$bdf" >/sys/bus/pci/drivers/vfio-pci/bind || fail "cannot bind $bdf to vfio-pci"
	chown user "/dev/vfio/$group" || fail "no /dev/vfio/$group"
	echo "device: $bdf"
	echo "group: $(ls -l "/dev/vfio/$group")"
	# shellcheck disable=SC3045 # dash and busybox have it
	ulimit -l $memlock_kib
}

as_user() { # COMMAND
	su user -s /bin/sh -c '
		echo "user: $(id -un) uid $(id -u), $(grep CapEff /proc/self/status | tr -d "\t"), memlock $(ulimit -l) KiB"
		'"$1"
}

take_devices_back() { # MODULE...: those above vfio that may be loaded, in the order of their removal
	for bdf in $given; do
		echo "$bdf" >/sys/bus/pci/drivers/vfio-pci/unbind || fail "cannot unbind $bdf"
	done
	for module; do
		[ ! -e "/sys/module/$module" ] || modprobe -r "$module"
	done
	echo "left: $(grep -c '^vfio' /proc/modules) modules"
}
