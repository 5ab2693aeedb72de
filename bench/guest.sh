#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# In the guest: guest.sh [arguments of bench]
# Loads the modules, gives the machine's test devices to vfio-pci, runs the program.
fail() { echo "bench: $*" >&2; exit 1; }

modprobe vfio_iommu_type1 ${BENCH_TYPE1_PARAMS:-} || fail "modprobe vfio_iommu_type1"
modprobe vfio_zpci 2>/dev/null
modprobe vfio-pci || fail "modprobe vfio-pci"
# Not in the machines of tools/bench-iommufd.
! modinfo vfio_testdev >/dev/null 2>&1 || modprobe vfio_testdev || fail "modprobe vfio_testdev"
# Only beside our modules.
! modinfo vfio_testgate >/dev/null 2>&1 || modprobe vfio_testgate || fail "modprobe vfio_testgate"
# For the guests in which devices are touched.
modprobe kvm-amd 2>/dev/null
for module in vfio vfio_iommu_type1; do
	echo "module $module $(modinfo -F filename $module)"
done

# edu, or virtio-rng in a machine of tools/bench --ats; and pci-testdev with its large BAR.
for dev in /sys/bus/pci/devices/*; do
	case $(cat "$dev/vendor"):$(cat "$dev/device") in
	0x1234:0x11e8 | 0x1b36:0x0005) ;;
	0x1af4:0x1044) export BENCH_ATS_DEVICE=0x1044 ;;
	*) continue ;;
	esac
	echo vfio-pci >"$dev/driver_override"
	echo "${dev##*/}" >/sys/bus/pci/drivers/vfio-pci/bind || fail "cannot bind ${dev##*/}"
done
# Later kernels test their cryptography in the background for a while after they have booted.
sleep 20
/bench "$@" || exit
case $1 in
--profile)
	# Only code, and compressed: the serial port is slow.
	echo kallsyms begin
	grep -i ' [tw] ' /proc/kallsyms | gzip -9 | base64
	echo kallsyms end
	;;
esac
