#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# In the guest, on the debug kernel: guest.sh SUITE-MODULE...
# Loads our modules and each module of suites, whose results go to the kernel
# log; runs the userspace test of the mock IOMMUs; looks for leaks. Prints TAP.

fail() { echo "Bail out! $*"; exit 1; }

. /guest-lib.sh
echo 16 >/proc/sys/vm/nr_hugepages
for module in vfio vfio_iommu_type1 vfio_zpci mdev vfio_mock_iommu vfio_testdev; do
	modprobe $module || fail "modprobe $module"
	echo "# $module: $(modinfo -F filename $module)"
done

# For suites that let allocations of their thread fail.
for what in failslab fail_page_alloc; do
	echo N >/sys/kernel/debug/$what/ignore-gfp-wait
	echo 0 >/sys/kernel/debug/$what/verbose
done
echo N >/sys/kernel/debug/fail_page_alloc/ignore-gfp-highmem
echo 0 >/sys/kernel/debug/fail_page_alloc/min-order
echo 0 >/sys/kernel/debug/fail_usercopy/verbose

status=0
for module; do
	echo "vfio-cxx: suites of $module" >/dev/kmsg
	modprobe "$module" || fail "modprobe $module"
	rmmod "$module" || fail "rmmod $module"
	echo "vfio-cxx: end of suites" >/dev/kmsg
done

if [ -e /mock_test ]; then
	modprobe vfio_live_objects || fail "modprobe vfio_live_objects"
	/mock_test || status=1
	rmmod vfio_live_objects || fail "rmmod vfio_live_objects"
fi

print_gcov_counts

rmmod vfio_testdev vfio_mock_iommu mdev vfio_zpci vfio_iommu_type1 vfio || fail "rmmod"

test_leaks || status=1
exit $status
