# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
# In the guest, on the debug kernel: guest.sh SEED SECONDS
# Loads the modules, gives the edu and nvme devices to their drivers, soaks, takes all away
# again, and looks for leaks.

fail() { echo "Bail out! $*"; exit 1; }

. /guest-lib.sh
modules="vfio vfio_iommu_type1 vfio_zpci vfio-pci vfio_mock_iommu vfio_testdev vfio_testgate mdev mtty mdev_copy"
for module in $modules; do
	# A flush sees what another thread is just unmapping, and that in part.
	case $module in vfio_mock_iommu) param=strict=0 ;; *) param= ;; esac
	modprobe $module $param || fail "modprobe $module"
done
for dev in /sys/bus/pci/devices/*; do
	case $(cat "$dev/vendor"):$(cat "$dev/device") in
	0x1234:0x11e8 | 0x1b36:0x0010) driver=vfio-pci ;; # edu, nvme
	*) continue ;;
	esac
	# The parent of a copy engine; churn.cpp knows it by this name.
	[ "${dev##*/}" != 0000:00:06.0 ] || driver=mdev_copy
	echo $driver >"$dev/driver_override"
	echo "${dev##*/}" >/sys/bus/pci/drivers/$driver/bind || fail "binding ${dev##*/}"
done
echo madvise >/sys/kernel/mm/transparent_hugepage/enabled
mkdir -p /tmp
read -r up _ </proc/uptime
echo "# ready to go $up s after the start of the kernel"

status=0
/soak "$@" || status=1
print_gcov_counts
# What failed may still hold the modules.
[ $status = 0 ] || exit $status

rmmod mdev_copy mtty mdev vfio_testgate vfio_testdev vfio_mock_iommu vfio-pci vfio-pci-core || fail "rmmod of the drivers"
for left in /sys/class/vfio/* /sys/bus/platform/devices/vfio_testdev.* /sys/bus/mdev/devices/* /dev/vfio/[0-9]*; do
	[ ! -e "$left" ] || fail "$left is left"
done
rmmod vfio_zpci || fail "rmmod vfio_zpci"
rmmod vfio_iommu_type1 || fail "rmmod vfio_iommu_type1"
rmmod vfio_virqfd 2>/dev/null
rmmod vfio || fail "rmmod vfio"
echo "# the modules are unloaded"

find_leaks || fail "kmemleak"
echo "# kmemleak finds nothing"
