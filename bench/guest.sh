#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# In the guest: guest.sh [arguments of bench]
# Loads the modules, gives a device (QEMU's edu) to vfio-pci, runs the program.
fail() { echo "bench: $*" >&2; exit 1; }

modprobe vfio_iommu_type1 ${BENCH_TYPE1_PARAMS:-} || fail "modprobe vfio_iommu_type1"
modprobe vfio-pci || fail "modprobe vfio-pci"
modprobe vfio_testdev || fail "modprobe vfio_testdev"
for module in vfio vfio_iommu_type1; do
	echo "module $module $(modinfo -F filename $module)"
done

for dev in /sys/bus/pci/devices/*; do
	[ "$(cat "$dev/vendor"):$(cat "$dev/device")" = 0x1234:0x11e8 ] || continue
	echo vfio-pci >"$dev/driver_override"
	echo "${dev##*/}" >/sys/bus/pci/drivers/vfio-pci/bind || fail "cannot bind ${dev##*/}"
done
/bench "$@" || exit
case $1 in
--profile)
	# Only code, and compressed: the serial port is slow.
	echo kallsyms begin
	grep -i ' [tw] ' /proc/kallsyms | gzip -9 | base64
	echo kallsyms end
	;;
esac
