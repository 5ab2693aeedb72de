#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# In the guest: run.sh ours|stock [arguments of stack_test]
# Loads the modules, gives the test devices to vfio-pci, runs the tests.
STACK_MODULES=$1
export STACK_MODULES
shift

fail() { echo "Bail out! $*"; exit 1; }

modprobe vfio || fail "modprobe vfio"
modprobe vfio_iommu_type1 ${STACK_TYPE1_PARAMS:-} || fail "modprobe vfio_iommu_type1"
modprobe vfio-pci || fail "modprobe vfio-pci"
modprobe uio_pci_generic || fail "modprobe uio_pci_generic"

# Whose modules these are, for whoever reads the log.
for module in vfio vfio_iommu_type1; do
    echo "# $module: $(modinfo -F filename $module 2>/dev/null || echo loaded)"
done

bind() { # BDF
    dev=/sys/bus/pci/devices/$1
    echo vfio-pci >"$dev/driver_override"
    [ ! -e "$dev/driver" ] || echo "$1" >"$dev/driver/unbind"
    echo "$1" >/sys/bus/pci/drivers/vfio-pci/bind || fail "binding $1 to vfio-pci"
}

for dev in /sys/bus/pci/devices/*; do
    case $(cat "$dev/vendor"):$(cat "$dev/device") in
    0x1234:0x11e8) bind "${dev##*/}" ;; # edu
    0x1b36:0x0010) bind "${dev##*/}" ;; # nvme
    0x1af4:0x1110) bind "${dev##*/}" ;; # ivshmem
    0x1af4:0x1044) bind "${dev##*/}" ;; # virtio-rng
    0x1b36:0x0005) bind "${dev##*/}" ;; # pci-testdev
    esac
done

# The emulated s390x has no huge pages.
[ ! -e /proc/sys/vm/nr_hugepages ] || echo 24 >/proc/sys/vm/nr_hugepages
[ ! -e /sys/kernel/mm/transparent_hugepage ] || echo always >/sys/kernel/mm/transparent_hugepage/enabled
mkdir -p /tmp
chmod 1777 /tmp

[ -e /guest-lib.sh ] || exec /stack_test "$@"

# The debug kernel.
. /guest-lib.sh
status=0
/stack_test "$@" || status=$?
print_gcov_counts
test_leaks || status=1
exit $status
